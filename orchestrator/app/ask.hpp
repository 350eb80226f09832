#pragma once

#include "common/async/event.hpp"
#include "common/async/task.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace tayga::orch {

/// Waits, on this task's executor, for an answer that another thread gives.
///
/// `start` hands the callback to that thread and returns false when it takes no more. nullopt: not
/// taken, or the task was cancelled; a late answer is then dropped. The callback may be called from
/// any thread, once.
template <class T>
async::Task<std::optional<T>> ask(std::function<bool(std::function<void(T)>)> start) {
  const auto executor = co_await boost::asio::this_coro::executor;
  struct Shared {
    explicit Shared(const boost::asio::any_io_executor& e) : ready{e} {}
    async::Event ready;
    std::optional<T> value;
  };
  const auto shared = std::make_shared<Shared>(executor);
  std::function<void(T)> answer = [shared, executor](T value) {
    boost::asio::post(executor, [shared, value = std::move(value)]() mutable {
      shared->value.emplace(std::move(value));
      shared->ready.set();
    });
  };
  if (!start(std::move(answer))) co_return std::nullopt;
  const async::WaitResult result = co_await shared->ready.wait();
  if (result != async::WaitResult::signalled) co_return std::nullopt;
  co_return std::move(shared->value);
}

}  // namespace tayga::orch
