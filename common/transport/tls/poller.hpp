#pragma once

#include "common/base/time.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sys/epoll.h>

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_set>

namespace tayga::transport::tls {

/// Something with a socket in a Poller. Either call may destroy it, if it holds itself meanwhile.
class Pollable {
 public:
  /// `events` as epoll gives them (EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR), level-triggered.
  virtual void on_ready(std::uint32_t events) = 0;
  /// About every tick_period, for deadlines that need no precision.
  virtual void on_tick(TimePoint now) = 0;

 protected:
  ~Pollable() = default;
};

/// Watches many sockets through one wait of the executor.
///
/// The sockets sit in an epoll set of their own, and Asio watches that set. A wake-up of hundreds
/// of sessions then costs one re-armed wait instead of one each (a third of bulk throughput), and
/// they share the buffers that they read into, because data is read when it is processed, not
/// before. A wake-up serves for kWakeSlice at most, then gives the executor back to others and goes
/// on with the next socket, so that neither a flood of handshakes nor a burst delays a timer. Waits
/// only while it has sockets, so it does not keep an idle executor running. Not thread-safe.
class Poller : public std::enable_shared_from_this<Poller> {
 public:
  /// Throws std::system_error when the system has no descriptors left.
  Poller(boost::asio::any_io_executor executor, Duration tick_period);

  /// `who` is called until remove(). Pre: `fd` is open and not in the set. False: out of resources.
  [[nodiscard]] bool add(int fd, Pollable& who, std::uint32_t events);
  void modify(int fd, Pollable& who, std::uint32_t events);
  /// Safe from inside any callback; `who` is not called again. Pre: `fd` is still open.
  void remove(int fd, Pollable& who);

 private:
  static constexpr int kEventsPerWait = 64;
  static constexpr Duration kWakeSlice = 1ms;

  void arm();
  void wait_for_events();
  void go_on();
  void arm_tick();
  void on_wake();
  void run_tick();

  const Duration tick_period_;
  boost::asio::posix::stream_descriptor set_;
  boost::asio::steady_timer tick_timer_;
  std::unordered_set<Pollable*> members_;
  bool armed_ = false;
  bool tick_armed_ = false;
  std::array<epoll_event, kEventsPerWait> events_{};
  int event_count_ = 0;
  int next_event_ = 0;  // those before it were served
};

}  // namespace tayga::transport::tls
