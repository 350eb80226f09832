#include "daemon/core/arrival_forecast.hpp"

#include <algorithm>

namespace tayga::relay {

void ArrivalForecast::on_media(WallTime published, TimePoint now) noexcept {
  if (newest_ == WallTime{}) {
    sampled_ = published;
    sampled_at_ = now;
  }
  // What is urgent overtakes: only the newest says how far the parent is.
  if (published < newest_) return;
  newest_ = published;
  newest_at_ = now;
  const Duration span = now - sampled_at_;
  if (span < kSampleSpan) return;
  const double sample = static_cast<double>((newest_ - sampled_).count()) /
                        static_cast<double>(span.count());
  speed_ = std::clamp((speed_ + sample) / 2, kSpeedMin, kSpeedMax);
  sampled_ = newest_;
  sampled_at_ = now;
}

std::optional<TimePoint> ArrivalForecast::expect(WallTime published) const noexcept {
  if (newest_ == WallTime{}) return std::nullopt;
  const double ahead = static_cast<double>((published - newest_).count());
  return newest_at_ + Duration{static_cast<Duration::rep>(ahead / speed_)};
}

}  // namespace tayga::relay
