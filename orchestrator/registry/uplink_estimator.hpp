#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>

namespace tayga::orch {

/// Uplink that is planned with when a node declared none.
inline constexpr std::uint64_t kGatewayUplinkDefaultBps = 100'000'000;
inline constexpr std::uint64_t kUplinkDefaultBps = 10'000'000;
/// A congested node is planned with at least so much of what it declared: one child of a usual
/// stream, or it could never show that it recovered.
inline constexpr std::uint64_t kUplinkFloorBps = 5'000'000;

/// What one node's uplink is good for.
///
/// Measured is what its children say they received, not what it says it sent: the sum over them,
/// and of that the maximum of the last minute. It follows demand, so alone it proves no limit: a
/// relay with one child shows one child's rate. What was declared counts until the node itself
/// shows congestion, which no node gains from inventing; for a minute after that,
///     usable = min(declared, max(1.33 x measured, min(declared, 5 Mbit/s))).
/// Sans-IO. Bounded by the node's children.
class UplinkEstimator {
 public:
  void on_child_rate(const NodeId& child, std::uint64_t bps, TimePoint now);
  void on_child_gone(const NodeId& child);
  /// Most of the node's own queues grow old or drop.
  void on_congested(TimePoint now) { congested_until_ = now + kWindow; }

  [[nodiscard]] std::uint64_t measured_bps(TimePoint now) const;
  /// `declared_bps` is the declared or default uplink, never 0.
  [[nodiscard]] std::uint64_t usable_bps(std::uint64_t declared_bps, TimePoint now) const;

 private:
  static constexpr Duration kWindow = 60s;
  static constexpr Duration kBucket = 10s;
  static constexpr Duration kRateFresh =
      3s;  ///< three reports: an older rate is of a link that ended

  struct Rate {
    std::uint64_t bps = 0;
    TimePoint at;
  };
  struct Bucket {
    TimePoint begin;
    std::uint64_t max_bps = 0;
  };
  void drop_stale(TimePoint now);

  std::map<NodeId, Rate> rates_;
  std::uint64_t sum_bps_ = 0;  // of rates_
  TimePoint oldest_{};         // no rate is older
  std::array<Bucket, 6> buckets_{};
  std::optional<TimePoint> congested_until_;
};

}  // namespace tayga::orch
