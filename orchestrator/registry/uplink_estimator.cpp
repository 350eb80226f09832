#include "orchestrator/registry/uplink_estimator.hpp"

#include <algorithm>

namespace tayga::orch {

void UplinkEstimator::on_child_rate(const NodeId& child, std::uint64_t bps, TimePoint now) {
  rates_[child] = Rate{bps, now};
  std::uint64_t sum_bps = 0;
  std::erase_if(rates_, [now](const auto& rate) { return rate.second.at + kRateFresh < now; });
  for (const auto& [node, rate] : rates_) sum_bps += rate.bps;

  const TimePoint begin{now.time_since_epoch() / kBucket * kBucket};
  const auto slot = static_cast<std::uint64_t>(now.time_since_epoch() / kBucket);
  Bucket& bucket = buckets_[slot % buckets_.size()];
  if (bucket.begin != begin) bucket = Bucket{begin, 0};
  bucket.max_bps = std::max(bucket.max_bps, sum_bps);
}

std::uint64_t UplinkEstimator::measured_bps(TimePoint now) const {
  std::uint64_t max_bps = 0;
  for (const Bucket& bucket : buckets_) {
    if (bucket.begin + kWindow >= now) max_bps = std::max(max_bps, bucket.max_bps);
  }
  return max_bps;
}

std::uint64_t UplinkEstimator::usable_bps(std::uint64_t declared_bps, TimePoint now) const {
  if (!congested_until_ || now >= *congested_until_) return declared_bps;
  // FlashFlow: a capacity that was seen can be trusted to a third more.
  const std::uint64_t grown_bps = measured_bps(now) / 3 * 4;
  return std::min(declared_bps, std::max(grown_bps, std::min(declared_bps, kUplinkFloorBps)));
}

}  // namespace tayga::orch
