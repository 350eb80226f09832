#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <future>
#include <memory>
#include <type_traits>
#include <vector>

namespace tayga::transport::workers {

/// Threads, each with an io_context of its own. Worker 0 is the caller's own executor, the main
/// one, and has no thread: a pool of one is the program without threads.
///
/// Use it from the main executor only. Everything that lives on a worker must be destroyed, or told
/// to destroy itself, before stop(). An exception that leaves a handler on a worker is thrown again
/// on the main executor: it ends the program as if it had happened there.
class WorkerPool {
 public:
  /// Starts `count - 1` threads. Pre: count >= 1. Throws std::system_error when the system has none
  /// left.
  WorkerPool(boost::asio::any_io_executor main, unsigned count);
  ~WorkerPool();  ///< as stop()
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  [[nodiscard]] unsigned size() const noexcept;
  /// Pre: worker < size().
  [[nodiscard]] boost::asio::any_io_executor executor(unsigned worker) const;

  /// Lets the workers finish what they have, at most kDrainMax, and joins their threads. What still
  /// waits then is abandoned, with a warning. Idempotent.
  void stop();

  /// Runs `task` on the worker and waits for what it returns or throws: for rare things whose
  /// answer is needed at once, such as listen(). It cannot deadlock, because a worker never waits
  /// for the main thread. Pre: not stopped; called from the main executor's thread.
  template <class Task>
  std::invoke_result_t<Task&> run_on(unsigned worker, Task task) {
    if (worker == 0) return task();
    check_running();
    std::packaged_task<std::invoke_result_t<Task&>()> packaged{std::move(task)};
    auto answer = packaged.get_future();
    boost::asio::post(executor(worker), std::move(packaged));
    return answer.get();
  }

 private:
  struct Worker;
  void check_running() const;

  boost::asio::any_io_executor main_;
  std::vector<std::unique_ptr<Worker>> threads_;  // of the workers 1, 2, ...
  bool stopped_ = false;
};

}  // namespace tayga::transport::workers
