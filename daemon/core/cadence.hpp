#pragma once

#include "common/base/time.hpp"

namespace tayga::relay {

/// A live parent is its own clock: it gives a beat at least every 50 ms, a chunk or a head.
inline constexpr Duration kSuspicionMin = 60ms;
/// Three of the slowest beats. On most paths a lost packet was sent again by then: what was only
/// lost costs a fetch and no change of parents.
inline constexpr Duration kCondemnMin = 150ms;

/// Learns how often a parent beats, and says when its silence is suspicious.
///
/// Suspicion after max(60 ms, 2.5 x the observed interval + 4 x its jitter), the parent is given up
/// when the next beat is missing as well, and not before kCondemnMin, nor before a beat that was
/// lost could have been sent again. Frames that arrive together are one beat. Pure. Source: the
/// smoothing is that of RFC 6298, but a silence that was survived is remembered for seconds: wholly
/// before a parent is given up, in part before it is suspected.
class Cadence {
 public:
  /// `floor` = no silence is suspicious before it.
  explicit Cadence(Duration floor = kSuspicionMin) noexcept : floor_{floor} {}

  /// A session begins, or its silence was asked for: nothing is overdue.
  void restart(TimePoint now) noexcept;
  /// It beats differently from here on; that it was held up before stays known.
  void relearn() noexcept;
  void on_beat(TimePoint now) noexcept;
  /// How long the peer took to answer: at least a round trip. The shortest one counts.
  void on_answer(Duration took) noexcept;

  [[nodiscard]] TimePoint last_beat() const noexcept { return last_; }
  [[nodiscard]] Duration interval() const noexcept { return interval_; }
  [[nodiscard]] Duration jitter() const noexcept { return jitter_; }
  [[nodiscard]] TimePoint suspect_at() const noexcept;
  [[nodiscard]] TimePoint condemn_at() const noexcept;

 private:
  [[nodiscard]] Duration patience(Duration hold) const noexcept;

  Duration floor_;
  TimePoint last_{};
  TimePoint burst_{};  // the first frame of the newest beat
  Duration interval_ = 50ms;
  Duration jitter_ = 10ms;
  Duration hold_{0};        // a silence that was suspicious and came to nothing
  Duration round_trip_{0};  // at most so long; 0 = nothing was asked yet
};

}  // namespace tayga::relay
