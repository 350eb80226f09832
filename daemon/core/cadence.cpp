#include "daemon/core/cadence.hpp"

#include <algorithm>

namespace tayga::relay {
namespace {

constexpr Duration kBurst = 5ms;           ///< frames this close are one beat
constexpr Duration kIntervalMax = 250ms;   ///< a longer silence says nothing about the next one
constexpr int kHoldFading = 512;           ///< beats: some ten seconds
constexpr Duration kHoldMax = 180ms;       ///< a suspicion costs a fetch: better than a glitch
constexpr Duration kRoundTripMax = 500ms;  ///< a longer answer waited for something else
constexpr Duration kBeatMin = 30ms;        ///< a busy parent may fall back to its heads at any time

}  // namespace

void Cadence::restart(TimePoint now) noexcept {
  last_ = burst_ = now;
}

void Cadence::relearn() noexcept {
  interval_ = Cadence{}.interval_;
  jitter_ = Cadence{}.jitter_;
}

void Cadence::on_beat(TimePoint now) noexcept {
  last_ = std::max(last_, now);
  const Duration since = now - burst_;
  if (since < kBurst) return;
  burst_ = now;
  const Duration sample = std::min(since, kIntervalMax);
  const Duration deviation = sample > interval_ ? sample - interval_ : interval_ - sample;
  // Who was held up once is held up again: learned at once, forgotten in seconds.
  hold_ = sample > patience(hold_) ? sample * 5 / 4 : hold_ - hold_ / kHoldFading;
  jitter_ += (deviation - jitter_) / 4;
  interval_ += (sample - interval_) / 8;
}

void Cadence::on_answer(Duration took) noexcept {
  const Duration sample = std::clamp<Duration>(took, 1us, kRoundTripMax);
  round_trip_ = round_trip_ == Duration{0} ? sample : std::min(round_trip_, sample);
}

Duration Cadence::patience(Duration hold) const noexcept {
  return std::max({floor_, interval_ * 5 / 2 + jitter_ * 4, hold});
}

TimePoint Cadence::suspect_at() const noexcept {
  return last_ + patience(std::min(hold_, kHoldMax));
}

TimePoint Cadence::condemn_at() const noexcept {
  // RFC 9002: what overtakes a lost packet makes it lost after nine eighths of a round trip.
  const Duration sent_again = interval_ + jitter_ * 4 + round_trip_ * 9 / 8;
  return last_ +
         std::max({patience(hold_) + std::max(interval_, kBeatMin), kCondemnMin, sent_again});
}

}  // namespace tayga::relay
