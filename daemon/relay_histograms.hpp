#pragma once

#include "common/base/time.hpp"
#include "common/metrics/registry.hpp"
#include "daemon/core/relay.hpp"

#include <cstdint>
#include <map>
#include <string_view>
#include <tuple>
#include <vector>

namespace tayga {

/// How long it took to notice that a parent fell silent, and until its stripes were whole again;
/// and how late slices come. On the daemon's thread; the registry must outlive it.
class RelayHistograms {
 public:
  explicit RelayHistograms(metrics::Registry& registry);

  void on_suspected(const relay::Relay::Suspected& suspected);
  /// One repair each: stripes of a track that moved together.
  void on_repaired(const relay::Relay::Repaired& repaired, std::string_view stream_name);
  /// What each stripe's newest slice shows, where one came since the last call. About once a
  /// second: between, they change little.
  void sample_lateness(const std::vector<relay::StripeStatus>& stripes);

  struct Distribution {
    Duration p50{0};
    Duration p99{0};
    Duration max{0};
    std::uint64_t count = 0;
  };
  /// Over all streams since the start. Quantiles are read from the buckets; `max` is exact.
  [[nodiscard]] Distribution repair_gap() const;

 private:
  metrics::Family<metrics::Histogram>& repair_gaps_;
  metrics::Histogram& detection_;
  metrics::Histogram& lateness_;
  Duration repair_gap_max_{0};
  std::map<std::tuple<StreamId, TrackId, StripeIndex>, SliceSeq> sampled_;  ///< next of each stripe
};

}  // namespace tayga
