#include "daemon/relay_histograms.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace tayga {
namespace {

constexpr std::array kRepairBounds{0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15,
                                   0.2,   0.3,  0.5,  0.75,  1.0,  2.0,   5.0};
constexpr std::array kDetectionBounds{0.02, 0.04, 0.06, 0.08, 0.1, 0.125,
                                      0.15, 0.2,  0.25, 0.5,  1.0, 2.5};
constexpr std::array kLatenessBounds{0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0};

Duration to_duration(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>{seconds});
}

}  // namespace

RelayHistograms::RelayHistograms(metrics::Registry& registry)
    : repair_gaps_{registry.histograms(
          "tayga_repair_gap_seconds",
          "From the last sign of life of a lost parent until its stripes were whole again.",
          {"stream"}, kRepairBounds, relay::RelayLimits{}.streams_max)},
      detection_{registry.histogram(
          "tayga_detection_seconds",
          "How long a parent had been silent when it was suspected to have failed.",
          kDetectionBounds)},
      lateness_{registry.histogram(
          "tayga_slice_lateness_seconds",
          "Arrival of each stripe's newest slice after it was published, sampled once a second.",
          kLatenessBounds)} {}

void RelayHistograms::on_suspected(const relay::Relay::Suspected& suspected) {
  detection_.observe(suspected.silence);
}

void RelayHistograms::on_repaired(const relay::Relay::Repaired& repaired,
                                  std::string_view stream_name) {
  repair_gaps_.with({stream_name}).observe(repaired.gap);
  repair_gap_max_ = std::max(repair_gap_max_, repaired.gap);
}

void RelayHistograms::sample_lateness(const std::vector<relay::StripeStatus>& stripes) {
  decltype(sampled_) sampled;
  for (const relay::StripeStatus& stripe : stripes) {
    // The publisher's own stripes, and those that nothing came for.
    if (!stripe.parent || stripe.lateness == Duration::zero()) continue;
    const auto key = std::tuple{stripe.stream, stripe.track, stripe.stripe};
    sampled[key] = stripe.next_seq;
    const auto before = sampled_.find(key);
    if (before == sampled_.end() || before->second != stripe.next_seq) {
      lateness_.observe(stripe.lateness);
    }
  }
  sampled_ = std::move(sampled);
}

RelayHistograms::Distribution RelayHistograms::repair_gap() const {
  std::array<std::uint64_t, kRepairBounds.size() + 1> counts{};
  repair_gaps_.visit([&](const auto&, const metrics::Histogram& one) {
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += one.bucket(i);
  });
  const auto at = [&](double share) {
    const Duration value = to_duration(metrics::quantile(kRepairBounds, counts, share));
    return std::min(value, repair_gap_max_);
  };
  Distribution out;
  out.p50 = at(0.5);
  out.p99 = at(0.99);
  out.max = repair_gap_max_;
  for (const std::uint64_t count : counts) out.count += count;
  return out;
}

}  // namespace tayga
