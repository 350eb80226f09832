#include "orchestrator/solver/solver.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/solver/plan_check.hpp"

#include <algorithm>

namespace tayga::orch {
namespace {

using test::check_plan;
using test::gateway_copies;

constexpr TrackId kVideo{1};
constexpr StripeIndex kStripe0{0};

NodeId id(unsigned number) {
  NodeId node;
  node.bytes[0] = static_cast<std::byte>(number >> 8);
  node.bytes[1] = static_cast<std::byte>(number);
  return node;
}

/// A network of one stream with a track of 1 Mbit/s: uplinks are given in children.
struct Network {
  SolverInput input;
  explicit Network(unsigned stripe_count = 1) {
    input.demand.stripe_count = stripe_count;
    input.demand.tracks = {TrackRecord{kVideo, "v.m3u8", 1'000'000}};
  }
  std::uint64_t uplink(unsigned children) const {
    return children * input.demand.stripe_count *
           stripe_rate_bps(input.demand.tracks[0], input.demand.stripe_count);
  }
  void gateway(unsigned node, unsigned children) {
    input.nodes.push_back(NodeView{id(node), false, uplink(children), 100});
    input.demand.gateways.push_back(id(node));
  }
  void relay(unsigned node, unsigned children) {
    input.nodes.push_back(NodeView{id(node), true, uplink(children), 100});
  }
  void viewer(unsigned node, unsigned children) {
    input.nodes.push_back(NodeView{id(node), false, uplink(children), 100});
    input.demand.viewers[id(node)] = {kVideo};
  }
  SolverPlan solved() const {
    SolverPlan plan = solve(input);
    const auto fault = check_plan(input, plan);
    INFO(fault.value_or(""));
    CHECK_FALSE(fault.has_value());
    return plan;
  }
};

NodeId parent_of(const SolverPlan& plan, unsigned node, StripeIndex stripe = kStripe0) {
  const auto it = plan.upstream.find(id(node));
  if (it == plan.upstream.end()) return NodeId{};
  for (const UpstreamLink& link : it->second) {
    if (link.stripe == stripe) return link.parent;
  }
  return NodeId{};
}

std::size_t moves(const SolverPlan& before, const SolverPlan& after) {
  std::size_t count = 0;
  for (const auto& [node, links] : before.upstream) {
    const auto it = after.upstream.find(node);
    if (it == after.upstream.end()) continue;
    for (const UpstreamLink& link : links) {
      for (const UpstreamLink& now : it->second) {
        const bool same_tree = now.track == link.track && now.stripe == link.stripe;
        count += same_tree && now.parent != link.parent ? 1U : 0U;
      }
    }
  }
  return count;
}

TEST_CASE("a lone viewer hangs at the gateway and no relay is recruited for it") {
  Network net;
  net.gateway(1, 10);
  net.relay(2, 50);
  net.viewer(3, 2);
  const SolverPlan plan = net.solved();
  CHECK(plan.upstream.size() == 1);
  CHECK(parent_of(plan, 3) == id(1));
  CHECK(plan.depth == 1);
}

TEST_CASE("a gateway gives one copy and one strong relay serves everybody below it") {
  Network net;
  net.gateway(1, 10);
  net.relay(2, 30);
  net.relay(3, 30);
  for (unsigned v = 10; v < 16; ++v) net.viewer(v, 3);
  const SolverPlan plan = net.solved();
  CHECK(gateway_copies(net.input, plan, kVideo, kStripe0) == 1);
  CHECK(plan.depth == 2);
  CHECK(parent_of(plan, 2) == id(1));
  CHECK_FALSE(plan.upstream.contains(id(3)));
  for (unsigned v = 10; v < 16; ++v) CHECK(parent_of(plan, v) == id(2));
}

TEST_CASE("viewers carry each other when there is no relay") {
  Network net;
  net.gateway(1, 10);
  for (unsigned v = 10; v < 17; ++v) net.viewer(v, v == 12 ? 3 : 1);
  const SolverPlan plan = net.solved();
  CHECK(parent_of(plan, 12) == id(1));
  CHECK(gateway_copies(net.input, plan, kVideo, kStripe0) == 1);
  CHECK(plan.depth == 3);
}

TEST_CASE("gateways give more copies only when peers have no room, and then serve everybody") {
  Network net;
  net.gateway(1, 10);
  net.viewer(10, 1);
  for (unsigned v = 11; v < 15; ++v) net.viewer(v, 0);
  const SolverPlan plan = net.solved();
  CHECK(plan.unserved.empty());
  CHECK(gateway_copies(net.input, plan, kVideo, kStripe0) == 4);
}

TEST_CASE("who finds no room anywhere is unserved, the newcomer rather than who plays already") {
  Network net;
  net.gateway(1, 2);
  for (unsigned v = 10; v < 13; ++v) net.viewer(v, 0);
  net.input.current.upstream[id(12)] = {UpstreamLink{kVideo, kStripe0, id(1)}};
  net.input.current.upstream[id(11)] = {UpstreamLink{kVideo, kStripe0, id(1)}};
  const SolverPlan plan = net.solved();
  REQUIRE(plan.unserved.size() == 1);
  CHECK(plan.unserved[0] == std::pair{id(10), kVideo});
}

TEST_CASE("without a gateway everybody is unserved") {
  Network net;
  net.relay(2, 10);
  net.viewer(3, 2);
  const SolverPlan plan = net.solved();
  CHECK(plan.upstream.empty());
  CHECK(plan.unserved.size() == 1);
}

TEST_CASE("a leaf that joins moves nobody") {
  Network net;
  net.gateway(1, 4);
  net.relay(2, 20);
  for (unsigned v = 10; v < 20; ++v) net.viewer(v, 1);
  const SolverPlan before = net.solved();
  net.input.current.upstream = before.upstream;
  net.viewer(5, 0);
  const SolverPlan after = net.solved();
  CHECK(after.unserved.empty());
  CHECK(moves(before, after) == 0);
}

TEST_CASE("when a relay dies only its children move, and another takes its place") {
  Network net;
  net.gateway(1, 4);
  net.relay(2, 20);
  net.relay(3, 20);
  for (unsigned v = 10; v < 20; ++v) net.viewer(v, 1);
  const SolverPlan before = net.solved();
  const NodeId used = before.upstream.contains(id(2)) ? id(2) : id(3);
  net.input.current.upstream = before.upstream;
  std::erase_if(net.input.nodes, [&](const NodeView& node) { return node.id == used; });
  const SolverPlan after = net.solved();
  CHECK(after.unserved.empty());
  CHECK(gateway_copies(net.input, after, kVideo, kStripe0) == 1);
  CHECK(after.depth == 2);
}

TEST_CASE("an orphaned subtree follows its root") {
  Network net;
  net.gateway(1, 2);
  net.viewer(10, 2);
  net.viewer(11, 2);
  net.viewer(12, 2);
  net.viewer(13, 0);
  net.viewer(14, 0);
  const auto link = [](unsigned parent) {
    return std::vector{UpstreamLink{kVideo, kStripe0, id(parent)}};
  };
  net.input.current.upstream = {
      {id(10), link(1)}, {id(11), link(9)}, {id(13), link(11)}, {id(14), link(11)}};
  const SolverPlan plan = net.solved();
  CHECK(parent_of(plan, 10) == id(1));
  CHECK(parent_of(plan, 11) == id(10));
  CHECK(parent_of(plan, 13) == id(11));
  CHECK(parent_of(plan, 14) == id(11));
}

TEST_CASE("links that form a loop now are broken and everybody is served") {
  Network net;
  net.gateway(1, 1);
  for (unsigned v = 10; v < 13; ++v) net.viewer(v, 2);
  for (unsigned v = 10; v < 13; ++v) {
    const unsigned parent = v == 12 ? 10 : v + 1;
    net.input.current.upstream[id(v)] = {UpstreamLink{kVideo, kStripe0, id(parent)}};
  }
  const SolverPlan plan = net.solved();
  CHECK(plan.unserved.empty());
}

TEST_CASE("a node moves up when a place nearer to the gateway becomes free") {
  Network net;
  net.gateway(1, 1);
  net.viewer(10, 2);
  net.viewer(11, 1);
  net.viewer(12, 0);
  const auto link = [](unsigned parent) {
    return std::vector{UpstreamLink{kVideo, kStripe0, id(parent)}};
  };
  net.input.current.upstream = {{id(10), link(1)}, {id(11), link(10)}, {id(12), link(11)}};
  const SolverPlan plan = net.solved();
  CHECK(parent_of(plan, 12) == id(10));
  CHECK(plan.depth == 2);
}

TEST_CASE("an avoided pair gets no new link, and keeps those that did not fail") {
  Network net;
  net.gateway(1, 2);
  net.viewer(10, 3);
  net.viewer(11, 0);
  net.input.current.avoid = {{id(11), id(10)}};
  net.input.current.upstream[id(10)] = {UpstreamLink{kVideo, kStripe0, id(1)}};
  SECTION("none stands") {
    const SolverPlan plan = net.solved();
    CHECK(plan.unserved.empty());
    CHECK(parent_of(plan, 11) == id(1));
  }
  SECTION("one stands") {
    net.input.current.upstream[id(11)] = {UpstreamLink{kVideo, kStripe0, id(10)}};
    CHECK(parent_of(net.solved(), 11) == id(10));
  }
}

TEST_CASE("among parents at the same depth the shortest measured path wins") {
  Network net;
  net.gateway(1, 2);
  net.input.gateway_copies = 2;
  net.viewer(10, 4);
  net.viewer(11, 4);
  net.viewer(12, 0);
  net.input.rtt_us = {{{id(12), id(10)}, 90'000}, {{id(11), id(12)}, 4'000}};
  const SolverPlan plan = net.solved();
  CHECK(parent_of(plan, 12) == id(11));
}

TEST_CASE("with four stripes a viewer relays in one stripe at most") {
  Network net{4};
  net.gateway(1, 2);
  for (unsigned v = 10; v < 34; ++v) net.viewer(v, 2);
  const SolverPlan plan = net.solved();
  CHECK(plan.unserved.empty());
  std::map<NodeId, std::set<StripeIndex>> relays_in;
  for (const auto& [child, links] : plan.upstream) {
    for (const UpstreamLink& link : links) relays_in[link.parent].insert(link.stripe);
  }
  for (const auto& [node, stripes] : relays_in) {
    if (node != id(1)) CHECK(stripes.size() == 1);
  }
  for (std::uint8_t s = 0; s < 4; ++s) {
    CHECK(gateway_copies(net.input, plan, kVideo, StripeIndex{s}) == 1);
  }
}

TEST_CASE("one relay serves all four stripes when there is no other") {
  Network net{4};
  net.gateway(1, 2);
  net.relay(2, 12);
  for (unsigned v = 10; v < 20; ++v) net.viewer(v, 0);
  const SolverPlan plan = net.solved();
  CHECK(plan.unserved.empty());
  for (std::uint8_t s = 0; s < 4; ++s) {
    CHECK(gateway_copies(net.input, plan, kVideo, StripeIndex{s}) == 1);
  }
}

TEST_CASE("children_max counts distinct children over all tracks and stripes") {
  Network net{2};
  net.gateway(1, 40);
  net.input.nodes.push_back(NodeView{id(2), true, net.uplink(40), 3});
  net.input.demand.tracks.push_back(TrackRecord{kPresentationTrack, "", 0});
  for (unsigned v = 10; v < 13; ++v) {
    net.viewer(v, 0);
    net.input.demand.viewers[id(v)] = {kPresentationTrack, kVideo};
  }
  const SolverPlan plan = net.solved();
  for (unsigned v = 10; v < 13; ++v) {
    for (const UpstreamLink& link : plan.upstream.at(id(v))) CHECK(link.parent == id(2));
  }
}

TEST_CASE("a heavy track leaves room for the presentation track at the same parents") {
  Network net;
  net.gateway(1, 40);
  net.input.demand.tracks.push_back(TrackRecord{kPresentationTrack, "", 0});
  net.viewer(10, 3);  // exactly three copies of the video, no bit more
  for (unsigned v = 11; v < 14; ++v) net.viewer(v, 0);
  for (unsigned v = 10; v < 14; ++v) {
    net.input.demand.viewers[id(v)] = {kPresentationTrack, kVideo};
  }
  const SolverPlan plan = net.solved();
  CHECK(plan.unserved.empty());
  CHECK(gateway_copies(net.input, plan, kPresentationTrack, kStripe0) == 1);
}

TEST_CASE("a heavy track's extra copies leave the gateway its first copy of the other tracks") {
  Network net;
  net.gateway(1, 4);
  net.input.demand.tracks.push_back(TrackRecord{TrackId{2}, "low.m3u8", 400'000});
  for (unsigned v = 10; v < 14; ++v) net.viewer(v, 0);
  net.viewer(20, 0);
  net.input.demand.viewers[id(20)] = {TrackId{2}};
  const SolverPlan plan = net.solved();
  CHECK(parent_of(plan, 20) == id(1));
  CHECK(plan.unserved.size() == 1);
}

TEST_CASE("the rate of a stripe is its part of the bitrate and 5 percent") {
  CHECK(stripe_rate_bps(TrackRecord{kVideo, "", 4'000'000}, 4) == 1'050'000);
  CHECK(stripe_rate_bps(TrackRecord{kVideo, "", 0}, 1) == kBitrateUnknownBps * 105 / 100);
  CHECK(stripe_rate_bps(TrackRecord{kPresentationTrack, "", 900}, 1) ==
        kPresentationBitrateFloorBps * 105 / 100);
  CHECK(stripe_rate_bps(TrackRecord{kVideo, "", 1}, 32) == 1);
}

}  // namespace
}  // namespace tayga::orch
