#pragma once

#include "common/base/time.hpp"

#include <cstdint>

namespace tayga::sim {

/// What chance decides. A purpose of its own for each, so that one more draw for one of them moves
/// none of the others.
enum class Purpose : std::uint32_t {
  position = 1,
  uplink,
  reachability,
  loss,
  jitter,
  spike,
  corruption,
  control_path,
  fault,
  churn,
  join,
  content,
  allocation,
  tamper,
  start,
};

constexpr std::uint64_t mix(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31U);
}

/// A stream of random numbers that is a function of (seed, entity, purpose) alone: what one entity
/// draws never depends on what another one does. Integers only: the standard's distributions give
/// other numbers on other machines. Source: SplitMix64.
class Draws {
 public:
  Draws(std::uint64_t seed, std::uint64_t entity, Purpose purpose) noexcept
      : state_{mix(mix(mix(seed) ^ entity) ^ static_cast<std::uint64_t>(purpose))} {}

  std::uint64_t next() noexcept { return mix(state_++); }
  /// Pre: 0 < below < 2^32. The bias is under 2^-32 * below.
  std::uint64_t below(std::uint64_t below) noexcept { return (next() >> 32U) * below >> 32U; }
  bool chance_ppm(std::uint64_t per_million) noexcept { return below(1'000'000) < per_million; }
  /// In [low, high]. Pre: high - low < 71 minutes.
  Duration between(Duration low, Duration high) noexcept {
    const auto span = static_cast<std::uint64_t>((high - low).count()) + 1;
    return low + Duration{static_cast<Duration::rep>(below(span))};
  }

 private:
  std::uint64_t state_;
};

}  // namespace tayga::sim
