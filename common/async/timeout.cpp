#include "common/async/timeout.hpp"

#include <boost/asio/steady_timer.hpp>

namespace tayga::async {

Task<error_code> sleep_for(Duration delay) {
  asio::steady_timer timer{co_await asio::this_coro::executor};
  timer.expires_after(delay);
  const auto [ec] = co_await timer.async_wait(as_values);
  co_return ec;
}

}  // namespace tayga::async
