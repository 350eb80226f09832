#include "daemon/control/backoff.hpp"

#include "common/base/check.hpp"

#include <algorithm>

namespace tayga::control {

Backoff::Backoff(Duration first, Duration last) : first_{first}, last_{last}, current_{first} {
  TAYGA_CHECK(first > Duration{0} && first <= last);
}

Duration Backoff::next(double random) {
  const double factor = 1.0 - kJitter + 2.0 * kJitter * random;
  const auto delay = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double, std::micro>{static_cast<double>(current_.count()) * factor});
  current_ = current_ > last_ / 2 ? last_ : current_ * 2;
  return delay;
}

void Backoff::reset() noexcept {
  current_ = first_;
}

}  // namespace tayga::control
