#pragma once

#include "common/base/time.hpp"

#include <sys/epoll.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

namespace tayga::test {

/// Closes its descriptor.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_{fd} {}
  OwnedFd(OwnedFd&& other) noexcept;
  OwnedFd& operator=(OwnedFd&& other) noexcept;
  ~OwnedFd();
  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// The loop of an emulator: one epoll, one thread, and calls posted to it from other threads.
/// Timers are as fine as the kernel's (epoll_pwait2), falling back to whole milliseconds.
class EmulatorThread {
 public:
  /// Called on the thread. on_time says when it wants to be called again at the latest.
  struct Hooks {
    std::function<void(std::uint64_t tag, std::uint32_t events)> on_event;
    std::function<std::optional<TimePoint>()> on_time;
  };

  EmulatorThread();
  ~EmulatorThread();  ///< Joins; call stop() before what the hooks use is gone.

  void start(Hooks hooks);
  void stop();
  /// From any thread; runs on the emulator's. Blocks until it has run.
  void run(const std::function<void()>& work);

  /// On the thread, or before start().
  void watch(int fd, std::uint64_t tag, std::uint32_t events) const;
  void rewatch(int fd, std::uint64_t tag, std::uint32_t events) const;

 private:
  static constexpr std::uint64_t kWakeTag = UINT64_MAX;

  void loop();
  void wake() const;
  void run_posted();
  int wait(std::optional<TimePoint> until, std::span<epoll_event> events);

  OwnedFd epoll_;
  OwnedFd wake_;
  Hooks hooks_;
  std::mutex mutex_;  // of posted_
  std::vector<std::function<void()>> posted_;
  std::atomic<bool> stopping_{false};
  bool fine_timers_ = true;
  std::thread thread_;
};

}  // namespace tayga::test
