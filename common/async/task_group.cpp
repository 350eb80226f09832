#include "common/async/task_group.hpp"

#include "common/async/event.hpp"
#include "common/log/log.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>
#include <list>
#include <utility>
#include <vector>

namespace tayga::async {
namespace {

Task<void> run_root(Task<void> task) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(task);
}

std::string describe(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception of an unknown type";
  }
}

}  // namespace

struct TaskGroup::State {
  using Signal = std::shared_ptr<asio::cancellation_signal>;

  State(asio::any_io_executor ex, std::string group_name, std::size_t max)
      : executor{std::move(ex)}, name{std::move(group_name)}, tasks_max{max}, ended{executor} {}

  void on_task_end(std::list<Signal>::iterator task, const std::exception_ptr& failure) {
    running.erase(task);
    if (failure) report(failure);
    if (running.empty()) ended.pulse();
  }

  void emit_cancel() {
    // A copy: what a task does when it is cancelled may end others.
    const std::vector<Signal> signals{running.begin(), running.end()};
    for (const Signal& signal : signals) signal->emit(asio::cancellation_type::terminal);
  }

  void report(const std::exception_ptr& failure) {
    const std::string what = describe(failure);
    if (on_error) return on_error(name, what);
    log::error("a task ended by an exception", log::field("group", name), log::field("what", what));
  }

  static Task<void> run_join(std::shared_ptr<State> state) {
    while (!state->running.empty()) (void)co_await state->ended.wait();
  }

  asio::any_io_executor executor;
  std::string name;
  std::size_t tasks_max;
  bool closed = false;
  ErrorHook on_error;
  std::list<Signal> running;
  Event ended;
};

TaskGroup::TaskGroup(asio::any_io_executor executor, std::string name, std::size_t tasks_max)
    : state_{std::make_shared<State>(std::move(executor), std::move(name), tasks_max)} {}

TaskGroup::~TaskGroup() {
  state_->closed = true;
}

bool TaskGroup::spawn(Task<void> task) {
  if (state_->closed || state_->running.size() >= state_->tasks_max) return false;
  auto signal = std::make_shared<asio::cancellation_signal>();
  const auto position = state_->running.insert(state_->running.end(), signal);
  auto on_end = [state = state_, position](const std::exception_ptr& failure) {
    state->on_task_end(position, failure);
  };
  asio::co_spawn(state_->executor, run_root(std::move(task)),
                 asio::bind_cancellation_slot(signal->slot(), std::move(on_end)));
  return true;
}

void TaskGroup::set_on_error(ErrorHook hook) {
  state_->on_error = std::move(hook);
}

void TaskGroup::cancel() {
  state_->closed = true;
  // co_spawn passes a signal on through its executor by a bare pointer into the signal: emitted
  // from outside the executor, that pointer could outlive a task that ends just then (Boost 1.81).
  // Emitted on the executor it is passed on at once.
  asio::dispatch(state_->executor, [state = state_] { state->emit_cancel(); });
}

Task<void> TaskGroup::join() {
  return State::run_join(state_);
}

std::size_t TaskGroup::size() const noexcept {
  return state_->running.size();
}

const asio::any_io_executor& TaskGroup::executor() const noexcept {
  return state_->executor;
}

}  // namespace tayga::async
