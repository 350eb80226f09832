#pragma once

#include "common/base/time.hpp"

#include <cstdint>
#include <mutex>
#include <optional>

namespace tayga::log {

/// Lets at most `burst` messages of one site through per `interval`, and counts what it held back.
///
/// One static object per log statement. Thread-safe.
class SiteLimit {
 public:
  /// Pre: burst > 0, interval > 0.
  SiteLimit(std::uint32_t burst, Duration interval) noexcept;

  /// nullopt = hold the message back. A value = write it; it says how many were held back since the
  /// last one written.
  [[nodiscard]] std::optional<std::uint64_t> admit(TimePoint now) noexcept;
  /// admit() at the present moment.
  [[nodiscard]] std::optional<std::uint64_t> admit_now() noexcept;

 private:
  const std::uint32_t burst_;
  const Duration interval_;
  std::mutex mutex_;  // guards all below
  std::optional<TimePoint> window_began_;
  std::uint32_t admitted_ = 0;
  std::uint64_t suppressed_ = 0;
};

}  // namespace tayga::log
