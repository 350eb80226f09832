#include "common/transport/turn_queue.hpp"

#include "common/async/clock.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>

namespace tayga::transport {
namespace {

/// Who is due within this is served now: a wake-up costs more than the wait is worth.
constexpr Duration kDueSlack = 500us;

}  // namespace

TurnQueue::TurnQueue(boost::asio::any_io_executor executor, FlushDelay delay)
    : executor_{std::move(executor)}, pacer_{delay}, timer_{executor_} {}

void TurnQueue::schedule(std::weak_ptr<TurnTaker> who) {
  asked_.push_back(std::move(who));
  post_soon();
}

void TurnQueue::post_soon() {
  if (posted_) return;
  posted_ = true;
  boost::asio::post(executor_, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->run_soon();
  });
}

void TurnQueue::run_soon() {
  posted_ = false;
  if (round_.empty()) {
    round_.swap(asked_);
    served_ = 0;
    // Siblings ask in the same order each time and the last one waits for all: start elsewhere.
    first_ = rotation_++ % round_.size();
  }
  const TimePoint end = begin_slice();
  do {
    const auto who = round_[(first_ + served_) % round_.size()].lock();
    ++served_;
    if (who) who->on_turn(Turn::soon);
  } while (served_ < round_.size() && async::Clock::now() < end);

  if (served_ == round_.size()) round_.clear();
  if (!round_.empty() || !asked_.empty()) post_soon();
}

void TurnQueue::schedule_delayed(std::weak_ptr<TurnTaker> who) {
  TimePoint due = async::Clock::now() + pacer_.delay();
  // Those before it may have been given a little longer, when there was more to do.
  if (!delayed_.empty()) due = std::max(due, delayed_.back().first);
  delayed_.emplace_back(due, std::move(who));
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
  const TimePoint end = begin_slice();
  TimePoint now = end - kTurnSlice;
  while (now < end && !delayed_.empty() && delayed_.front().first <= now + kDueSlack) {
    const auto who = delayed_.front().second.lock();
    delayed_.pop_front();
    if (who) who->on_turn(Turn::delayed);
    now = async::Clock::now();
  }
}

/// Looks at the load once in a while; returns when the slice that begins now is used up.
TimePoint TurnQueue::begin_slice() {
  const TimePoint now = async::Clock::now();
  if (pacer_.wants_sample(now)) pacer_.on_sample(now, thread_clock_.read());
  return now + kTurnSlice;
}

}  // namespace tayga::transport
