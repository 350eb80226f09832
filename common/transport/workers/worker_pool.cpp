#include "common/transport/workers/worker_pool.hpp"

#include "common/base/check.hpp"
#include "common/base/time.hpp"
#include "common/log/log.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <pthread.h>

#include <exception>
#include <string>
#include <thread>
#include <utility>

namespace tayga::transport::workers {
namespace {

namespace asio = boost::asio;

/// Farewells of sessions are bounded to 1 s.
constexpr Duration kDrainMax = 2s;

}  // namespace

struct WorkerPool::Worker {
  Worker(asio::any_io_executor main, unsigned index) : work{io.get_executor()} {
    ended = ended_promise.get_future();
    thread = std::thread{[this, main = std::move(main), index] { run(main, index); }};
  }

  void run(const asio::any_io_executor& main, unsigned index) {
    (void)pthread_setname_np(pthread_self(), ("tayga-worker-" + std::to_string(index)).c_str());
    for (;;) {
      try {
        io.run();
        break;
      } catch (...) {
        // Not swallowed here and not fatal here: main() decides, and says why in words.
        asio::post(main, [error = std::current_exception()] { std::rethrow_exception(error); });
      }
    }
    ended_promise.set_value();
  }

  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work;
  std::promise<void> ended_promise;
  std::future<void> ended;
  std::thread thread;
};

WorkerPool::WorkerPool(asio::any_io_executor main, unsigned count) : main_{std::move(main)} {
  TAYGA_CHECK(count >= 1);
  for (unsigned i = 1; i < count; ++i) threads_.push_back(std::make_unique<Worker>(main_, i));
}

WorkerPool::~WorkerPool() {
  stop();
}

unsigned WorkerPool::size() const noexcept {
  return static_cast<unsigned>(threads_.size()) + 1;
}

asio::any_io_executor WorkerPool::executor(unsigned worker) const {
  if (worker == 0) return main_;
  return threads_.at(worker - 1)->io.get_executor();
}

void WorkerPool::stop() {
  if (std::exchange(stopped_, true)) return;
  for (const auto& worker : threads_) worker->work.reset();
  for (const auto& worker : threads_) {
    if (worker->ended.wait_for(kDrainMax) != std::future_status::ready) {
      log::warn("a worker had unfinished work when it was told to end");
      worker->io.stop();
    }
    worker->thread.join();
  }
}

void WorkerPool::check_running() const {
  TAYGA_CHECK(!stopped_);
}

}  // namespace tayga::transport::workers
