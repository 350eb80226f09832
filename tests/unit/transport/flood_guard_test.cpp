#include "common/transport/flood_guard.hpp"

#include "tests/support/catch.hpp"

#include <set>
#include <string>

namespace tayga::transport {
namespace {

using Kind = FloodGuard::Kind;

constexpr TimePoint kStart{10h};

FloodGuard::Limits all(std::uint32_t limit) {
  FloodGuard::Limits limits;
  limits.fill(limit);
  return limits;
}

}  // namespace

TEST_CASE("what stays within the limit of a second is admitted for ever") {
  FloodGuard guard{all(5)};
  for (int i = 0; i < 1000; ++i) CHECK(guard.admit(Kind::reset, kStart + i * 250ms));
}

TEST_CASE("one event beyond the limit is refused, and so is what follows in that second") {
  FloodGuard guard{all(3)};
  for (int i = 0; i < 3; ++i) CHECK(guard.admit(Kind::key_update, kStart));
  CHECK_FALSE(guard.admit(Kind::key_update, kStart + 1ms));
  CHECK_FALSE(guard.admit(Kind::key_update, kStart + 999ms));
  CHECK(guard.admit(Kind::key_update, kStart + 1s));
}

TEST_CASE("several events are counted at once") {
  FloodGuard guard{all(10)};
  CHECK(guard.admit(Kind::idle_record, kStart, 9));
  CHECK_FALSE(guard.admit(Kind::idle_record, kStart, 2));
}

TEST_CASE("each kind has its own limit and its own name") {
  FloodGuard guard;
  std::set<std::string> names;
  for (std::size_t i = 0; i < FloodGuard::kKinds; ++i) {
    const auto kind = static_cast<Kind>(i);
    const std::uint32_t limit = FloodGuard::kLimits[i];
    REQUIRE(limit > 0);
    CHECK(guard.admit(kind, kStart, limit));
    CHECK_FALSE(guard.admit(kind, kStart));
    names.insert(to_string(kind));
  }
  CHECK(names.size() == FloodGuard::kKinds);
}

}  // namespace tayga::transport
