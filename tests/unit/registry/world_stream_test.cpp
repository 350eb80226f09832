#include "orchestrator/registry/world_error.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/registry/world_driver.hpp"

namespace tayga::orch {
namespace {

using test::node_id;
using test::WorldDriver;

TEST_CASE("a stream's name and stripe count are checked, and a name is given once") {
  WorldDriver net;
  const auto added = [&](const std::string& name, unsigned stripes) -> error_code {
    StreamRecord record;
    record.name = name;
    record.stripe_count = stripes;
    const auto result = net.world.add_stream(record, net.now);
    return result ? error_code{} : result.error();
  };
  CHECK(added("", 1) == WorldErrc::bad_stream_name);
  CHECK(added("Show", 1) == WorldErrc::bad_stream_name);
  CHECK(added(".show", 1) == WorldErrc::bad_stream_name);
  CHECK(added(std::string(64, 'a'), 1) == WorldErrc::bad_stream_name);
  CHECK(added("show", 0) == WorldErrc::bad_stripe_count);
  CHECK(added("show", 33) == WorldErrc::bad_stripe_count);
  CHECK_FALSE(added("a-1_2.x", 32));
  CHECK(added("a-1_2.x", 1) == WorldErrc::stream_exists);
}

TEST_CASE("the number of streams and of nodes is limited") {
  WorldDriver net{test::options_with(1, 1, 1)};
  net.world.add_stream(WorldDriver::show(), net.now).value();
  StreamRecord second = WorldDriver::show();
  second.name = "two";
  CHECK(net.world.add_stream(second, net.now).error() == WorldErrc::streams_full);
  net.viewer(1);
  CHECK(net.hello(2, 4, 1).error() == WorldErrc::nodes_full);
  CHECK(net.hello(1, 4, 1));
}

TEST_CASE(
    "a full table forgets the node that was away longest, never one that is there or banned") {
  WorldDriver net{test::options_with(4, 10, 1)};
  for (unsigned node = 1; node < 5; ++node) net.viewer(node);
  net.world.on_tampering(node_id(1), net.now);
  CHECK(net.hello(5, 4, 1).error() == WorldErrc::nodes_full);
  for (const unsigned node : {1U, 3U, 2U}) {
    net.world.on_goodbye(node_id(node), net.now);
    net.pass(1s);
  }
  const auto is_known = [&](unsigned node) { return net.world.node(node_id(node)) != nullptr; };
  CHECK(net.hello(5, 4, 1));
  CHECK_FALSE(is_known(3));
  CHECK(net.hello(6, 4, 1));
  CHECK_FALSE(is_known(2));
  CHECK(net.hello(7, 4, 1).error() == WorldErrc::nodes_full);
  CHECK(is_known(1));
  CHECK(is_known(4));
}

TEST_CASE("of too many stored nodes the banned and those seen last are kept") {
  WorldDriver net{test::options_with(2, 10, 1)};
  std::vector<NodeRecord> stored(3);
  for (unsigned n = 0; n < 3; ++n) {
    stored[n].id = node_id(n + 1);
    stored[n].last_seen_ms = n + 1;
  }
  stored[0].ban_reason = "proven";
  net.world.restore(stored, {}, net.now);
  CHECK(net.world.node(node_id(1)) != nullptr);
  CHECK(net.world.node(node_id(2)) == nullptr);
  CHECK(net.world.node(node_id(3)) != nullptr);
}

TEST_CASE("a stream is offered to every gateway until one claims it, then to that one only") {
  WorldDriver net;
  net.gateway(1);
  net.world.add_stream(WorldDriver::show(), net.now).value();
  net.gateway(2);
  net.relay(3);
  net.drain();
  REQUIRE(net.offers.size() == 2);
  CHECK(net.offers[0].gateway == node_id(1));
  CHECK(net.offers[1].gateway == node_id(2));

  net.clear();
  net.world.on_publish(node_id(2), net.claim(2), net.now).value();
  net.drain();
  REQUIRE(net.withdrawn.size() == 1);
  CHECK(net.withdrawn[0].gateway == node_id(1));
  REQUIRE(net.persisted_streams.size() == 1);
  CHECK(net.persisted_streams[0].gateway == node_id(2));
  CHECK(net.persisted_streams[0].id == test::stream_key(1).stream_id());

  net.clear();
  net.gateway(1);
  net.gateway(2);
  net.drain();
  REQUIRE(net.offers.size() == 1);
  CHECK(net.offers[0].gateway == node_id(2));
}

TEST_CASE("a stream bound to a gateway is offered to no other, and taken from no other") {
  WorldDriver net;
  StreamRecord record = WorldDriver::show();
  record.gateway = node_id(2);
  net.world.add_stream(record, net.now).value();
  net.gateway(1);
  net.gateway(2);
  net.drain();
  REQUIRE(net.offers.size() == 1);
  CHECK(net.offers[0].gateway == node_id(2));
  CHECK(net.world.on_publish(node_id(1), net.claim(1), net.now).error() ==
        WorldErrc::other_gateway);
  CHECK(net.world.on_publish(node_id(2), net.claim(2), net.now));
}

TEST_CASE("the first valid claim pins the key; another key is refused") {
  WorldDriver net;
  net.go_live();
  CHECK(net.world.on_publish(node_id(1), net.claim(1, 2), net.now).error() == WorldErrc::other_key);
  CHECK(net.world.on_publish(node_id(1), net.claim(1, 1), net.now));
  StreamRecord second = WorldDriver::show();
  second.name = "two";
  net.world.add_stream(second, net.now).value();
  CHECK(net.world.on_publish(node_id(1), net.claim(1, 1, "two"), net.now).error() ==
        WorldErrc::key_in_use);
}

TEST_CASE("a claim that the stream key did not sign for this node and name is refused") {
  WorldDriver net;
  net.world.add_stream(WorldDriver::show(), net.now).value();
  net.gateway(1);
  net.gateway(2);
  net.relay(3);
  const auto refused = [&](unsigned node, const World::Publish& publish) {
    const auto result = net.world.on_publish(node_id(node), publish, net.now);
    return result ? error_code{} : result.error();
  };
  World::Publish flipped = net.claim(1);
  flipped.claim[5] ^= std::byte{1};
  CHECK(refused(1, flipped) == WorldErrc::bad_claim);
  CHECK(refused(2, net.claim(1)) == WorldErrc::bad_claim);
  CHECK(refused(3, net.claim(3)) == WorldErrc::not_a_gateway);
  CHECK(refused(4, net.claim(4)) == WorldErrc::node_not_connected);
  World::Publish renamed = net.claim(1);
  renamed.stream_name = "other";
  CHECK(refused(1, renamed) == WorldErrc::stream_not_found);
  World::Publish unsafe = net.claim(1);
  unsafe.tracks[1].playlist_path = "../x";
  CHECK(refused(1, unsafe) == WorldErrc::bad_tracks);
  World::Publish twice = net.claim(1);
  twice.tracks.push_back(twice.tracks[1]);
  CHECK(refused(1, twice) == WorldErrc::bad_tracks);
  CHECK_FALSE(net.world.stream("show")->id.has_value());
}

TEST_CASE("an earlier run of the publisher does not replace a later one") {
  WorldDriver net;
  net.go_live();
  World::Publish older = net.claim(1);
  older.publisher_epoch = 99;
  CHECK(net.world.on_publish(node_id(1), older, net.now).error() == WorldErrc::old_publisher_epoch);
  World::Publish later = net.claim(1);
  later.publisher_epoch = 101;
  CHECK(net.world.on_publish(node_id(1), later, net.now));
  CHECK(net.world.stream("show")->publisher_epoch == 101);
}

TEST_CASE(
    "a rate that changes by less than a quarter moves nothing, by more is told to everybody") {
  WorldDriver net;
  net.go_live();
  net.viewer(10);
  net.join(10);
  net.settle();
  net.clear();
  net.world.on_publish(node_id(1), net.claim(1, 1, "show", 3'700'000), net.now).value();
  net.settle();
  CHECK(net.pushed.empty());
  CHECK(net.persisted_streams.empty());
  net.world.on_publish(node_id(1), net.claim(1, 1, "show", 3'800'000), net.now).value();
  net.settle();
  CHECK(net.pushed.size() == 2);
  CHECK(net.persisted_streams.size() == 1);
  CHECK(net.world.stream("show")->tracks[1].bitrate_bps == 3'800'000);
}

TEST_CASE("a track that appears is served to those who wait for it") {
  WorldDriver net;
  net.go_live();
  net.viewer(10);
  net.join(10, {TrackId{2}});
  net.settle();
  CHECK(net.parent_of(10, TrackId{2}).is_zero());
  World::Publish publish = net.claim(1);
  publish.tracks.push_back(TrackRecord{TrackId{2}, "v2.m3u8", 800'000});
  net.world.on_publish(node_id(1), publish, net.now).value();
  net.settle();
  CHECK(net.parent_of(10, TrackId{2}) == node_id(1));
}

TEST_CASE("a removed stream is withdrawn, dropped by all and forgotten, and can be added again") {
  WorldDriver net;
  net.go_live();
  net.viewer(10);
  net.join(10);
  net.settle();
  net.clear();
  const StreamId id = *net.world.stream("show")->id;
  CHECK(net.world.remove_stream("other", net.now).error() == WorldErrc::stream_not_found);
  net.world.remove_stream("show", net.now).value();
  REQUIRE(net.world.stream(id) != nullptr);  // the last assignments still name it
  net.drain();
  CHECK(net.world.stream(id) == nullptr);
  CHECK(net.world.stream("show") == nullptr);
  CHECK(net.withdrawn.size() == 1);
  CHECK(net.erased == std::vector<std::string>{"show"});
  REQUIRE(net.pushed.size() == 2);
  for (const NodeAssignment& a : net.pushed) CHECK_FALSE(a.carry);
  REQUIRE(net.refused.size() == 1);
  CHECK(net.refused[0].reason == World::RefuseJoin::Reason::no_such_stream);

  net.world.add_stream(WorldDriver::show(), net.now).value();
  CHECK(net.world.on_publish(node_id(1), net.claim(1, 2), net.now));
}

TEST_CASE("a stream whose publisher stops is taken back, and given again when it publishes anew") {
  WorldDriver net;
  net.go_live();
  net.viewer(10);
  net.viewer(11);
  net.join(10);
  net.settle();
  const auto held = net.held_by(10);
  net.clear();
  net.world.on_unpublish(node_id(1), "show", net.now);
  net.settle();
  CHECK_FALSE(net.world.snapshot(net.now)->streams[0].live);
  CHECK(net.world.snapshot(net.now)->streams[0].viewers == 1);
  CHECK(net.world.snapshot(net.now)->streams[0].upstream.empty());
  REQUIRE(net.pushed.size() == 2);
  for (const NodeAssignment& a : net.pushed) CHECK_FALSE(a.carry);
  CHECK(net.withdrawn.empty());

  SECTION("once more changes nothing") {
    net.clear();
    net.world.on_unpublish(node_id(1), "show", net.now);
    net.settle();
    CHECK(net.pushed.empty());
  }
  SECTION("joins are told that it is not live, old and new ones, once") {
    for (const unsigned v : {10U, 10U, 11U}) net.join(v);
    net.settle();
    REQUIRE(net.refused.size() == 2);
    for (const auto& one : net.refused) CHECK(one.reason == World::RefuseJoin::Reason::not_live);
  }
  SECTION("who was away and still holds it is told to drop it, and goes on waiting") {
    net.clear();
    net.hello(10, static_cast<Roles>(Role::viewer), 10, held).value();
    net.settle();
    REQUIRE(net.pushed.size() == 1);
    CHECK_FALSE(net.pushed[0].carry);
    CHECK(net.pushed[0].revision > held[0].revision);
  }
  net.world.on_publish(node_id(1), net.claim(1), net.now).value();
  net.settle();
  CHECK(net.world.snapshot(net.now)->streams[0].live);
  CHECK(net.parent_of(10) == node_id(1));
  CHECK(net.state.at(node_id(1)).carry);
}

TEST_CASE("only a stream's own gateway stops it") {
  WorldDriver net;
  net.go_live();
  net.gateway(2);
  net.viewer(10);
  net.join(10);
  net.settle();
  net.clear();
  net.world.on_unpublish(node_id(2), "show", net.now);
  net.world.on_unpublish(node_id(10), "show", net.now);
  net.world.on_unpublish(node_id(77), "show", net.now);
  net.world.on_unpublish(node_id(1), "other", net.now);
  net.settle();
  CHECK(net.pushed.empty());
  CHECK(net.world.snapshot(net.now)->streams[0].live);
}

TEST_CASE("when the gateway is gone nobody is moved, and its return serves everybody again") {
  WorldDriver net;
  net.go_live();
  net.viewer(10);
  net.join(10);
  net.settle();
  net.clear();
  net.world.on_disconnected(node_id(1), net.now);
  net.pass(10s);
  CHECK(net.pushed.empty());
  CHECK_FALSE(net.world.snapshot(net.now)->streams[0].live);
  net.viewer(11);
  net.join(11);
  net.settle();
  REQUIRE(net.refused.size() == 1);
  CHECK(net.refused[0].reason == World::RefuseJoin::Reason::not_live);

  net.gateway(1);
  net.drain();
  REQUIRE(net.offers.size() == 1);
  net.world.on_publish(node_id(1), net.claim(1), net.now).value();
  net.settle();
  CHECK(net.world.snapshot(net.now)->streams[0].live);
  CHECK(net.is_served(11));
  REQUIRE(net.was_pushed(1));
  CHECK_FALSE(net.state.at(node_id(1)).downstream.empty());
}

}  // namespace
}  // namespace tayga::orch
