#pragma once

#include "common/base/ids.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace tayga::orch {

using EpochSecret = std::array<std::byte, 32>;

/// Accounting epoch of a moment: days since 1970, UTC.
[[nodiscard]] std::uint32_t accounting_epoch(std::int64_t wall_ms) noexcept;

/// The secrets by which streams are named inside allocations, one per accounting epoch.
///
/// Pure; world thread only. Holds yesterday's, today's and tomorrow's: tomorrow's is made durable a
/// day early, so that the turn of the day waits for no disk.
class EpochBook {
 public:
  /// Epochs of the book at `wall_ms` whose secret is missing: load or make them, then add().
  [[nodiscard]] std::vector<std::uint32_t> missing(std::int64_t wall_ms) const;
  void add(std::uint32_t epoch, const EpochSecret& secret);
  [[nodiscard]] bool has(std::uint32_t epoch) const { return secrets_.count(epoch) != 0; }
  /// Forgets what missing() would not ask for any more. Pre: has() the epoch of `wall_ms`.
  void prune(std::int64_t wall_ms);

  /// The epoch that allocations are signed in: today's, unless its secret is missing (the machine
  /// slept for days, the clock was set, the disk was full all day). Then the newest known one
  /// before it, or the oldest known one when the clock went back behind all of them: accounts of a
  /// wrong day are better than streams that stop. Pre: a secret was added.
  [[nodiscard]] std::uint32_t signing_epoch(std::int64_t wall_ms) const;
  /// Handle in an epoch. Pre: has(epoch).
  [[nodiscard]] StreamHandle handle(const StreamId& stream, std::uint32_t epoch) const;
  /// Of the signing epoch, then of today's, yesterday's and tomorrow's, as far as known and each
  /// once: a node knows tomorrow's name of a stream before its peers use it.
  [[nodiscard]] std::vector<StreamHandle> handles(const StreamId& stream,
                                                  std::int64_t wall_ms) const;

 private:
  std::map<std::uint32_t, EpochSecret> secrets_;
};

}  // namespace tayga::orch
