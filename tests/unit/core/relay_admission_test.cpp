#include "tests/support/catch.hpp"
#include "tests/unit/core/relay_rig.hpp"

using namespace tayga;
using namespace tayga::test;
using relay::RefuseReason;

TEST_CASE("a child with a good allocation is admitted") {
  Rig rig;
  rig.start_publishing();
  rig.join_child(rig.child.node_id());
  const auto ok = rig.sent<relay::SubscribeOk>(rig.child.node_id());
  REQUIRE(ok.size() == 1);
  CHECK(ok[0] == relay::SubscribeOk{rig.world.stream(), kTrack, 1});
  CHECK(child_status(rig, rig.child.node_id()).stripes == 1);
}

TEST_CASE("an allocation that is not this link's is refused") {
  Rig rig{4};
  rig.start_publishing();
  const NodeId child = rig.child.node_id();
  rig.up(child);
  auto request = rig.request(child);
  SECTION("another receiver") {
    request.allocation = rig.world.allocate(rig.self_id(), rig.child2.node_id());
  }
  SECTION("another sender") {
    request.allocation = rig.world.allocate(rig.parent.node_id(), child);
  }
  SECTION("a broken signature") {
    request.allocation.back() ^= std::byte{1};
  }
  SECTION("no allocation at all") {
    request.allocation = {};
  }
  SECTION("stripes that it does not cover") {
    request.allocation = rig.world.allocate(rig.self_id(), child, {.stripes = 0b0011});
  }
  SECTION("not valid yet") {
    request.allocation =
        rig.world.allocate(rig.self_id(), child, {.not_before = 90s, .not_after = 600s});
  }
  SECTION("a mask beyond the stream's stripes") {
    request.stripes = ~relay::StripeMask{0};
  }
  SECTION("an empty mask") {
    request.stripes = 0;
  }
  rig.hear(child, request);
  CHECK(refusal(rig, child) == RefuseReason::bad_allocation);
  CHECK(rig.relay.children(rig.now).empty());
}

TEST_CASE("an allocation that ran out is refused as expired") {
  Rig rig;
  rig.start_publishing();
  rig.up(rig.child.node_id());
  auto request = rig.request(rig.child.node_id());
  request.allocation = rig.world.allocate(rig.self_id(), rig.child.node_id(),
                                          {.not_before = -600s, .not_after = -61s});
  rig.hear(rig.child.node_id(), request);
  CHECK(refusal(rig, rig.child.node_id()) == RefuseReason::expired_allocation);
}

TEST_CASE("clocks that differ by less than a minute do not keep a child out") {
  Rig rig;
  rig.start_publishing();
  rig.up(rig.child.node_id());
  auto request = rig.request(rig.child.node_id());
  request.allocation = rig.world.allocate(rig.self_id(), rig.child.node_id(), {.not_before = 50s});
  rig.hear(rig.child.node_id(), request);
  CHECK(rig.sent<relay::SubscribeOk>(rig.child.node_id()).size() == 1);
}

TEST_CASE("a subscription that comes before our assignment is held and then admitted") {
  Rig rig;
  rig.join_child(rig.child.node_id());
  rig.pass(500ms);
  CHECK(rig.log.empty());
  rig.assign({rig.parent.node_id()});
  CHECK(rig.sent<relay::SubscribeOk>(rig.child.node_id()).size() == 1);
}

TEST_CASE("a subscription to a stream that never becomes known is refused with a time to retry") {
  Rig rig;
  rig.join_child(rig.child.node_id());
  rig.pass(1900ms);
  CHECK(rig.log.empty());
  rig.pass(200ms);
  const auto refused = rig.sent<relay::SubscribeRefused>(rig.child.node_id());
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].reason == RefuseReason::unknown_stream);
  CHECK(refused[0].retry_after > 0ms);
}

TEST_CASE("a subscription is held until the online key is known") {
  Rig rig;
  rig.relay.on_online_keys({});
  rig.start_publishing();
  rig.join_child(rig.child.node_id());
  rig.pass(500ms);
  CHECK(rig.sent<relay::SubscribeOk>(rig.child.node_id()).empty());
  rig.world.introduce(rig.relay);
  rig.pass(1ms);
  CHECK(rig.sent<relay::SubscribeOk>(rig.child.node_id()).size() == 1);
}

