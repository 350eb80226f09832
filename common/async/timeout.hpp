#pragma once

#include "common/async/task.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace tayga::async {

/// Returns success when `delay` has passed, operation_aborted when the task was cancelled.
Task<error_code> sleep_for(Duration delay);

namespace detail {

template <class T>
struct Flattened {
  using type = Result<T>;
};
template <class T>
struct Flattened<Result<T>> {
  using type = Result<T>;
};

/// What a raced task left behind; the monostate stands for "nothing yet".
template <class T>
using Outcome = std::variant<std::monostate, std::conditional_t<std::is_void_v<T>, bool, T>,
                             std::exception_ptr>;

/// `||` waits for the other side when one side throws, so an exception travels as a value.
template <class T>
Task<std::optional<Outcome<T>>> run_captured(Task<T> task) {
  co_await asio::this_coro::throw_if_cancelled(false);
  Outcome<T> outcome;
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(task);
      outcome.template emplace<1>(true);
    } else {
      outcome.template emplace<1>(co_await std::move(task));
    }
  } catch (...) {
    outcome.template emplace<2>(std::current_exception());
  }
  co_return std::optional<Outcome<T>>{std::move(outcome)};
}

}  // namespace detail

/// Runs `task` for at most `limit`, then cancels it and waits for its end.
///
/// Errors: boost::asio::error::timed_out when the limit passed first, operation_aborted when the
/// caller was cancelled; a Result that the task returns comes through as it is, and so does an
/// exception. A result that arrives at the very moment of the limit is dropped.
template <class T>
Task<typename detail::Flattened<T>::type> with_timeout(Task<T> task, Duration limit) {
  using asio::experimental::awaitable_operators::operator||;
  Task<std::optional<detail::Outcome<T>>> raced = detail::run_captured<T>(std::move(task));
  Task<error_code> timer = sleep_for(limit);
  auto winner = co_await (std::move(raced) || std::move(timer));
  if (winner.index() == 1) {
    if (std::get<1>(winner)) co_return error_code{asio::error::operation_aborted};
    co_return error_code{asio::error::timed_out};
  }
  detail::Outcome<T> outcome = std::move(*std::get<0>(winner));
  if (outcome.index() == 2) std::rethrow_exception(std::get<2>(outcome));
  if constexpr (std::is_void_v<T>) {
    co_return Result<void>{};
  } else {
    co_return std::move(std::get<1>(outcome));
  }
}

}  // namespace tayga::async
