#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tayga::orch {

/// Looks after the online key's end while the process runs: it lives 30 days, a process may longer.
///
/// Pure, wall clock as Unix milliseconds. Says a warning each hour during the last three days, then
/// an error each hour: no allocation is signed any more.
class OnlineKeyWatch {
 public:
  struct Notice {
    bool expired = false;
    std::int64_t hours_left = 0;
  };

  explicit OnlineKeyWatch(std::int64_t not_after_ms) : not_after_ms_{not_after_ms} {}

  [[nodiscard]] bool has_expired(std::int64_t wall_ms) const { return wall_ms >= not_after_ms_; }
  /// Empty while the key is good; otherwise what is wrong and how to mend it, in words.
  [[nodiscard]] std::string trouble(std::int64_t wall_ms) const;
  /// What to log now; at most one per hour, and at once when the key expires.
  std::optional<Notice> poll_notice(std::int64_t wall_ms);

 private:
  const std::int64_t not_after_ms_;
  std::optional<std::int64_t> said_ms_;
  bool said_expired_ = false;
};

}  // namespace tayga::orch
