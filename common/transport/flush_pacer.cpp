#include "common/transport/flush_pacer.hpp"

#include <algorithm>

namespace tayga::transport {
namespace {

double seconds(Duration time) noexcept {
  return std::chrono::duration<double>(time).count();
}

Duration delay_at(double load, const FlushDelay& range) noexcept {
  constexpr double kSpan = FlushPacer::kLoadHigh - FlushPacer::kLoadLow;
  const double share = std::clamp((load - FlushPacer::kLoadLow) / kSpan, 0.0, 1.0);
  const double extra = share * static_cast<double>((range.max - range.min).count());
  const Duration delay = range.min + Duration{static_cast<Duration::rep>(extra)};
  return delay < FlushPacer::kDelayMin ? range.min : delay;
}

}  // namespace

void FlushPacer::on_sample(TimePoint now, ThreadTime time) noexcept {
  const bool follows =
      sampled_at_ && now > *sampled_at_ && time.used >= time_.used && time.waited >= time_.waited;
  if (follows) {
    const Duration elapsed = now - *sampled_at_;
    const Duration used = time.used - time_.used;
    const Duration available = std::max(elapsed - (time.waited - time_.waited), used);
    const double load = available > 0us ? seconds(used) / seconds(available) : 0.0;
    // The weight of a sample grows with the time it covers: after a quiet while it says it all.
    load_ += (load - load_) * seconds(elapsed) / seconds(elapsed + kSmoothing);
    delay_ = delay_at(load_, range_);
  }
  sampled_at_ = now;
  time_ = time;
}

}  // namespace tayga::transport
