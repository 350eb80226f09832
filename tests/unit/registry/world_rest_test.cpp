#include "tests/support/catch.hpp"
#include "tests/unit/registry/world_driver.hpp"

#include <random>

namespace tayga::orch {
namespace {

using test::node_id;
using test::options_with;
using test::WorldDriver;

using Plan = std::map<NodeId, std::vector<UpstreamLink>>;

NodeId parent_in(const Plan& plan, const NodeId& node, const UpstreamLink& of) {
  const auto links = plan.find(node);
  if (links == plan.end()) return NodeId{};
  for (const UpstreamLink& link : links->second) {
    if (link.track == of.track && link.stripe == of.stripe) return link.parent;
  }
  return NodeId{};
}

/// Gateway 1, relays 2 to 7, 53 viewers from 10 on, a stream in four stripes.
struct SixtyNodes : WorldDriver {
  explicit SixtyNodes(std::uint64_t seed) : WorldDriver{options_with(1000, 10, 2)}, engine{seed} {
    go_live(4);
    for (unsigned r = 2; r < 8; ++r) relay(r, 10 + below(30));
    for (unsigned v = 10; v < 63; ++v) {
      viewer(v, below(9));
      join(v);
    }
    settle();
    live(60s);
    clear();
  }

  /// Lets time pass in which everybody reports once a second.
  void live(Duration duration) {
    for (; duration > Duration{0}; duration -= std::min<Duration>(duration, 1s)) {
      for (const auto& [node, assignment] : state) world.on_telemetry(node, Telemetry{}, now);
      pass(std::min<Duration>(duration, 1s));
    }
  }

  unsigned below(unsigned end) { return static_cast<unsigned>(engine() % end); }

  /// The parent of one of its links is silent for a node: all that comes from it is promoted.
  /// Result: the plan as the node changed it; nothing when it has no standby for some of it.
  std::optional<Plan> promote_any() {
    const auto before = world.snapshot(now)->streams.at(0);
    const NodeId node = node_id(10 + below(53));
    const auto& links = before.upstream.at(node);
    const NodeId lost = links[below(static_cast<unsigned>(links.size()))].parent;
    Plan after = before.upstream;
    for (UpstreamLink& link : after.at(node)) {
      if (link.parent != lost) continue;
      const NodeId standby = parent_in(before.standby, node, link);
      if (standby.is_zero()) return std::nullopt;
      link.parent = standby;
    }
    for (std::size_t i = 0; i < links.size(); ++i) {
      if (links[i].parent != lost) continue;
      const World::LinkFailure report{before.record.id.value(),
                                      links[i].track,
                                      std::uint32_t{1} << links[i].stripe.value(),
                                      lost,
                                      LinkFailureReason::silent,
                                      state.at(node).revision,
                                      after.at(node)[i].parent};
      world.on_link_failure(node, report, now);
    }
    return after;
  }
  [[nodiscard]] Plan standbys() const { return world.snapshot(now)->streams.at(0).standby; }
  [[nodiscard]] Plan plan() const { return world.snapshot(now)->streams.at(0).upstream; }

