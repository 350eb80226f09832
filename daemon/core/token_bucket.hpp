#pragma once

#include "common/base/time.hpp"

#include <algorithm>

namespace tayga::relay {

/// Allows a burst and then a steady rate of something a stranger makes us do.
class TokenBucket {
 public:
  /// Pre: interval > 0; one token comes back per `interval`, up to `burst`.
  TokenBucket(std::int64_t burst, Duration interval) noexcept
      : burst_{burst}, interval_{interval}, tokens_{burst} {}

  /// False when there is none left.
  [[nodiscard]] bool take(TimePoint now) noexcept {
    const auto earned = (now - since_) / interval_;
    if (earned > 0) {
      tokens_ = earned >= burst_ ? burst_ : std::min(burst_, tokens_ + earned);
      since_ += earned * interval_;
    }
    if (tokens_ == 0) return false;
    --tokens_;
    return true;
  }

 private:
  std::int64_t burst_;
  Duration interval_;
  std::int64_t tokens_;
  TimePoint since_{};
};

}  // namespace tayga::relay
