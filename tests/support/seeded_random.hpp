#pragma once

#include "common/base/bytes.hpp"
#include "common/base/check.hpp"
#include "tests/support/catch.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>

namespace tayga::test {

/// Randomness of one test. The same seed gives the same values with every standard library, which
/// the std distributions do not promise.
class SeededRandom {
 public:
  /// TAYGA_TEST_SEED, where set, replaces the seed: that is how a failure is replayed.
  explicit SeededRandom(std::uint64_t default_seed) : seed_{chosen(default_seed)}, engine_{seed_} {}

  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
  [[nodiscard]] std::string replay_hint() const {
    return "replay with TAYGA_TEST_SEED=" + std::to_string(seed_);
  }

  std::uint64_t next() { return engine_(); }
  /// A value in [low, high]. The bias of the remainder is below 2^-30 for the ranges of tests.
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    TAYGA_CHECK(low <= high);
    const std::uint64_t width = high - low + 1;
    return width == 0 ? engine_() : low + engine_() % width;
  }
  /// Below `count`: an index. Pre: count > 0.
  std::size_t index(std::size_t count) { return static_cast<std::size_t>(between(0, count - 1)); }
  /// True once in `n` calls on average.
  bool one_in(std::uint64_t n) { return between(1, n) == 1; }
  Bytes bytes(std::size_t size) {
    Bytes out(size);
    for (std::byte& b : out) b = static_cast<std::byte>(engine_() & 0xffU);
    return out;
  }
  template <class Id>
  Id id() {
    return *Id::from(bytes(Id::kSize));
  }

 private:
  static std::uint64_t chosen(std::uint64_t default_seed) {
    const char* text = std::getenv("TAYGA_TEST_SEED");
    return text == nullptr ? default_seed : std::strtoull(text, nullptr, 10);
  }

  std::uint64_t seed_;
  std::mt19937_64 engine_;
};

}  // namespace tayga::test

/// Declares a SeededRandom; a failure in its scope prints how to replay it.
#define TAYGA_SEEDED_RANDOM(name, default_seed)   \
  ::tayga::test::SeededRandom name{default_seed}; \
  INFO(name.replay_hint())
