#pragma once

#include "common/base/time.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tayga::relay {

/// Holds what is sent to a rate: in no second more than the rate and half a percent, and evenly
/// within it, so that neither a burst nor a late timer breaks a second.
///
/// Two rules at once. Credit comes back steadily; while somebody waits up to kLateMax of it is
/// kept, so that a wake-up that comes late is made up for, else only kIdleMax: a burst after an
/// idle time would come back every second as a gap. And the sum over the last second, in cells of
/// kCell, stays under the limit, which the credit alone would break. Pure; one owner.
class SendPace {
 public:
  static constexpr Duration kWindow = 1s;
  static constexpr Duration kCell = 2ms;
  static constexpr Duration kLateMax = 50ms;  ///< of the rate
  static constexpr Duration kIdleMax = 3ms;

  /// 0 = no limit. The last second is scaled with the rate, so that a lower one takes hold at once
  /// and does not silence its sender until the past is forgotten.
  void set_rate(std::uint64_t bytes_per_s, TimePoint now);
  [[nodiscard]] bool limited() const noexcept { return rate_ != 0; }
  [[nodiscard]] std::uint64_t bytes_per_s() const noexcept { return rate_; }

  /// Whether `bytes` may leave now. More than the rate allows in a second may leave when nothing
  /// else did.
  [[nodiscard]] bool has_room(std::size_t bytes, TimePoint now) noexcept;
  /// What may leave before has_room() says no, as far as credit goes; 0 without a limit.
  [[nodiscard]] std::int64_t credit_bytes(TimePoint now) noexcept;
  /// The first instant at which has_room() could be true; not before `now`.
  [[nodiscard]] TimePoint room_at(std::size_t bytes, TimePoint now) noexcept;
  /// What left, or a correction of what was said before. Negative gives back.
  void on_sent(std::int64_t bytes, TimePoint now) noexcept;

 private:
  static constexpr std::size_t kCells = kWindow / kCell + 1;  // the oldest one is partly over

  void advance(TimePoint now) noexcept;
  [[nodiscard]] std::int64_t window_max() const noexcept;
  [[nodiscard]] std::int64_t credit_max() const noexcept;

  std::uint64_t rate_ = 0;
  bool refused_ = false;     // somebody waits
  std::int64_t credit_ = 0;  // in millionths of a byte; negative = a frame larger than it was due
  TimePoint credited_at_{};
  std::vector<std::int64_t> cells_;  // kCells where there is a limit, else none
  std::int64_t sum_ = 0;             // of cells_
  std::int64_t cell_ = 0;            // number of the newest one, since the timeline's start
};

}  // namespace tayga::relay
