#pragma once

#include "common/base/time.hpp"
#include "daemon/core/upload_schedule.hpp"

#include <cstdint>
#include <optional>

namespace tayga::relay {

/// What is on disk of a month: no more than `bytes` were sent in it.
struct MonthRecord {
  std::int32_t period = 0;  ///< years * 12 + months in which it began
  std::uint64_t bytes = 0;
  friend bool operator==(const MonthRecord&, const MonthRecord&) = default;
};

/// Counts what is sent in a month against a quota, across crashes and clocks that jump.
///
/// The disk always holds more than was sent: bytes are reserved there in blocks before they are
/// sent, so a crash costs the rest of a block and never a byte over the quota. Media stops
/// kControlShare short of the quota: control frames and what was sent again are counted when they
/// are gone, and go on when media does not. Pure: poll_save() what is to be written, then say
/// on_saved().
///
/// The count starts again when the clock enters a later month than any before. A clock that jumps
/// back changes nothing; one that was years ahead once is believed again when a month ends under
/// it, second by second and not in a jump (a router shows 1970 until it hears the time).
class UploadMonth {
 public:
  static constexpr std::uint64_t kControlShare = 50;  ///< one 50th of the quota
  /// Kept ahead of what was sent: what a session may have taken and not told us of.
  static constexpr std::uint64_t kAheadMin = 256 * 1024;
  static constexpr Duration kSaveInterval = 60s;

  /// Pre: 1 <= reset_day <= 31; in a shorter month the last day counts. Quota 0 = none.
  UploadMonth(unsigned reset_day, std::uint64_t quota_bytes, std::optional<MonthRecord> stored);

  void on_clock(LocalTime local, TimePoint now);
  void on_sent(std::int64_t bytes) noexcept;

  /// No more media in this month.
  [[nodiscard]] bool exhausted() const noexcept;
  /// Media waits until more is reserved on disk.
  [[nodiscard]] bool awaits_save() const noexcept;

  /// What must be written now; nullopt = nothing, or one is being written.
  [[nodiscard]] std::optional<MonthRecord> poll_save(TimePoint now);
  void on_saved(const MonthRecord& record);
  /// It is asked for again after `retry`.
  void on_save_failed(TimePoint now, Duration retry);
  /// What was sent, exactly: for the last write. Nothing may be sent behind it.
  [[nodiscard]] MonthRecord final_record() const noexcept { return {period_, used_}; }

  [[nodiscard]] std::uint64_t used_bytes() const noexcept { return used_; }
  [[nodiscard]] std::uint64_t quota_bytes() const noexcept { return quota_; }
  /// For media.
  [[nodiscard]] std::uint64_t left_bytes() const noexcept;
  /// The day on which the count starts again.
  [[nodiscard]] std::chrono::year_month_day next_reset() const noexcept;

 private:
  [[nodiscard]] std::int32_t period_of(LocalTime local) const noexcept;
  [[nodiscard]] std::uint64_t media_max() const noexcept;
  void start_period(std::int32_t period) noexcept;

  unsigned reset_day_;
  std::uint64_t quota_;
  std::uint64_t block_min_;
  std::uint64_t block_max_;
  std::uint64_t block_;
  std::int32_t period_ = 0;
  std::uint64_t used_ = 0;
  std::uint64_t reserved_ = 0;  // on disk, of period_
  bool known_ = false;          // a period was restored or a clock was heard
  std::optional<MonthRecord> saving_;
  std::optional<TimePoint> saved_at_;
  TimePoint retry_at_{};
  std::optional<LocalTime> last_local_;
  TimePoint last_mono_{};
};

}  // namespace tayga::relay
