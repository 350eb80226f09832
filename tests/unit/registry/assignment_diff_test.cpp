#include "orchestrator/registry/assignment_diff.hpp"

#include "tests/support/catch.hpp"

namespace tayga::orch {
namespace {

constexpr TrackId kVideo{1};
constexpr StripeIndex kStripe{0};

NodeId id(unsigned number) {
  NodeId node;
  node.bytes[0] = static_cast<std::byte>(number);
  return node;
}
std::vector<UpstreamLink> from(unsigned parent) {
  return {UpstreamLink{kVideo, kStripe, id(parent)}};
}
DownstreamLink to(unsigned child) {
  return DownstreamLink{kVideo, kStripe, id(child)};
}

TEST_CASE("every link is seen from both ends") {
  const auto targets = to_targets({{id(7), from(1)}, {id(8), from(7)}}, id(1));
  CHECK(targets.at(id(1)) == NodeTarget{{}, {to(7)}});
  CHECK(targets.at(id(7)) == NodeTarget{from(1), {to(8)}});
  CHECK(targets.at(id(8)) == NodeTarget{from(7), {}});
}

TEST_CASE("parents are told before their children, those that drop out last") {
  const auto targets = to_targets({{id(9), from(1)}, {id(5), from(9)}, {id(3), from(5)}}, id(1));
  const std::map<NodeId, NodeTarget> told{{id(2), NodeTarget{from(1), {}}}};
  CHECK(changed_nodes(told, targets, {}, id(1)) == std::vector{id(1), id(9), id(5), id(3), id(2)});
}

TEST_CASE("only what changed is told, and what is stale") {
  const auto before = to_targets({{id(7), from(1)}, {id(8), from(7)}}, id(1));
  const auto after = to_targets({{id(7), from(1)}, {id(8), from(7)}, {id(9), from(7)}}, id(1));
  CHECK(changed_nodes(before, after, {}, id(1)) == std::vector{id(7), id(9)});
  CHECK(changed_nodes(before, before, {id(8)}, id(1)) == std::vector{id(8)});
  CHECK(changed_nodes({}, to_targets({}, id(1)), {}, id(1)).empty());
}

TEST_CASE("the depth of a plan is its longest path, and held links that loop do not hang it") {
  CHECK(plan_depth({{id(7), from(1)}, {id(8), from(7)}, {id(9), from(1)}}) == 2);
  CHECK(plan_depth({}) == 0);
  CHECK(plan_depth({{id(7), from(8)}, {id(8), from(7)}}) == 3);
}

}  // namespace
}  // namespace tayga::orch
