#pragma once

#include "common/base/time.hpp"

namespace tayga::transport {

/// What one thread has had of a processor since it began.
struct ThreadTime {
  Duration used{0};
  Duration waited{0};  ///< ready to run, while others had the processor; 0 where nobody counts it
};

/// Reads the calling thread's times from the kernel, which takes about 2 us. It belongs to the
/// thread that reads first.
class ThreadClock {
 public:
  ThreadClock() = default;
  ~ThreadClock();
  ThreadClock(const ThreadClock&) = delete;
  ThreadClock& operator=(const ThreadClock&) = delete;

  [[nodiscard]] ThreadTime read() noexcept;

 private:
  int file_ = -1;  // /proc/thread-self/schedstat
  bool opened_ = false;
};

}  // namespace tayga::transport