  std::mt19937_64 engine;
};

/// Links of nodes in both plans that have another parent.
std::size_t moved_links(const Plan& before, const Plan& after) {
  std::size_t moved = 0;
  for (const auto& [node, links] : before) {
    if (!after.contains(node)) continue;  // a relay without children left
    for (const UpstreamLink& link : links) {
      moved += parent_in(after, node, link) != link.parent ? 1U : 0U;
    }
  }
  return moved;
}

std::size_t all_links(const Plan& plan) {
  std::size_t links = 0;
  for (const auto& [node, of_node] : plan) links += of_node.size();
  return links;
}

/// Links of `plan` whose parent it is.
std::size_t links_from(const Plan& plan, const NodeId& parent) {
  std::size_t links = 0;
  for (const auto& [node, of_node] : plan) {
    links += static_cast<std::size_t>(std::count_if(
        of_node.begin(), of_node.end(), [&](const auto& link) { return link.parent == parent; }));
  }
  return links;
}

}  // namespace

TEST_CASE("telemetry, whatever round trips it tells, moves no link and hardly a standby") {
  SixtyNodes net{1};
  const Plan plan = net.plan();
  const Plan standbys = net.standbys();
  for (unsigned second = 0; second < 60; ++second) {
    for (const auto& [node, assignment] : net.state) {
      Telemetry telemetry;
      for (const UpstreamLink& link : assignment.upstream) {
        LinkState state;
        state.peer = link.parent;
        state.rtt_us = 1000 + net.below(200'000);
        telemetry.links.push_back(state);
      }
      net.world.on_telemetry(node, telemetry, net.now);
    }
    net.pass(1s);
  }
  CHECK(moved_links(plan, net.plan()) == 0);
  CHECK(moved_links(standbys, net.standbys()) == 0);
  CHECK(net.pushed.empty());
}

TEST_CASE("an idle relay that joins moves nobody who is served well") {
  SixtyNodes net{2};
  const Plan before = net.plan();
  net.relay(8, 100);
  net.live(1s);
  CHECK(moved_links(before, net.plan()) == 0);
  CHECK(net.pushed.empty());
  // Should a better plan be known, it is gone to in small parts.
  Plan at = net.plan();
  for (unsigned second = 0; second < 60; ++second) {
    net.live(1s);
    const std::size_t moved = moved_links(at, net.plan());
    CHECK(moved <= all_links(at) / 20);
    at = net.plan();
  }
}

TEST_CASE("a leaf that leaves, or joins, moves nobody") {
  SixtyNodes net{3};
  unsigned leaves = 0;
  for (unsigned v = 10; v < 63 && leaves < 10; ++v) {
    const Plan before = net.plan();
    if (links_from(before, node_id(v)) > 0) continue;
    ++leaves;
    net.world.on_leave(node_id(v), "show", net.now);
    net.settle();
    CHECK_FALSE(net.plan().contains(node_id(v)));
    CHECK(moved_links(before, net.plan()) == 0);
    const Plan without = net.plan();
    net.join(v);
    net.settle();
    CHECK(net.is_served(v));
    CHECK(moved_links(without, net.plan()) == 0);
  }
  CHECK(leaves == 10);
}

TEST_CASE("when a relay leaves, its children move, and a leaf at most to make room for another") {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SixtyNodes net{seed};
    for (unsigned r = 2; r < 8; ++r) {
      const Plan before = net.plan();
      const std::size_t orphans = links_from(before, node_id(r));
      if (orphans == 0) continue;
      INFO("seed " << seed << ", relay " << r << " with " << orphans);
      net.world.on_goodbye(node_id(r), net.now);
      net.settle();
      const Plan after = net.plan();
      std::size_t others = 0;
      for (const auto& [node, links] : before) {
        if (node == node_id(r) || !after.contains(node)) continue;
        for (const UpstreamLink& link : links) {
          const bool moved = parent_in(after, node, link) != link.parent;
          others += moved && link.parent != node_id(r) ? 1U : 0U;
        }
      }
      CHECK(others <= 1);  // a leaf that makes room for another relay
      for (unsigned v = 10; v < 63; ++v) CHECK(net.is_served(v));
      break;
    }
  }
}

TEST_CASE("in a small network a relay that joins, and a promotion, turn nothing upside down") {
  WorldDriver net;
  net.go_live();
  for (unsigned v = 10; v < 13; ++v) {
    net.viewer(v);
    net.join(v);
    net.settle();
  }
  net.pass(60s);
  const auto plan = [&net] { return net.world.snapshot(net.now)->streams.at(0); };
  CHECK(plan().depth == 2);
  const Plan before = plan().upstream;
  net.relay(2);
  net.pass(60s);
  CHECK(moved_links(before, plan().upstream) == 0);
  const unsigned child = net.parent_of(11) == node_id(1) ? 12 : 11;
  const Plan standbys = plan().standby;
  World::LinkFailure report = net.failure(child, LinkFailureReason::silent);
  report.promoted_to =
      parent_in(standbys, node_id(child), UpstreamLink{TrackId{1}, StripeIndex{0}, {}});
  REQUIRE(report.promoted_to == node_id(1));
  net.world.on_link_failure(node_id(child), report, net.now);
  net.settle();
  Plan after = plan().upstream;
  CHECK(links_from(after, node_id(1)) == links_from(before, node_id(1)));  // the gateway: a bridge
  CHECK(net.is_served(child));
  after.erase(node_id(child));
  CHECK(moved_links(after, before) == 0);
}

TEST_CASE("after a promotion the plan rests: nobody moves, but off a gateway that was a bridge") {
  std::size_t reports = 0;
  std::size_t disturbed = 0;
  std::size_t moved = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SixtyNodes net{seed};
    for (unsigned i = 0; i < 40; ++i) {
      const std::optional<Plan> expected = net.promote_any();
      if (!expected) continue;
      net.live(100ms);
      const Plan after = net.plan();
      const std::size_t bridges = links_from(*expected, node_id(1));
      CHECK(links_from(after, node_id(1)) <= bridges);
      const std::size_t moves =
          moved_links(*expected, after) - (bridges - links_from(after, node_id(1)));
      ++reports;
      disturbed += moves > 0 ? 1U : 0U;
      moved += moves;
      net.live((1 + net.below(10)) * 700ms - 100ms);
    }
  }
  INFO(reports << " reports, " << disturbed << " with moves, " << moved << " links moved");
  CHECK(reports >= 200);
  CHECK(disturbed * 50 <= reports);
  CHECK(moved <= reports);
}

}  // namespace tayga::orch
