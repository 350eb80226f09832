#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace tayga::async {

namespace asio = boost::asio;

template <class T>
using Task = asio::awaitable<T>;

/// Completion token: `const auto [ec, n] = co_await socket.async_read_some(buffer, as_values);`
inline constexpr auto as_values = asio::as_tuple(asio::use_awaitable);

}  // namespace tayga::async
