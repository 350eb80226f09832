#pragma once

#include <chrono>

namespace tayga {

using namespace std::chrono_literals;

using Duration = std::chrono::microseconds;

/// The monotonic timeline that cores are told of; it has no now(), so pure code cannot read a clock.
struct MonotonicTimeline {
  using rep = Duration::rep;
  using period = Duration::period;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonotonicTimeline>;
  static constexpr bool is_steady = true;
};
using TimePoint = MonotonicTimeline::time_point;

/// Civil time, microseconds since the Unix epoch (UTC).
using WallTime = std::chrono::sys_time<std::chrono::microseconds>;

}  // namespace tayga
