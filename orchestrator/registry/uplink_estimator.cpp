#include "orchestrator/registry/uplink_estimator.hpp"

#include <algorithm>

namespace tayga::orch {

void UplinkEstimator::on_child_rate(const NodeId& child, std::uint64_t bps, TimePoint now) {
  Rate& rate = rates_[child];
  sum_bps_ += bps - rate.bps;
  rate = Rate{bps, now};
  if (oldest_ + kRateFresh < now) drop_stale(now);

  const TimePoint begin{now.time_since_epoch() / kBucket * kBucket};
  const auto slot = static_cast<std::uint64_t>(now.time_since_epoch() / kBucket);
  Bucket& bucket = buckets_[slot % buckets_.size()];
  if (bucket.begin != begin) bucket = Bucket{begin, 0};
  bucket.max_bps = std::max(bucket.max_bps, sum_bps_);
}

void UplinkEstimator::on_child_gone(const NodeId& child) {
  const auto rate = rates_.find(child);
  if (rate == rates_.end()) return;
  sum_bps_ -= rate->second.bps;
  rates_.erase(rate);
}

void UplinkEstimator::drop_stale(TimePoint now) {
  oldest_ = now;
  for (auto rate = rates_.begin(); rate != rates_.end();) {
    if (rate->second.at + kRateFresh < now) {
      sum_bps_ -= rate->second.bps;
      rate = rates_.erase(rate);
    } else {
      oldest_ = std::min(oldest_, rate->second.at);
      ++rate;
    }
  }
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
