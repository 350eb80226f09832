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
  /// Forgets what missing() would not ask for any more.
  void prune(std::int64_t wall_ms);

  /// Handle in the current epoch. Pre: its secret was added.
  [[nodiscard]] StreamHandle current(const StreamId& stream, std::int64_t wall_ms) const;
  /// Of the current epoch, the previous, then the next, as far as known: a node knows tomorrow's
  /// name of a stream before its peers use it.
  [[nodiscard]] std::vector<StreamHandle> handles(const StreamId& stream,
                                                  std::int64_t wall_ms) const;

 private:
  std::map<std::uint32_t, EpochSecret> secrets_;
};

}  // namespace tayga::orch
