#include "orchestrator/solver/level_fill.hpp"

#include "tests/support/catch.hpp"

#include <vector>

namespace tayga::orch {
namespace {

using Slots = std::vector<std::uint32_t>;

TreeBound bound(const Slots& viewers, const Slots& relays, unsigned copies_wanted,
                unsigned copies_max, unsigned depth_max = 8) {
  return bound_tree(TreeBoundInput{viewers, relays, copies_wanted, copies_max, depth_max});
}

TEST_CASE("a bound takes one copy and the levels that the strongest viewers give") {
  const TreeBound got = bound({3, 3, 1, 0, 0, 0, 0}, {}, 1, 10);
  CHECK(got.feasible);
  CHECK(got.copies == 1);
  CHECK(got.depth == 3);
  CHECK(got.relays == 0);
}

TEST_CASE("a bound recruits the fewest relays that give the least depth") {
  const TreeBound got = bound({1, 1, 1, 1, 1, 1}, {6, 6, 6}, 1, 10);
  CHECK(got.copies == 1);
  CHECK(got.depth == 2);
  CHECK(got.relays == 1);
}

TEST_CASE("a bound takes more gateway copies only when relays and viewers have no room") {
  CHECK(bound({0, 0, 0, 0}, {2}, 1, 10).copies == 3);
  CHECK(bound({0, 0, 0, 0}, {4}, 1, 10).copies == 1);
  CHECK(bound({0, 0, 0, 0}, {}, 2, 10).copies == 4);
}

TEST_CASE("a bound is not feasible when all copies and slots together are too few") {
  CHECK_FALSE(bound({0, 0, 0, 0}, {}, 1, 3).feasible);
  CHECK_FALSE(bound({1, 1, 1, 1}, {}, 1, 1, 3).feasible);
  CHECK(bound({1, 1, 1, 1}, {}, 1, 1, 4).feasible);
}

TEST_CASE("a bound of a tree that nobody wants asks for nothing") {
  const TreeBound got = bound({}, {5}, 1, 0);
  CHECK(got.feasible);
  CHECK(got.copies == 0);
  CHECK(got.relays == 0);
}

}  // namespace
}  // namespace tayga::orch
