#pragma once

#include "common/metrics/registry.hpp"
#include "daemon/core/relay.hpp"
#include "daemon/peers/relay_driver.hpp"
#include "daemon/relay_histograms.hpp"
#include "daemon/rescue/origin_rescue.hpp"

#include <boost/asio/any_io_executor.hpp>

namespace tayga {

/// What the daemon does beside the relay when parents fail: fetches from origins, logs and
/// measures repairs. Decides nothing: which parent, and when, is the relay's business.
///
/// On the daemon's executor; the parts must outlive it.
class Healing final : public rescue::OriginAnswers {
 public:
  Healing(boost::asio::any_io_executor executor, peers::RelayDriver& driver,
          const relay::Relay& relay, metrics::Registry& registry);

  void on_suspected(const relay::Relay::Suspected& suspected);
  void on_repaired(const relay::Relay::Repaired& repaired);
  void on_fetch_origin(const relay::Relay::FetchOrigin& fetch) { origin_.fetch(fetch); }
  /// About once a second.
  void sample() { histograms_.sample_lateness(relay_.stripes()); }
  /// Nothing is fetched from origins any more.
  void stop() { origin_.stop(); }

  [[nodiscard]] const RelayHistograms& histograms() const noexcept { return histograms_; }

 private:
  void on_origin_bytes(std::uint64_t request, std::uint64_t offset, ByteView bytes) override;
  void on_origin_done(std::uint64_t request, const relay::Relay::OriginDone& done) override;

  peers::RelayDriver& driver_;
  const relay::Relay& relay_;
  RelayHistograms histograms_;
  rescue::OriginRescue origin_;
};

}  // namespace tayga
