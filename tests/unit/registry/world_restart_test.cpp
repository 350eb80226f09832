#include "tests/support/catch.hpp"
#include "tests/unit/registry/world_driver.hpp"

namespace tayga::orch {
namespace {

using test::node_id;
using test::WorldDriver;

/// A network that runs, and then a new World with what the store held.
struct Restarted {
  WorldDriver before;
  WorldDriver after;

  Restarted() {
    before.go_live();
    before.relay(2);
    before.relay(3);
    for (unsigned v = 10; v < 18; ++v) {
      before.viewer(v, 6);
      before.join(v);
      before.settle();
    }
    std::vector<NodeRecord> nodes;
    const auto snapshot = before.world.snapshot(before.now);
    for (const auto& node : snapshot->nodes) nodes.push_back(node.record);
    after.state = before.state;
    after.world.restore(nodes, {*before.world.stream("show")}, after.now);
  }
  void all_return() {
    after.gateway(1);
    after.world.on_publish(node_id(1), after.claim(1), after.now).value();
    for (const unsigned relay : {2U, 3U}) {
      after.hello(relay, static_cast<Roles>(Role::relay), 50, after.held_by(relay, false)).value();
    }
    for (unsigned v = 10; v < 18; ++v) {
      after.hello(v, static_cast<Roles>(Role::viewer), 6, after.held_by(v)).value();
    }
  }
};

TEST_CASE("after a restart nothing is solved before the nodes had time to say what they hold") {
  Restarted net;
  net.all_return();
  net.after.pass(1900ms);
  CHECK(net.after.pushed.empty());
  net.after.pass(200ms);
  CHECK_FALSE(net.after.pushed.empty());
}

TEST_CASE("after a restart every node keeps the parents that it holds, and is told so once") {
  Restarted net;
  const auto links_before = net.before.state;
  net.all_return();
  net.after.pass(10s);
  for (unsigned v = 10; v < 18; ++v) {
    const auto& assignment = net.after.state.at(node_id(v));
    CHECK(assignment.upstream == links_before.at(node_id(v)).upstream);
    CHECK(assignment.downstream == links_before.at(node_id(v)).downstream);
    CHECK(net.after.was_pushed(v));
  }
  CHECK(net.after.was_pushed(1));
}

TEST_CASE("revisions go on above those that nodes hold") {
  Restarted net;
  net.all_return();
  net.after.pass(3s);
  REQUIRE_FALSE(net.after.pushed.empty());
  for (const NodeAssignment& a : net.after.pushed) {
    CHECK(a.revision > net.before.state.at(node_id(10)).revision);
  }
}

TEST_CASE("a held revision that would exhaust the counter is cut") {
  Restarted net;
  net.after.gateway(1);
  net.after.world.on_publish(node_id(1), net.after.claim(1), net.after.now).value();
  auto held = net.after.held_by(10);
  held[0].revision = ~std::uint64_t{0};
  net.after.hello(10, static_cast<Roles>(Role::viewer), 6, held).value();
  net.after.pass(3s);
  REQUIRE(net.after.was_pushed(10));
  CHECK(net.after.state.at(node_id(10)).revision < ~std::uint64_t{0} / 2);
}

TEST_CASE("a parent that does not come back in time is replaced") {
  Restarted net;
  net.after.gateway(1);
  net.after.world.on_publish(node_id(1), net.after.claim(1), net.after.now).value();
  for (unsigned v = 10; v < 18; ++v) {
    net.after.hello(v, static_cast<Roles>(Role::viewer), 6, net.after.held_by(v)).value();
  }
  net.after.pass(3s);
  for (unsigned v = 10; v < 18; ++v) {
    CHECK(net.after.is_served(v));
    CHECK(net.after.parent_of(v) != node_id(2));
    CHECK(net.after.parent_of(v) != node_id(3));
  }
}

TEST_CASE("a relay that is not needed any more is told to stop after a restart") {
  Restarted net;
  const unsigned relay = net.before.state.contains(node_id(2)) ? 2 : 3;
  net.after.gateway(1);
  net.after.world.on_publish(node_id(1), net.after.claim(1), net.after.now).value();
  net.after.hello(relay, static_cast<Roles>(Role::relay), 50, net.after.held_by(relay, false))
      .value();
  net.after.pass(3s);
  REQUIRE(net.after.was_pushed(relay));
  CHECK_FALSE(net.after.state.at(node_id(relay)).carry);
}

TEST_CASE("a stream that was removed while a node was away is dropped by the node") {
  WorldDriver net;
  const StreamId gone = test::stream_key(9).stream_id();
  net.hello(10, static_cast<Roles>(Role::viewer), 6,
            {World::Held{gone, 7, {UpstreamLink{TrackId{1}, StripeIndex{0}, node_id(2)}}, {}, {}}})
      .value();
  REQUIRE(net.world.stream(gone) != nullptr);
  net.drain();
  REQUIRE(net.pushed.size() == 1);
  CHECK(net.pushed[0].stream == gone);
  CHECK_FALSE(net.pushed[0].carry);
  CHECK(net.pushed[0].revision > 7);
}

TEST_CASE("a node that comes back empty plays nothing until it joins again") {
  WorldDriver net;
  net.go_live();
  net.viewer(10);
  net.join(10);
  net.settle();
  net.viewer(10);
  net.settle();
  CHECK(net.world.snapshot(net.now)->streams[0].viewers == 0);
  net.join(10);
  net.settle();
  CHECK(net.parent_of(10) == node_id(1));
}

TEST_CASE("without anything to restore there is nobody to wait for") {
  WorldDriver net;
  net.world.restore({}, {}, net.now);
  net.go_live();
  net.viewer(10);
  net.join(10);
  net.settle();
  CHECK(net.is_served(10));
}

TEST_CASE("a ban and the pinned key survive a restart") {
  WorldDriver net;
  NodeRecord banned;
  banned.id = node_id(2);
  banned.ban_reason = "proven";
  banned.first_seen_ms = 42;
  StreamRecord stream = WorldDriver::show();
  stream.id = test::stream_key(1).stream_id();
  net.world.restore({banned}, {stream}, net.now);
  net.relay(2);
  CHECK(net.world.node(node_id(2))->ban_reason == "proven");
  CHECK(net.world.node(node_id(2))->first_seen_ms == 42);
  net.gateway(1);
  CHECK_FALSE(net.world.on_publish(node_id(1), net.claim(1, 2), net.now));
  CHECK(net.world.on_publish(node_id(1), net.claim(1, 1), net.now));
}

}  // namespace
}  // namespace tayga::orch
