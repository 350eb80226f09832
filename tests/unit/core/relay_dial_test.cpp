#include "tests/support/catch.hpp"
#include "tests/unit/core/relay_rig.hpp"

using namespace tayga;
using namespace tayga::test;
using relay::LossReason;

namespace {

/// A parent that was dialed and does not answer, beside a standby that is ready.
struct HungDial : Rig {
  HungDial() {
    relay::Assignment target = assignment({parent.node_id()});
    target.upstream.push_back(
        {kTrack, StripeIndex{0}, parent2.node_id(), relay::UpstreamRole::standby});
    target.allocations.push_back(world.allocate(parent2.node_id(), self_id()));
    relay.on_assignment(target, at(now));
    drain();
    up(parent2.node_id());
    confirm(parent2.node_id());
    const auto dials = take<Relay::Connect>();
    REQUIRE(std::ranges::count(dials, parent.node_id(), &Relay::Connect::peer) == 1);
    log.clear();
  }
  /// The standby is heard.
  void wait(Duration duration) {
    for (Duration passed{0}; passed < duration; passed += 10ms) {
      hear(parent2.node_id(), relay::Head{});
      pass(10ms);
    }
  }
};

}  // namespace

TEST_CASE("a dial that hangs for a second is given up for the standby, and told as such") {
  HungDial rig;
  rig.wait(990ms);
  CHECK(rig.take<Relay::ParentLost>().empty());
  CHECK(rig.sent<relay::Subscribe>(rig.parent2.node_id()).empty());
  rig.wait(60ms);
  const auto lost = rig.take<Relay::ParentLost>();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].parent == rig.parent.node_id());
  CHECK(lost[0].reason == LossReason::connect_failed);
  CHECK(lost[0].promoted == rig.parent2.node_id());
  const auto asked = rig.sent<relay::Subscribe>(rig.parent2.node_id());
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].mode == relay::SubscribeMode::active);
}

TEST_CASE("a dial that was given up and then fails is not told a second time") {
  HungDial rig;
  rig.wait(1050ms);
  REQUIRE(rig.take<Relay::ParentLost>().size() == 1);
  rig.confirm(rig.parent2.node_id());
  rig.relay.on_connect_failed(rig.parent.node_id(), at(rig.now));
  rig.drain();
  rig.wait(500ms);
  CHECK(rig.take<Relay::ParentLost>().empty());
  CHECK(rig.relay.stripes().at(0).parent == rig.parent2.node_id());
}

TEST_CASE("a parent that is there and does not confirm is told as silent, not as out of reach") {
  HungDial rig;
  rig.up(rig.parent.node_id());
  for (int i = 0; i < 110; ++i) {
    rig.hear(rig.parent.node_id(), relay::Head{});
    rig.wait(10ms);
  }
  const auto lost = rig.take<Relay::ParentLost>();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].reason == LossReason::silent);
}
