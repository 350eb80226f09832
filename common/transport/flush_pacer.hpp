#pragma once

#include "common/base/time.hpp"
#include "common/transport/thread_time.hpp"

#include <cstdint>
#include <optional>

namespace tayga::transport {

/// How long the media of one child may wait for more to share its write: `min` while the loop has
/// time to spare, up to `max` when it has none. Equal: always so long.
struct FlushDelay {
  Duration min{0};
  Duration max = 16ms;  ///< a child of 8 Mbit/s has gathered four 4 KiB chunks by then

  static constexpr FlushDelay fixed(Duration delay) noexcept { return {delay, delay}; }
};

/// Decides how long a loop's writes wait, from how busy its thread is.
///
/// What a write costs, it costs per write far more than per byte, so a busy relay carries several
/// times as much when its children's chunks wait for each other; an idle one would only add
/// latency. The load is the share that the thread used of the processor time it could have had: a
/// thread that is kept waiting by others is full when it has all that they leave. Smoothed, it is
/// mapped in a straight line: kLoadLow and less = min, kLoadHigh and more = max. More delay lowers
/// the load, so the two settle where the line meets the cost; the smoothing is slow enough that
/// they do not swing around it. Sans-IO.
class FlushPacer {
 public:
  static constexpr double kLoadLow = 0.55;
  static constexpr double kLoadHigh = 0.70;
  static constexpr Duration kSamplePeriod = 25ms;
  static constexpr Duration kSmoothing = 600ms;
  /// A shorter wait gathers nothing and costs a timer.
  static constexpr Duration kDelayMin = 1ms;

  explicit FlushPacer(FlushDelay range) noexcept : range_{range}, delay_{range.min} {}

  /// True once kSamplePeriod has passed since the last sample.
  [[nodiscard]] bool wants_sample(TimePoint now) const noexcept {
    return !sampled_at_ || now - *sampled_at_ >= kSamplePeriod;
  }
  /// `time` is of the loop's thread. A sample that goes back in any of its times, as from another
  /// thread, begins anew.
  void on_sample(TimePoint now, ThreadTime time) noexcept;

  /// 0: what there is goes out at the end of the turn.
  [[nodiscard]] Duration delay() const noexcept { return delay_; }
  /// 0 to 1.
  [[nodiscard]] double load() const noexcept { return load_; }

 private:
  const FlushDelay range_;
  Duration delay_;
  double load_ = 0;
  std::optional<TimePoint> sampled_at_;
  ThreadTime time_;  // at the last sample
};

}  // namespace tayga::transport
