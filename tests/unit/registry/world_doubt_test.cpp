#include "tests/support/catch.hpp"
#include "tests/unit/registry/world_driver.hpp"

namespace tayga::orch {
namespace {

using test::node_id;
using test::WorldDriver;

constexpr unsigned kGateway = 1;
constexpr unsigned kRelay = 2;

/// Gateway 1, one relay, viewers 10 to 13 without uplink below it.
struct OneRelay : WorldDriver {
  explicit OneRelay(std::uint64_t gateway_mbit = 100) {
    world.add_stream(show(), now).value();
    gateway(kGateway, gateway_mbit);
    world.on_publish(node_id(kGateway), claim(kGateway), now).value();
    relay(kRelay);
    for (unsigned v = 10; v < 14; ++v) {
      viewer(v, 1);
      join(v);
    }
    settle();
    for (unsigned v = 10; v < 14; ++v) REQUIRE(parent_of(v) == node_id(kRelay));
  }
  /// Who feeds a viewer that joins now.
  NodeId parent_of_next() {
    viewer(next, 1);
    join(next);
    settle();
    return parent_of(next++);
  }
  unsigned next = 20;
};

}  // namespace

TEST_CASE("nobody new hangs on a node whose session broke; who hangs there stays for its grace") {
  OneRelay net;
  CHECK(net.parent_of_next() == node_id(kRelay));
  net.world.on_disconnected(node_id(kRelay), net.now);
  CHECK(net.parent_of_next() == node_id(kGateway));
  for (unsigned v = 10; v < 14; ++v) CHECK(net.parent_of(v) == node_id(kRelay));
}

TEST_CASE("nobody new hangs on a node of which a child complained, until it is heard again") {
  OneRelay net;
  net.world.on_telemetry(node_id(kRelay), Telemetry{}, net.now);
  net.pass(100ms);
  net.fail(10, LinkFailureReason::silent);
  CHECK(net.parent_of_next() == node_id(kGateway));
  for (unsigned v = 11; v < 14; ++v) CHECK(net.parent_of(v) == node_id(kRelay));
  net.world.on_telemetry(node_id(kRelay), Telemetry{}, net.now);
  CHECK(net.parent_of_next() == node_id(kRelay));
}

TEST_CASE(
    "nobody new hangs on a node whose report is overdue; one that never reports is believed") {
  OneRelay net;
  net.pass(10s);
  CHECK(net.parent_of_next() == node_id(kRelay));
  net.world.on_telemetry(node_id(kRelay), Telemetry{}, net.now);
  net.pass(1400ms - 150ms);
  CHECK(net.parent_of_next() == node_id(kRelay));
  net.pass(200ms);
  CHECK(net.parent_of_next() == node_id(kGateway));
  CHECK(net.parent_of(10) == node_id(kRelay));
}

TEST_CASE("a node that may be gone is a better parent than none") {
  OneRelay net{4};  // one copy of 3 Mbit/s
  net.world.on_disconnected(node_id(kRelay), net.now);
  CHECK(net.parent_of_next() == node_id(kRelay));
}

}  // namespace tayga::orch
