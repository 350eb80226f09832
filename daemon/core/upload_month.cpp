#include "daemon/core/upload_month.hpp"

#include <algorithm>
#include <limits>

namespace tayga::relay {
namespace {

namespace chrono = std::chrono;

constexpr std::uint64_t kBlock = 16 * 1024 * 1024;
constexpr std::uint64_t kBlockMaxWithoutQuota = 64ULL * 1024 * 1024 * 1024;
/// Summer time moves the clock by an hour, and some zones by two, while no time is lost.
constexpr Duration kJump = 3h;

chrono::year_month_day reset_in(std::int32_t period, unsigned reset_day) noexcept {
  const chrono::year_month month{chrono::year{period / 12},
                                 chrono::month{static_cast<unsigned>(period % 12) + 1}};
  const chrono::day last = (month / chrono::last).day();
  return month / std::min(chrono::day{reset_day}, last);
}

}  // namespace

UploadMonth::UploadMonth(unsigned reset_day, std::uint64_t quota_bytes,
                         std::optional<MonthRecord> stored)
    : reset_day_{reset_day}, quota_{quota_bytes} {
  // A crash may count a block too many: little of a quota, but enough for about a minute.
  block_min_ = quota_ == 0 ? kBlock : std::max(quota_ / 1000, std::min(kBlock, quota_ / 64));
  block_max_ = quota_ == 0 ? kBlockMaxWithoutQuota : std::max(quota_ / 16, block_min_);
  block_ = block_min_;
  if (!stored) return;
  period_ = stored->period;
  used_ = reserved_ = stored->bytes;
  known_ = true;
}

std::int32_t UploadMonth::period_of(LocalTime local) const noexcept {
  const auto day = chrono::floor<chrono::days>(local);
  const chrono::year_month_day date{day};
  const std::int32_t month = static_cast<int>(date.year()) * 12 +
                             static_cast<std::int32_t>(static_cast<unsigned>(date.month())) - 1;
  return chrono::local_days{reset_in(month, reset_day_)} <= day ? month : month - 1;
}

void UploadMonth::start_period(std::int32_t period) noexcept {
  period_ = period;
  used_ = 0;
  reserved_ = 0;
  known_ = true;
  retry_at_ = TimePoint{};
}

void UploadMonth::on_clock(LocalTime local, TimePoint now) {
  const std::int32_t period = period_of(local);
  bool entered = false;  // by the passing of time
  if (last_local_) {
    const Duration drift = (local - *last_local_) - (now - last_mono_);
    entered = drift < kJump && drift > -kJump && period > period_of(*last_local_);
  }
  last_local_ = local;
  last_mono_ = now;
  if (!known_ || period > period_ || (entered && period < period_)) start_period(period);
}

void UploadMonth::on_sent(std::int64_t bytes) noexcept {
  if (bytes >= 0) {
    used_ += static_cast<std::uint64_t>(bytes);
  } else {
    used_ -= std::min(used_, static_cast<std::uint64_t>(-bytes));
  }
}

std::uint64_t UploadMonth::media_max() const noexcept {
  if (quota_ == 0) return std::numeric_limits<std::uint64_t>::max();
  return quota_ - std::max(quota_ / kControlShare, std::min(quota_, kAheadMin));
}

bool UploadMonth::exhausted() const noexcept {
  return used_ >= media_max();
}

bool UploadMonth::awaits_save() const noexcept {
  return quota_ != 0 && used_ + kAheadMin > reserved_;
}

std::uint64_t UploadMonth::left_bytes() const noexcept {
  return media_max() - std::min(media_max(), used_);
}

std::optional<MonthRecord> UploadMonth::poll_save(TimePoint now) {
  if (!known_ || saving_ || now < retry_at_) return std::nullopt;
  const std::uint64_t left = reserved_ - std::min(reserved_, used_);
  const bool all_reserved = quota_ != 0 && reserved_ >= quota_ && used_ <= quota_;
  if (left >= block_ / 2 || all_reserved) return std::nullopt;
  // Written about once a minute, whatever the rate turns out to be.
  const bool beyond = quota_ != 0 && used_ >= quota_;
  if (saved_at_ && now - *saved_at_ < kSaveInterval) {
    if (beyond) return std::nullopt;
    block_ = std::min(block_ * 2, block_max_);
  } else if (saved_at_ && now - *saved_at_ > 5 * kSaveInterval) {
    block_ = std::max(block_ / 2, block_min_);
  }
  std::uint64_t bytes = used_ + block_;
  if (quota_ != 0 && !beyond) bytes = std::min(bytes, quota_);
  saved_at_ = now;
  saving_ = MonthRecord{period_, bytes};
  return saving_;
}

void UploadMonth::on_saved(const MonthRecord& record) {
  saving_.reset();
  if (record.period == period_) reserved_ = record.bytes;
}

void UploadMonth::on_save_failed(TimePoint now, Duration retry) {
  saving_.reset();
  retry_at_ = now + retry;
}

chrono::year_month_day UploadMonth::next_reset() const noexcept {
  return reset_in(period_ + 1, reset_day_);
}

}  // namespace tayga::relay
