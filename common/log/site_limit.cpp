#include "common/log/site_limit.hpp"

#include "common/base/check.hpp"

#include <chrono>
#include <utility>

namespace tayga::log {

SiteLimit::SiteLimit(std::uint32_t burst, Duration interval) noexcept
    : burst_{burst}, interval_{interval} {
  TAYGA_CHECK(burst > 0 && interval > Duration::zero());
}

std::optional<std::uint64_t> SiteLimit::admit(TimePoint now) noexcept {
  const std::scoped_lock lock{mutex_};
  if (!window_began_ || now - *window_began_ >= interval_) {
    window_began_ = now;
    admitted_ = 0;
  }
  if (admitted_ == burst_) {
    ++suppressed_;
    return std::nullopt;
  }
  ++admitted_;
  return std::exchange(suppressed_, 0);
}

std::optional<std::uint64_t> SiteLimit::admit_now() noexcept {
  const auto since_boot = std::chrono::steady_clock::now().time_since_epoch();
  return admit(TimePoint{std::chrono::duration_cast<Duration>(since_boot)});
}

}  // namespace tayga::log
