#pragma once

#include <algorithm>
#include <cstddef>

namespace tayga::transport::workers {

/// A worker's part of a limit that is meant for all of them. The kernel spreads connections by a
/// hash, so one worker may get twice its share before it refuses any.
constexpr std::size_t worker_share(std::size_t total, unsigned workers) noexcept {
  if (workers <= 1) return total;
  return std::min(total, (2 * total + workers - 1) / workers);
}

}  // namespace tayga::transport::workers
