#include "daemon/core/rescue_gate.hpp"

#include "tests/sim/relay_world.hpp"
#include "tests/support/catch.hpp"

#include <map>

using namespace tayga;
using namespace tayga::relay;
using sim::kStart;

namespace {

NodeId node(unsigned number) {
  return sim::make_key(number).node_id();
}

}  // namespace

TEST_CASE("a gateway rescues a share of its audience, and a few of a small one") {
  CHECK(rescue_limit(1000, 50) == 50);
  CHECK(rescue_limit(10, 50) == kRescuesMin);
  CHECK(rescue_limit(0, 50) == kRescuesMin);
  CHECK(rescue_limit(1000, 0) == 0);
}

TEST_CASE("of one object no more than the limit is rescued at once, then the next ones") {
  RescueGate gate;
  const RescueGate::Key object{TrackId{1}, ObjectId{7}};
  for (unsigned i = 0; i < 5; ++i) CHECK(gate.admit(object, node(i), 5, kStart));
  CHECK_FALSE(gate.admit(object, node(9), 5, kStart));
  CHECK(gate.admit(object, node(2), 5, kStart + 100ms));  // it holds its place
  CHECK(gate.admit({TrackId{1}, ObjectId{8}}, node(9), 5, kStart));
  CHECK(gate.admit(object, node(9), 5, kStart + kRescueHold));
}

TEST_CASE("objects beyond the bound are forgotten, not refused") {
  RescueGate gate;
  for (unsigned i = 0; i < 1000; ++i) {
    CHECK(gate.admit({TrackId{1}, ObjectId{i}}, node(1), 1, kStart));
  }
  CHECK_FALSE(gate.admit({TrackId{1}, ObjectId{999}}, node(2), 1, kStart));
}

TEST_CASE("objects of other tracks do not push out one that is asked for now") {
  RescueGate gate;
  CHECK(gate.admit({TrackId{1}, ObjectId{5}}, node(1), 1, kStart));
  for (unsigned i = 0; i < 200; ++i) {
    (void)gate.admit({TrackId{2}, ObjectId{i}}, node(1), 1, kStart + 1ms);
    CHECK_FALSE(gate.admit({TrackId{1}, ObjectId{5}}, node(2), 1, kStart + 2ms));
  }
}

TEST_CASE("without a gateway about a share of the viewers goes to the origin in each round") {
  std::map<Duration, unsigned> turns;
  for (unsigned i = 0; i < 2000; ++i) ++turns[rescue_turn(node(i), ObjectId{3}, 2000, 50)];
  CHECK(turns.size() == 20);
  for (const auto& [turn, viewers] : turns) {
    CHECK(viewers >= 60);
    CHECK(viewers <= 140);
  }
}

TEST_CASE("a small audience need not take turns at the origin") {
  for (unsigned object = 0; object < 100; ++object) {
    CHECK(rescue_turn(node(1), ObjectId{object}, 1, 50) == Duration::zero());
    CHECK(rescue_turn(node(1), ObjectId{object}, 4, 50) == Duration::zero());
    CHECK(rescue_turn(node(1), ObjectId{object}, 8, 50) <= kRescueHold);
  }
}
