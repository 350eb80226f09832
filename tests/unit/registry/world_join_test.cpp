#include "tests/support/catch.hpp"
#include "tests/unit/registry/world_driver.hpp"

namespace tayga::orch {
namespace {

using test::node_id;
using test::WorldDriver;
using Reason = World::RefuseJoin::Reason;

TEST_CASE("a viewer that joins a live stream is told its parent, and the parent before it") {
  WorldDriver net;
  net.go_live();
  net.viewer(10);
  net.clear();
  net.join(10);
  net.settle();
  REQUIRE(net.pushed.size() == 2);
  CHECK(net.pushed[0].node == node_id(1));
  CHECK(net.pushed[0].carry);
  CHECK(net.pushed[0].downstream.size() == 2);  // the presentation track, and the video
  CHECK(net.pushed[1].node == node_id(10));
  CHECK(net.pushed[1].upstream.size() == 2);
  CHECK(net.pushed[1].revision == net.pushed[0].revision);
}

TEST_CASE("joins within the resolve delay are solved together") {
  WorldDriver net;
  net.go_live();
  for (unsigned v = 10; v < 20; ++v) net.viewer(v);
  net.settle();
  net.clear();
  for (unsigned v = 10; v < 20; ++v) {
    net.join(v);
    net.pass(1ms);
  }
  CHECK(net.pushed.empty());
  net.settle();
  for (unsigned v = 10; v < 20; ++v) {
    CHECK(net.is_served(v));
    CHECK(net.state.at(node_id(v)).revision == net.pushed[0].revision);
  }
}

TEST_CASE("the first audience of a track is placed in one solve, later ones are not kept waiting") {
  WorldDriver net;
  net.go_live();
  for (unsigned v = 10; v < 14; ++v) net.viewer(v, 10);
  net.settle();
  net.clear();
  for (unsigned v = 10; v < 13; ++v) {
    net.join(v);
    net.pass(39ms);
  }
  CHECK(net.pushed.empty());
  net.pass(3ms);
  for (unsigned v = 10; v < 13; ++v) {
    CHECK(net.is_served(v));
    CHECK(net.state.at(node_id(v)).revision == net.pushed[0].revision);
  }
  SECTION("a track that somebody gets") {
    net.join(13);
    net.pass(20ms);
    CHECK(net.is_served(13));
  }
  SECTION("a track of the same stream that nobody gets yet") {
    World::Publish publish = net.claim(1);
    publish.tracks.push_back(TrackRecord{TrackId{2}, "v2.m3u8", 800'000});
    net.world.on_publish(node_id(1), publish, net.now).value();
    net.settle();
    net.join(13, {TrackId{1}, TrackId{2}});
    net.pass(119ms);
    CHECK_FALSE(net.is_served(13));
    net.pass(1ms);
    CHECK(net.parent_of(13, TrackId{2}) == node_id(1));
  }
  SECTION("a track that the stream does not have makes nobody wait") {
    net.join(13, {TrackId{1}, TrackId{7}});
    net.pass(20ms);
    CHECK(net.is_served(13));
  }
}

TEST_CASE("another reason to solve is not put off by a first audience, nor the other way round") {
  WorldDriver net;
  net.go_live();
  net.viewer(10);
  net.viewer(11);
  net.settle();
  net.world.on_publish(node_id(1), net.claim(1, 1, "show", 6'000'000), net.now).value();
  net.join(10);
  net.pass(20ms);
  CHECK(net.is_served(10));
}

TEST_CASE("a join before the stream is live is refused once, kept, and served when it goes live") {
  WorldDriver net;
  net.world.add_stream(WorldDriver::show(), net.now).value();
  net.viewer(10);
  net.join(10);
  net.join(10);
  net.settle();
  REQUIRE(net.refused.size() == 1);
  CHECK(net.refused[0].reason == Reason::not_live);
  CHECK(net.refused[0].node == node_id(10));
  CHECK_FALSE(net.is_served(10));

  net.gateway(1);
  net.world.on_publish(node_id(1), net.claim(1), net.now).value();
  net.settle();
  CHECK(net.parent_of(10) == node_id(1));
}

TEST_CASE("a join of an unknown stream, or of a node that does not play, is refused") {
  WorldDriver net;
  net.go_live();
  net.viewer(10);
  net.relay(20);
  net.world.on_join(node_id(10), "other", {}, net.now);
  net.join(20);
  net.settle();
  REQUIRE(net.refused.size() == 2);
  CHECK(net.refused[0].reason == Reason::no_such_stream);
  CHECK(net.refused[1].reason == Reason::not_allowed);
}

TEST_CASE("the presentation track comes with every join") {
  WorldDriver net;
  net.go_live();
  net.viewer(10);
  net.join(10, {});
  net.settle();
  CHECK(net.parent_of(10, kPresentationTrack) == node_id(1));
  CHECK(net.parent_of(10, TrackId{1}).is_zero());
  net.join(10, {TrackId{1}});
  net.settle();
  CHECK(net.parent_of(10, TrackId{1}) == node_id(1));
}

TEST_CASE("a second viewer changes only what concerns it") {
  WorldDriver net;
  net.go_live();
  for (unsigned v = 10; v < 13; ++v) {
    net.viewer(v, 30);
    net.join(v);
    net.settle();
  }
  net.clear();
  net.viewer(13, 0);
  net.join(13);
  net.settle();
  CHECK(net.is_served(13));
  const NodeId parent = net.parent_of(13);
  for (const NodeAssignment& a : net.pushed) {
    CHECK((a.node == parent || a.node == node_id(13)));
  }
}

TEST_CASE("a relay carries only while it has children, and is told to stop then") {
  WorldDriver net;
  net.go_live();
  net.relay(2);
  net.settle();
  CHECK(net.pushed.empty());
  for (unsigned v = 10; v < 16; ++v) {
    net.viewer(v, 1);  // not one child's worth
    net.join(v);
  }
  net.settle();
  REQUIRE(net.state.contains(node_id(2)));
  CHECK(net.parent_of(2) == node_id(1));
  CHECK(net.state.at(node_id(1)).downstream.size() == 2);
  for (unsigned v = 10; v < 16; ++v) CHECK(net.parent_of(v) == node_id(2));

  net.clear();
  for (unsigned v = 10; v < 16; ++v) net.world.on_leave(node_id(v), "show", net.now);
  net.settle();
  CHECK_FALSE(net.state.at(node_id(2)).carry);
  CHECK(net.state.at(node_id(2)).upstream.empty());
  for (unsigned v = 10; v < 16; ++v) CHECK_FALSE(net.state.at(node_id(v)).carry);
  CHECK(net.state.at(node_id(1)).carry);
  CHECK(net.state.at(node_id(1)).downstream.empty());
}

TEST_CASE("when nobody has room a viewer is told so once, and served when room comes") {
  WorldDriver net;
  net.world.add_stream(WorldDriver::show(), net.now).value();
  net.gateway(1, 4);
  net.world.on_publish(node_id(1), net.claim(1), net.now).value();
  for (unsigned v = 10; v < 12; ++v) {
    net.viewer(v, 1);
    net.join(v);
  }
  net.settle();
  REQUIRE(net.refused.size() == 1);
  CHECK(net.refused[0].reason == Reason::no_capacity);
  CHECK(net.is_served(10) != net.is_served(11));
  net.join(10);
  net.join(11);
  net.settle();
  CHECK(net.refused.size() == 1);
  net.relay(2);
  net.settle();
  CHECK(net.is_served(10));
  CHECK(net.is_served(11));
}

TEST_CASE("streams share each node's uplink") {
  WorldDriver net;
  net.world.add_stream(WorldDriver::show(), net.now).value();
  StreamRecord second = WorldDriver::show();
  second.name = "other";
  net.world.add_stream(second, net.now).value();
  net.gateway(1, 8);  // two copies of one stream, or one of each
  net.world.on_publish(node_id(1), net.claim(1), net.now).value();
  net.world.on_publish(node_id(1), net.claim(1, 2, "other"), net.now).value();
  for (unsigned v = 10; v < 14; ++v) net.viewer(v, 1);
  net.join(10);
  net.settle();
  net.join(11);
  net.settle();
  CHECK(net.is_served(10));
  CHECK(net.is_served(11));
  net.world.on_join(node_id(12), "other", {TrackId{1}}, net.now);
  net.settle();
  CHECK(net.parent_of(12).is_zero());
  net.world.on_leave(node_id(11), "show", net.now);
  net.settle();
  net.world.on_join(node_id(13), "other", {TrackId{1}}, net.now);
  net.settle();
  CHECK((net.is_served(12) || net.is_served(13)));
}

TEST_CASE("revisions of a stream rise with every push") {
  WorldDriver net;
  net.go_live();
  std::uint64_t last = 0;
  for (unsigned v = 10; v < 30; ++v) {
    net.viewer(v);
    net.join(v);
    net.clear();
    net.settle();
    REQUIRE_FALSE(net.pushed.empty());
    for (const NodeAssignment& a : net.pushed) CHECK(a.revision > last);
    last = net.pushed.back().revision;
  }
}

TEST_CASE("renewed allocations push the same plan under a new revision") {
  WorldDriver net;
  net.go_live();
  net.viewer(10);
  net.join(10);
  net.settle();
  const NodeAssignment before = net.state.at(node_id(10));
  net.clear();
  net.world.on_renew_allocations(net.now);
  net.drain();
  CHECK(net.pushed.size() == 2);
  const NodeAssignment& after = net.state.at(node_id(10));
  CHECK(after.upstream == before.upstream);
  CHECK(after.revision > before.revision);
}

TEST_CASE("allocations that are due are renewed for their receivers alone") {
  WorldDriver net;
  net.go_live();
  for (unsigned v = 10; v < 13; ++v) {
    net.viewer(v);
    net.join(v);
  }
  net.settle();
  net.clear();
  const StreamId id = *net.world.stream("show")->id;
  const StreamId other = test::stream_key(9).stream_id();
  net.world.on_renew_allocations({{node_id(11), id}, {node_id(12), other}, {node_id(77), id}},
                                 net.now);
  net.drain();
  REQUIRE(net.pushed.size() == 1);
  CHECK(net.pushed[0].node == node_id(11));
  CHECK_FALSE(net.pushed[0].upstream.empty());
  net.clear();
  net.world.on_renew_allocations({}, net.now);
  net.drain();
  CHECK(net.pushed.empty());
}

TEST_CASE("a snapshot shows nodes, streams, places and measured uplinks") {
  WorldDriver net;
  net.go_live();
  net.relay(2);
  for (unsigned v = 10; v < 14; ++v) {
    net.viewer(v, 1);
    net.join(v);
  }
  net.settle();
  Telemetry telemetry;
  telemetry.links = {LinkState{node_id(2), 20'000, 0, 0, 0, 0, 0, true}};
  net.world.on_telemetry(node_id(10), telemetry, net.now);
  net.pass(1s);
  telemetry.links[0].bytes_received = 500'000;
  net.world.on_telemetry(node_id(10), telemetry, net.now);

  const auto snapshot = net.world.snapshot(net.now);
  CHECK(snapshot->taken_ms == net.now.wall_ms);
  REQUIRE(snapshot->nodes.size() == 6);
  const auto& relay = snapshot->nodes[1];
  CHECK(relay.record.id == node_id(2));
  CHECK(relay.connected);
  CHECK(relay.usable_uplink_bps == 50'000'000);
  CHECK(relay.measured_uplink_bps == 4'000'000);
  REQUIRE(snapshot->streams.size() == 1);
  const auto& stream = snapshot->streams[0];
  CHECK(stream.live);
  CHECK(stream.viewers == 4);
  CHECK(stream.carriers == 1);
  CHECK(stream.depth == 2);
  CHECK(stream.revision == net.state.at(node_id(10)).revision);
  CHECK(stream.upstream.size() == 5);
}

TEST_CASE("measured round trips choose between parents of the same depth") {
  WorldDriver net{test::options_with(100, 10, 2)};
  net.go_live();
  net.viewer(10, 40);
  net.viewer(11, 40);
  net.join(10);
  net.join(11);
  net.settle();
  Telemetry telemetry;
  telemetry.links = {LinkState{node_id(12), 3'000, 0, 0, 0, 0, 0, false}};
  net.world.on_telemetry(node_id(11), telemetry, net.now);
  net.viewer(12, 0);
  net.join(12);
  net.settle();
  CHECK(net.parent_of(12) == node_id(11));
}

}  // namespace
}  // namespace tayga::orch