TEST_CASE("held subscriptions of strangers are bounded") {
  Rig rig;
  std::size_t refused = 0;
  for (unsigned i = 0; i < 400; ++i) {
    const NodeId stranger = sim::make_key(1000 + i).node_id();
    rig.up(stranger);
    auto request = rig.request(stranger);
    for (unsigned track = 0; track < 4; ++track) {
      request.track = TrackId{track};
      rig.hear(stranger, request);
      refused += rig.sent<relay::SubscribeRefused>(stranger).size();
    }
  }
  CHECK(refused == 4 * 400 - 256);
}

TEST_CASE("no more children than the limit") {
  relay::RelayLimits limits;
  limits.children_max = 1;
  Rig rig{1, limits};
  rig.start_publishing();
  rig.join_child(rig.child.node_id());
  rig.join_child(rig.child2.node_id());
  CHECK(refusal(rig, rig.child2.node_id()) == RefuseReason::no_capacity);
  rig.down(rig.child.node_id());
  rig.hear(rig.child2.node_id(), rig.request(rig.child2.node_id()));
  CHECK(rig.sent<relay::SubscribeOk>(rig.child2.node_id()).size() == 1);
}

TEST_CASE("a child that only stands by gives way to one that wants media") {
  relay::RelayLimits limits;
  limits.children_max = 1;
  Rig rig{1, limits};
  rig.start_publishing();
  const NodeId child = rig.child.node_id();
  const NodeId child2 = rig.child2.node_id();
  rig.up(child);
  auto request = rig.request(child);
  request.mode = relay::SubscribeMode::standby;
  rig.hear(child, request);
  CHECK(rig.sent<relay::SubscribeOk>(child).size() == 1);
  rig.join_child(child2);
  CHECK(rig.sent<relay::SubscribeOk>(child2).size() == 1);
  const auto ended = rig.sent<relay::SubscribeRefused>(child);
  REQUIRE(ended.size() == 1);
  CHECK(ended[0].reason == relay::RefuseReason::no_capacity);
  rig.hear(child, request);
  CHECK(rig.sent<relay::SubscribeRefused>(child).size() == 1);  // it does not come back so
}

TEST_CASE("a node that may send nothing says so: children go, a parent is refused, nobody comes") {
  Rig rig;
  rig.join_parent();
  rig.join_child(rig.child.node_id());
  rig.join_child(rig.parent.node_id());  // it feeds us, and asks for what we do not get from it
  rig.relay.on_serving(Relay::Serving::closed, 5s, at(rig.now));
  rig.drain();
  const auto away = rig.sent<relay::GoAway>(rig.child.node_id());
  REQUIRE(away.size() == 1);
  CHECK(away[0] == relay::GoAway{relay::GoAwayReason::paused, 5s});
  CHECK(rig.sent<relay::GoAway>(rig.parent.node_id()).empty());
  rig.join_child(rig.child2.node_id());
  const auto refused = rig.sent<relay::SubscribeRefused>(rig.child2.node_id());
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].reason == relay::RefuseReason::no_capacity);
  rig.relay.on_serving(Relay::Serving::open, 0s, at(rig.now));
  rig.hear(rig.child2.node_id(), rig.request(rig.child2.node_id()));
  CHECK(rig.sent<relay::SubscribeOk>(rig.child2.node_id()).size() == 1);
}

TEST_CASE("a peer that floods with requests is disconnected") {
  Rig rig;
  rig.start_publishing();
  rig.up(rig.child.node_id());
  for (int i = 0; i < 300; ++i) rig.hear(rig.child.node_id(), rig.request(rig.child.node_id()));
  const auto dropped = rig.take<Relay::Disconnect>();
  REQUIRE(dropped.size() == 1);
  CHECK(dropped[0].peer == rig.child.node_id());
  CHECK(rig.relay.children(rig.now).empty());
}
