#include "common/async/event.hpp"

#include "common/async/clock.hpp"

#include <boost/asio/steady_timer.hpp>

#include <list>
#include <utility>

namespace tayga::async {

struct Event::State {
  asio::any_io_executor executor;
  Reset reset;
  bool set = false;
  bool destroyed = false;
  std::list<Waiter*> waiters;  // in order of arrival; each lives in the frame of its coroutine
};

/// One waiting coroutine. It leaves the list by itself, also when its frame is destroyed
/// unfinished.
struct Event::Waiter {
  Waiter(std::shared_ptr<State> owner, std::optional<TimePoint> deadline)
      : state{std::move(owner)}, timer{state->executor} {
    timer.expires_at(Clock::to_steady(deadline.value_or(TimePoint::max())));
    position = state->waiters.insert(state->waiters.end(), this);
  }
  ~Waiter() {
    if (linked) state->waiters.erase(position);
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  void wake() {
    woken = true;
    linked = false;
    state->waiters.erase(position);
    timer.cancel();
  }

  static void wake_one(State& state) {
    if (state.waiters.empty()) {
      state.set = true;
    } else {
      state.waiters.front()->wake();
    }
  }
  static void wake_all(State& state) {
    while (!state.waiters.empty()) state.waiters.front()->wake();
  }

  std::shared_ptr<State> state;
  asio::steady_timer timer;
  std::list<Waiter*>::iterator position;
  bool linked = true;
  bool woken = false;
};

Event::Event(asio::any_io_executor executor, Reset reset)
    : state_{std::make_shared<State>(State{std::move(executor), reset, false, false, {}})} {}

Event::~Event() {
  state_->destroyed = true;
  Waiter::wake_all(*state_);
}

void Event::set() {
  if (state_->reset == Reset::automatic) return Waiter::wake_one(*state_);
  state_->set = true;
  Waiter::wake_all(*state_);
}

void Event::reset() noexcept {
  state_->set = false;
}

void Event::pulse() {
  state_->set = false;
  Waiter::wake_all(*state_);
}

Task<WaitResult> Event::wait(std::optional<TimePoint> deadline) {
  return run_wait(state_, deadline);
}

bool Event::is_set() const noexcept {
  return state_->set;
}

std::size_t Event::waiter_count() const noexcept {
  return state_->waiters.size();
}

Task<WaitResult> Event::run_wait(std::shared_ptr<State> state, std::optional<TimePoint> deadline) {
  if (state->destroyed) co_return WaitResult::cancelled;
  if (state->set) {
    if (state->reset == Reset::automatic) state->set = false;
    co_return WaitResult::signalled;
  }
  Waiter waiter{state, deadline};
  const auto [ec] = co_await waiter.timer.async_wait(as_values);
  if (state->destroyed) co_return WaitResult::cancelled;
  // Woken wins over both others: the signal was for this waiter and must not get lost.
  if (waiter.woken) co_return WaitResult::signalled;
  co_return ec ? WaitResult::cancelled : WaitResult::deadline;
}

}  // namespace tayga::async
