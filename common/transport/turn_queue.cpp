#include "common/transport/turn_queue.hpp"

#include "common/async/clock.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>

namespace tayga::transport {
namespace {

/// Who is due within this is served now: a wake-up costs more than the wait is worth.
constexpr Duration kDueSlack = 500us;

}  // namespace

TurnQueue::TurnQueue(boost::asio::any_io_executor executor, Duration delay)
    : executor_{std::move(executor)}, delay_{delay}, timer_{executor_} {}

void TurnQueue::schedule(std::weak_ptr<TurnTaker> who) {
  soon_.push_back(std::move(who));
  if (soon_.size() > 1) return;
  boost::asio::post(executor_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->run_soon();
  });
}

void TurnQueue::run_soon() {
  std::vector<std::weak_ptr<TurnTaker>> now;
  now.swap(soon_);
  // Siblings ask in the same order each time and the last one waits for all: start elsewhere.
  const std::size_t first = rotation_++ % now.size();
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (const auto who = now[(first + i) % now.size()].lock()) who->on_turn(Turn::soon);
  }
  if (soon_.empty()) {
    now.clear();
    soon_.swap(now);  // keeps the capacity
  }
}

void TurnQueue::schedule_delayed(std::weak_ptr<TurnTaker> who) {
  delayed_.emplace_back(async::Clock::now() + delay_, std::move(who));
  arm_timer();
}

void TurnQueue::arm_timer() {
  if (timer_armed_ || delayed_.empty()) return;
  timer_armed_ = true;
  timer_.expires_at(async::Clock::to_steady(delayed_.front().first));
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
    const auto self = weak.lock();
    if (!self) return;
    self->timer_armed_ = false;
    if (!ec) self->run_delayed();
    self->arm_timer();
  });
}

void TurnQueue::run_delayed() {
  const TimePoint due = async::Clock::now() + std::min(kDueSlack, delay_);
  while (!delayed_.empty() && delayed_.front().first <= due) {
    const auto who = delayed_.front().second.lock();
    delayed_.pop_front();
    if (who) who->on_turn(Turn::delayed);
  }
}

}  // namespace tayga::transport
