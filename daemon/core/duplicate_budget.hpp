#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace tayga::relay {

/// How much media may come twice because somebody was asked for what may be on its way already.
///
/// New bytes earn a share, bytes that came twice are paid for, whatever their cause. In debt
/// nothing is asked for on suspicion: only what was lost, or would be late. Pure.
class DuplicateBudget {
 public:
  /// Of a thousand new bytes; what comes twice for other reasons has room below 3 %.
  static constexpr std::int64_t kSharePermille = 20;
  static constexpr std::int64_t kStart = 128 * 1024;   ///< bytes, before anything was earned
  static constexpr std::int64_t kCredit = 512 * 1024;  ///< bytes, saved up at most; as much is owed

  void on_new(std::size_t bytes) noexcept {
    earned_ += static_cast<std::int64_t>(bytes) * kSharePermille;
    left_ = std::min(left_ + earned_ / 1000, kCredit);
    earned_ %= 1000;
  }
  void on_duplicate(std::size_t bytes) noexcept {
    left_ = std::max(left_ - static_cast<std::int64_t>(bytes), -kCredit);
  }
  [[nodiscard]] bool may_speculate() const noexcept { return left_ > 0; }

 private:
  std::int64_t left_ = kStart;
  std::int64_t earned_ = 0;  ///< thousandths of a byte
};

}  // namespace tayga::relay
