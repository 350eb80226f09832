#include "tests/support/catch.hpp"
#include "tests/unit/core/heal_rig.hpp"

using namespace tayga;
using namespace tayga::test;
using relay::LossReason;

TEST_CASE("children hear that their parent starves when it suspects its own, and pass it on") {
  HealRig rig;
  rig.join_child(rig.child.node_id());
  rig.feed(rig.parent.node_id(), rig.slices(2));
  while (rig.take<Relay::Suspected>().empty()) rig.pass(5ms);
  CHECK(rig.sent<relay::UpstreamGap>(rig.child.node_id()).size() == 1);

  HealRig below;
  below.join_child(below.child.node_id());
  below.feed(below.parent.node_id(), below.slices(2));
  below.hear(below.parent.node_id(), relay::UpstreamGap{below.world.stream(), kTrack, 1});
  CHECK(below.sent<relay::UpstreamGap>(below.child.node_id()).size() == 1);
  below.beat(600ms);
  CHECK(below.relay.counters().promotions == 0);  // the top orphan acts
  below.beat(400ms);
  CHECK(below.relay.counters().promotions == 1);  // it did not
}

TEST_CASE("a parent that says so starves no more, though it has nothing to send") {
  HealRig rig;
  rig.join_child(rig.child.node_id());
  rig.feed(rig.parent.node_id(), rig.slices(2));
  rig.hear(rig.parent.node_id(), relay::UpstreamGap{rig.world.stream(), kTrack, 1});
  rig.hear(rig.parent.node_id(), relay::UpstreamGap{rig.world.stream(), kTrack, 0});
  const auto told = rig.sent<relay::UpstreamGap>(rig.child.node_id());
  REQUIRE(told.size() == 2);
  CHECK(told[0].stripes == 1);
  CHECK(told[1].stripes == 0);
  rig.beat(2s);
  CHECK(rig.relay.counters().promotions == 0);
}

TEST_CASE("a false suspicion is taken back from the children") {
  HealRig rig;
  rig.join_child(rig.child.node_id());
  rig.feed(rig.parent.node_id(), rig.slices(2));
  while (rig.take<Relay::Suspected>().empty()) rig.pass(5ms);
  rig.hear(rig.parent.node_id(), relay::Head{});
  const auto told = rig.sent<relay::UpstreamGap>(rig.child.node_id());
  REQUIRE(told.size() == 2);
  CHECK(told[1].stripes == 0);
}

TEST_CASE("who talks much is not echoed to every child") {
  HealRig rig;
  rig.join_child(rig.child.node_id());
  rig.feed(rig.parent.node_id(), rig.slices(2));
  for (int i = 0; i < 100; ++i) {
    rig.hear(rig.parent.node_id(), relay::UpstreamGap{rig.world.stream(), kTrack, 1});
    rig.confirm(rig.parent.node_id());
  }
  CHECK(rig.sent<relay::UpstreamGap>(rig.child.node_id()).size() <= 200);
  for (int i = 0; i < 500; ++i) {
    rig.hear(rig.parent.node_id(), relay::UpstreamGap{rig.world.stream(), kTrack, 1});
  }
  CHECK(rig.take<Relay::Disconnect>().size() == 1);
}

TEST_CASE("a parent that brings media again starves no more") {
  HealRig rig;
  const auto slices = rig.slices(4);
  rig.feed(rig.parent.node_id(), {slices[0], slices[1]});
  rig.hear(rig.parent.node_id(), relay::UpstreamGap{rig.world.stream(), kTrack, 1});
  rig.beat(300ms);
  rig.feed(rig.parent.node_id(), slices[2]);
  rig.beat(2s);
  CHECK(rig.relay.counters().promotions == 0);
}

TEST_CASE("whom we stand by for hears that we starve, when it comes and when it is over") {
  HealRig rig;
  relay::Subscribe standby = rig.request(rig.child.node_id());
  standby.mode = relay::SubscribeMode::standby;
  rig.up(rig.child.node_id());
  rig.hear(rig.child.node_id(), standby);
  rig.feed(rig.parent.node_id(), rig.slices(2));
  while (rig.take<Relay::Suspected>().empty()) rig.pass(5ms);
  auto told = rig.sent<relay::UpstreamGap>(rig.child.node_id());
  REQUIRE(told.size() == 1);
  CHECK(told[0].stripes == 1);
  rig.log.clear();
  rig.up(rig.child2.node_id());
  relay::Subscribe later = rig.request(rig.child2.node_id());
  later.mode = relay::SubscribeMode::standby;
  rig.hear(rig.child2.node_id(), later);
  CHECK(rig.sent<relay::UpstreamGap>(rig.child2.node_id()).size() == 1);
  rig.hear(rig.parent.node_id(), relay::Head{});
  told = rig.sent<relay::UpstreamGap>(rig.child.node_id());
  REQUIRE(told.size() == 1);
  CHECK(told[0].stripes == 0);
}

TEST_CASE("a standby that starves does not take over until it has enough again") {
  HealRig rig;
  rig.feed(rig.parent.node_id(), rig.slices(2));
  rig.hear(rig.parent2.node_id(), relay::UpstreamGap{rig.world.stream(), kTrack, 1});
  rig.beat(600ms, false);
  CHECK(rig.relay.counters().promotions == 0);
  rig.hear(rig.parent2.node_id(), relay::UpstreamGap{rig.world.stream(), kTrack, 0});
  rig.beat(100ms, false);
  CHECK(rig.relay.counters().promotions == 1);
  const auto asked = rig.sent<relay::Subscribe>(rig.parent2.node_id());
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].mode == relay::SubscribeMode::active);
}

TEST_CASE("who took over feeds the stripe until the parent that is meant for it was asked") {
  HealRig rig;
  const auto slices = rig.slices(3);
  rig.feed(rig.parent.node_id(), slices[0]);
  rig.frame(rig.parent.node_id(), slices[1].header_frame);
  rig.down(rig.parent.node_id(), LossReason::reset);
  CHECK(rig.relay.counters().promotions == 1);
  // The next parent is named before the standby confirmed, and is not there yet.
  rig.assign({rig.child.node_id(), rig.child.node_id()});
  CHECK(rig.sent<relay::Unsubscribe>(rig.parent2.node_id()).empty());
  rig.confirm(rig.parent2.node_id());
  rig.feed(rig.parent2.node_id(), slices[1]);
  const auto repaired = rig.take<Relay::Repaired>();
  REQUIRE(repaired.size() == 1);
  CHECK(repaired[0].parent == rig.parent2.node_id());
  rig.up(rig.child.node_id());
  rig.pass(300ms);
  CHECK(rig.sent<relay::Subscribe>(rig.child.node_id()).size() == 1);
  rig.confirm(rig.child.node_id());
  rig.pass(30ms);
  CHECK(rig.sent<relay::Unsubscribe>(rig.parent2.node_id()).size() == 1);
}
