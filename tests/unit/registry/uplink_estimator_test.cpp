#include "orchestrator/registry/uplink_estimator.hpp"

#include "tests/support/catch.hpp"

namespace tayga::orch {
namespace {

const TimePoint t0{Duration{1'000'000'000'000}};

NodeId child(unsigned number) {
  NodeId id;
  id.bytes[0] = static_cast<std::byte>(number);
  return id;
}

TEST_CASE("what was declared counts, however little was asked for so far") {
  UplinkEstimator uplink;
  CHECK(uplink.usable_bps(50'000'000, t0) == 50'000'000);
  uplink.on_child_rate(child(1), 3'000'000, t0);
  CHECK(uplink.measured_bps(t0) == 3'000'000);
  CHECK(uplink.usable_bps(50'000'000, t0) == 50'000'000);
}

TEST_CASE("measured is the sum over the children, and of that the maximum of the last minute") {
  UplinkEstimator uplink;
  uplink.on_child_rate(child(1), 3'000'000, t0);
  uplink.on_child_rate(child(2), 4'000'000, t0 + 1s);
  uplink.on_child_rate(child(2), 1'000'000, t0 + 20s);
  CHECK(uplink.measured_bps(t0 + 20s) == 7'000'000);
  CHECK(uplink.measured_bps(t0 + 59s) == 7'000'000);
  CHECK(uplink.measured_bps(t0 + 75s) == 1'000'000);
  CHECK(uplink.measured_bps(t0 + 200s) == 0);
}

TEST_CASE("a child that stopped reporting does not count on") {
  UplinkEstimator uplink;
  uplink.on_child_rate(child(1), 3'000'000, t0);
  uplink.on_child_rate(child(2), 2'000'000, t0 + 61s);
  CHECK(uplink.measured_bps(t0 + 61s) == 2'000'000);
}

TEST_CASE("for a minute after congestion a node is planned with a third more than it showed") {
  UplinkEstimator uplink;
  uplink.on_child_rate(child(1), 9'000'000, t0);
  uplink.on_congested(t0);
  CHECK(uplink.usable_bps(50'000'000, t0 + 1s) == 12'000'000);
  CHECK(uplink.usable_bps(10'000'000, t0 + 1s) == 10'000'000);
  CHECK(uplink.usable_bps(50'000'000, t0 + 60s) == 50'000'000);
}

TEST_CASE("a congested node keeps the floor, but never more than it declared") {
  UplinkEstimator uplink;
  uplink.on_congested(t0);
  CHECK(uplink.usable_bps(50'000'000, t0) == kUplinkFloorBps);
  CHECK(uplink.usable_bps(2'000'000, t0) == 2'000'000);
}

}  // namespace
}  // namespace tayga::orch
