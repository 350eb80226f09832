#include "common/transport/tls/poller.hpp"

#include "common/async/clock.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

namespace tayga::transport::tls {
namespace {

int create_set() {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) throw std::system_error{errno, std::system_category(), "epoll_create1"};
  return fd;
}

}  // namespace

Poller::Poller(boost::asio::any_io_executor executor, Duration tick_period)
    : tick_period_{tick_period}, set_{executor, create_set()}, tick_timer_{std::move(executor)} {}

bool Poller::add(int fd, Pollable& who, std::uint32_t events) {
  epoll_event event{.events = events, .data = {.ptr = &who}};
  if (::epoll_ctl(set_.native_handle(), EPOLL_CTL_ADD, fd, &event) != 0) return false;
  members_.insert(&who);
  arm();
  arm_tick();
  return true;
}

void Poller::modify(int fd, Pollable& who, std::uint32_t events) {
  epoll_event event{.events = events, .data = {.ptr = &who}};
  (void)::epoll_ctl(set_.native_handle(), EPOLL_CTL_MOD, fd, &event);
}

void Poller::remove(int fd, Pollable& who) {
  epoll_event unused{};
  (void)::epoll_ctl(set_.native_handle(), EPOLL_CTL_DEL, fd, &unused);
  members_.erase(&who);
  // An event that was not served yet may still name it.
  for (int i = 0; i < event_count_; ++i) {
    epoll_event& event = events_[static_cast<std::size_t>(i)];
    if (event.data.ptr == &who) event.data.ptr = nullptr;
  }
  if (!members_.empty()) return;
  set_.cancel();
  tick_timer_.cancel();
}

void Poller::arm() {
  if (armed_ || members_.empty()) return;
  armed_ = true;
  if (next_event_ < event_count_) {
    go_on();
  } else {
    wait_for_events();
  }
}

void Poller::wait_for_events() {
  set_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                  [weak = weak_from_this()](const boost::system::error_code& ec) {
                    const auto self = weak.lock();
                    if (!self) return;
                    self->armed_ = false;
                    if (!ec) self->on_wake();
                    self->arm();
                  });
}

/// Those that were not served have the next turn: the kernel would name the first ones again.
void Poller::go_on() {
  boost::asio::post(set_.get_executor(), [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->armed_ = false;
    self->on_wake();
    self->arm();
  });
}

void Poller::on_wake() {
  if (next_event_ == event_count_) {
    next_event_ = 0;
    event_count_ = std::max(
        0, ::epoll_wait(set_.native_handle(), events_.data(), kEventsPerWait, /*timeout=*/0));
  }
  const TimePoint end = async::Clock::now() + kWakeSlice;
  while (next_event_ < event_count_) {
    const epoll_event& event = events_[static_cast<std::size_t>(next_event_++)];
    if (event.data.ptr == nullptr) continue;
    static_cast<Pollable*>(event.data.ptr)->on_ready(event.events);
    if (async::Clock::now() >= end) return;
  }
}

void Poller::arm_tick() {
  if (tick_armed_ || members_.empty()) return;
  tick_armed_ = true;
  tick_timer_.expires_after(tick_period_);
  tick_timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (!self) return;
    self->tick_armed_ = false;
    if (!ec) self->run_tick();
    self->arm_tick();
  });
}

void Poller::run_tick() {
  const TimePoint now = async::Clock::now();
  const std::vector<Pollable*> all{members_.begin(), members_.end()};
  for (Pollable* const who : all) {
    if (members_.contains(who)) who->on_tick(now);
  }
}

}  // namespace tayga::transport::tls
