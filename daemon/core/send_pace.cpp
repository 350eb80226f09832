#include "daemon/core/send_pace.hpp"

#include <algorithm>
#include <utility>

namespace tayga::relay {
namespace {

constexpr std::int64_t kMicro = 1'000'000;
/// Longer gaps earn no more than a full credit: keeps the products below small.
constexpr Duration kEarnMax = 1s;

std::size_t to_index(std::int64_t cell, std::size_t count) noexcept {
  return static_cast<std::size_t>(cell % static_cast<std::int64_t>(count));
}

}  // namespace

std::int64_t SendPace::window_max() const noexcept {
  return static_cast<std::int64_t>(rate_ + rate_ / 200);
}

std::int64_t SendPace::credit_max() const noexcept {
  const Duration kept = refused_ ? kLateMax : kIdleMax;
  // A slow rate keeps a byte, or nothing would ever leave.
  return std::max(static_cast<std::int64_t>(rate_) * kept.count(), kMicro);
}

void SendPace::set_rate(std::uint64_t bytes_per_s, TimePoint now) {
  if (bytes_per_s == rate_) return;
  if (bytes_per_s == 0 || rate_ == 0) {
    rate_ = bytes_per_s;
    cells_.assign(limited() ? kCells : 0, 0);
    sum_ = 0;
    credit_ = 0;
    credited_at_ = now;
    return;
  }
  advance(now);
  const std::uint64_t former = std::exchange(rate_, bytes_per_s);
  const double scale = static_cast<double>(rate_) / static_cast<double>(former);
  sum_ = 0;
  for (std::int64_t& cell : cells_) {
    cell = static_cast<std::int64_t>(static_cast<double>(cell) * scale);
    sum_ += cell;
  }
  credit_ = static_cast<std::int64_t>(static_cast<double>(credit_) * scale);
}

void SendPace::advance(TimePoint now) noexcept {
  const Duration gap = std::clamp<Duration>(now - credited_at_, Duration::zero(), kEarnMax);
  const auto rate = static_cast<std::int64_t>(rate_);
  credit_ += rate * gap.count();
  if (credit_ > rate * Duration{kLateMax}.count()) refused_ = false;  // nobody took it
  credit_ = std::min(credit_, credit_max());
  credited_at_ = std::max(credited_at_, now);

  const std::int64_t newest = now.time_since_epoch() / kCell;
  const std::int64_t steps = std::min(newest - cell_, static_cast<std::int64_t>(kCells));
  for (std::int64_t i = 0; i < steps; ++i) {
    std::int64_t& gone = cells_[to_index(newest - i, kCells)];
    sum_ -= gone;
    gone = 0;
  }
  cell_ = std::max(cell_, newest);
}

bool SendPace::has_room(std::size_t bytes, TimePoint now) noexcept {
  if (!limited()) return true;
  advance(now);
  const bool fits = sum_ <= 0 || sum_ + static_cast<std::int64_t>(bytes) <= window_max();
  if (credit_ > 0 && fits) return true;
  refused_ = true;
  return false;
}

std::int64_t SendPace::credit_bytes(TimePoint now) noexcept {
  if (!limited()) return 0;
  advance(now);
  return credit_ / kMicro;
}

TimePoint SendPace::room_at(std::size_t bytes, TimePoint now) noexcept {
  if (!limited()) return now;
  advance(now);
  TimePoint at = now;
  if (credit_ <= 0) at += Duration{-credit_ / static_cast<std::int64_t>(rate_) + 1};
  std::int64_t sum = sum_;
  const auto fits = [&] {
    return sum <= 0 || sum + static_cast<std::int64_t>(bytes) <= window_max();
  };
  for (std::int64_t i = 0; !fits() && i < static_cast<std::int64_t>(kCells); ++i) {
    // The oldest cell is forgotten when a window that begins behind it is reached.
    const std::int64_t oldest = cell_ - static_cast<std::int64_t>(kCells) + 1 + i;
    sum -= cells_[to_index(std::max<std::int64_t>(oldest, 0), kCells)];
    at = std::max(at, TimePoint{kCell * (oldest + static_cast<std::int64_t>(kCells))});
  }
  return at;
}

void SendPace::on_sent(std::int64_t bytes, TimePoint now) noexcept {
  if (!limited()) return;
  advance(now);
  credit_ = std::min(credit_ - bytes * kMicro, credit_max());
  cells_[to_index(cell_, kCells)] += bytes;
  sum_ += bytes;
}

}  // namespace tayga::relay
