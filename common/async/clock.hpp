#pragma once

#include "common/base/time.hpp"

#include <chrono>

namespace tayga::async {

/// The shells' clock: steady_clock on the MonotonicTimeline that cores understand.
struct Clock {
  static TimePoint now() noexcept {
    return TimePoint{
        std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())};
  }
  static WallTime wall_now() noexcept {
    return std::chrono::time_point_cast<std::chrono::microseconds>(
        std::chrono::system_clock::now());
  }
  /// For timers: the steady_clock instant of a core's TimePoint.
  static std::chrono::steady_clock::time_point to_steady(TimePoint t) noexcept {
    if (t == TimePoint::max()) return std::chrono::steady_clock::time_point::max();
    return std::chrono::steady_clock::time_point{t.time_since_epoch()};
  }
};

}  // namespace tayga::async
