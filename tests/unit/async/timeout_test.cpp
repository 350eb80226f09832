#include "common/async/timeout.hpp"

#include "common/async/task_group.hpp"
#include "tests/support/catch.hpp"

#include <boost/asio/io_context.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

namespace tayga::async {
namespace {

Task<std::string> answer_after(Duration delay) {
  const error_code ec = co_await sleep_for(delay);
  co_return ec ? "cut short" : "answer";
}

Task<Result<std::unique_ptr<int>>> result_after(Duration delay, error_code failure) {
  (void)co_await sleep_for(delay);
  if (failure) co_return failure;
  co_return std::make_unique<int>(7);
}

Task<int> throw_after(Duration delay) {
  (void)co_await sleep_for(delay);
  throw std::runtime_error{"broken"};
}

/// Runs `task` to its end on an own io_context and stores what it returned.
template <class T>
std::optional<T> run(Task<T> task, std::optional<Duration> cancel_after = std::nullopt) {
  asio::io_context io;
  TaskGroup group{io.get_executor(), "test", 1};
  std::optional<T> result;
  const auto store = [](Task<T> inner, std::optional<T>& out) -> Task<void> {
    out.emplace(co_await std::move(inner));
  };
  REQUIRE(group.spawn(store(std::move(task), result)));
  if (cancel_after) {
    io.run_for(*cancel_after);
    group.cancel();
  }
  io.run();
  return result;
}

}  // namespace

TEST_CASE("a task that ends within its limit gives its value") {
  const auto result = run(with_timeout(answer_after(1ms), 10s));
  REQUIRE(result->has_value());
  CHECK(result->value() == "answer");
}

TEST_CASE("a task that exceeds its limit is cancelled and the error is timed_out") {
  const auto result = run(with_timeout(answer_after(1h), 5ms));
  REQUIRE(result->has_error());
  CHECK(result->error() == asio::error::timed_out);
}

TEST_CASE("a task without a value only says whether it was in time") {
  const auto forget = [](Duration delay) -> Task<void> { (void)co_await sleep_for(delay); };
  CHECK(run(with_timeout(forget(1ms), 10s))->has_value());
  CHECK(run(with_timeout(forget(1h), 5ms))->error() == asio::error::timed_out);
}

TEST_CASE("a Result of the task comes through flat, move-only values and errors alike") {
  const auto good = run(with_timeout(result_after(1ms, {}), 10s));
  REQUIRE(good->has_value());
  CHECK(*good->value() == 7);
  const error_code refused = asio::error::connection_refused;
  CHECK(run(with_timeout(result_after(1ms, refused), 10s))->error() == refused);
}

TEST_CASE("an exception of the task comes through at once, not after the limit") {
  const auto catching = []() -> Task<std::string> {
    try {
      (void)co_await with_timeout(throw_after(1ms), 1h);
    } catch (const std::runtime_error& e) {
      co_return e.what();
    }
    co_return "nothing";
  };
  CHECK(run(catching()) == "broken");
}

TEST_CASE("cancelling the caller ends a timed task with operation_aborted") {
  const auto result = run(with_timeout(answer_after(1h), 1h), 5ms);
  REQUIRE(result.has_value());
  // Either side of the race may end first; the task's own answer to a cancellation is as good.
  if (result->has_error()) {
    CHECK(result->error() == asio::error::operation_aborted);
  } else {
    CHECK(result->value() == "cut short");
  }
}

TEST_CASE("timeouts nest: the inner limit ends the inner task only") {
  const auto outer = []() -> Task<std::string> {
    const auto inner = co_await with_timeout(answer_after(1h), 5ms);
    const auto after = co_await answer_after(1ms);
    co_return inner.has_error() ? "inner timed out, then " + after : "inner " + inner.value();
  };
  const auto result = run(with_timeout(outer(), 10s));
  REQUIRE(result->has_value());
  CHECK(result->value() == "inner timed out, then answer");
}

}  // namespace tayga::async
