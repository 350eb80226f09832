#pragma once

#include "common/async/task.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace tayga::async {

/// Owns a bounded number of coroutines on one executor, cancels and joins them.
///
/// An exception that leaves a task is caught here and reported through the hook given to
/// set_on_error (without one: logged as an error); it ends that task only. Each task's root has
/// called throw_if_cancelled(false), so a cancelled operation is a value to it and it ends in its
/// own way. Not thread-safe: use it on its executor.
class TaskGroup {
 public:
  /// `group` is the name given to the constructor, `what` the exception's text.
  using ErrorHook = std::function<void(std::string_view group, std::string_view what)>;

  TaskGroup(asio::any_io_executor executor, std::string name, std::size_t tasks_max);
  ~TaskGroup();  ///< Pre: empty, or the executor will not run again.
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  /// False when tasks_max run already or the group is closed; the task is then destroyed unstarted.
  [[nodiscard]] bool spawn(Task<void> task);
  void set_on_error(ErrorHook hook);
  /// Refuses new tasks and emits terminal cancellation to all: at once when called on the executor,
  /// otherwise when it next runs.
  void cancel();
  /// Returns when the last task has ended. Call cancel() first unless they end by themselves.
  Task<void> join();

  [[nodiscard]] std::size_t size() const noexcept;
  [[nodiscard]] const asio::any_io_executor& executor() const noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace tayga::async
