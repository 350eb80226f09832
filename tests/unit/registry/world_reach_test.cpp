#include "tests/support/catch.hpp"
#include "tests/unit/registry/two_branches.hpp"

namespace tayga::orch {
namespace {

using test::node_id;

constexpr unsigned kGateway = 1;

struct Walls : test::TwoBranches {
  using TwoBranches::TwoBranches;
  /// Both relays are heard: nobody doubts them.
  void report() {
    world.on_telemetry(node_id(2), Telemetry{}, now);
    world.on_telemetry(node_id(3), Telemetry{}, now);
  }
  void fail_and_settle(unsigned node, LinkFailureReason reason) {
    fail(node, reason);
    report();
    settle();
  }
  void fail_standby(unsigned node, LinkFailureReason reason) {
    World::LinkFailure report = failure(node, reason);
    report.parent = standby_of(node);
    world.on_link_failure(node_id(node), report, now);
  }
  /// The viewer that the full relay feeds and the roomy one does not back.
  [[nodiscard]] unsigned unbacked() const {
    for (const unsigned v : of_full) {
      if (parent_of(v) == node_id(full) && standby_of(v) != node_id(roomy)) return v;
    }
    FAIL("all are backed");
    return 0;
  }
};

constexpr auto kNoWay = LinkFailureReason::connect_failed;

}  // namespace

TEST_CASE("two nodes that could not connect with others are not made parent and child") {
  // given a viewer that failed with the relay that has room
  const auto first = GENERATE(kNoWay, LinkFailureReason::refused);
  const auto second = GENERATE(kNoWay, LinkFailureReason::refused);
  CAPTURE(static_cast<int>(first), static_cast<int>(second));
  Walls net;
  net.fail_and_settle(net.of_roomy[0], first);
  // when another one fails with the other relay
  const unsigned orphan = net.unbacked();
  net.fail_and_settle(orphan, second);
  // then it goes where it gets through, as far as is known
  const bool is_unwise = first == kNoWay && second == kNoWay;
  CHECK(net.parent_of(orphan) == node_id(is_unwise ? kGateway : net.roomy));
  CHECK(net.standby_of(orphan) != node_id(net.full));
}

TEST_CASE("a node that could not connect with somebody is a parent to everybody else") {
  Walls net;
  net.fail_and_settle(net.of_roomy[0], kNoWay);
  net.viewer(30, 1);
  net.join(30);
  net.settle();
  CHECK(net.parent_of(30) == node_id(net.roomy));
}

TEST_CASE("what two such nodes have already stays: parents and standbys") {
  Walls net;
  const unsigned linked = net.backed.at(0);
  const unsigned backed = net.backed.at(1);
  // given a child of the full relay that cannot reach its standby
  net.fail_standby(linked, kNoWay);
  net.report();
  net.settle();
  // when the full relay is not reached by another one
  const unsigned orphan = net.unbacked() == linked ? net.backed.at(2) : net.unbacked();
  net.fail_and_settle(orphan, kNoWay);
  REQUIRE(net.parent_of(orphan) != node_id(net.full));
  // then both ends of that link are walled, and it stays
  CHECK(net.parent_of(linked) == node_id(net.full));
  CHECK(net.parent_of(backed) == node_id(net.full));
  CHECK(net.standby_of(backed) == node_id(net.roomy));
}

TEST_CASE("two nodes that could not connect do not stand by for each other, for ten minutes") {
  const auto reason = GENERATE(kNoWay, LinkFailureReason::refused);
  CAPTURE(static_cast<int>(reason));
  Walls net;
  const auto backed = [&net] {
    return std::count_if(net.of_full.begin(), net.of_full.end(),
                         [&net](unsigned v) { return net.standby_of(v) == node_id(net.roomy); });
  };
  REQUIRE(net.backed.size() == 4);
  for (unsigned i = 0; i < 3; ++i) net.fail_standby(net.backed[i], reason);
  net.report();
  net.pass(31s);  // the quarantine of the pairs is over
  net.report();
  net.pass(2s);
  CHECK(backed() == (reason == kNoWay ? 3 : 4));  // those that did not fail were given it
  net.pass(9min);
  net.report();
  net.pass(2s);
  CHECK(backed() == (reason == kNoWay ? 3 : 4));
  net.pass(1min);
  net.report();
  net.pass(2s);
  CHECK(backed() == 4);
}

TEST_CASE("who four children could not reach gets no other child while another parent has room") {
  Walls net{100};
  for (unsigned i = 0; i < 3; ++i) net.fail_standby(net.backed[i], kNoWay);
  net.report();
  net.viewer(30, 1);
  net.join(30);
  net.settle();
  CHECK(net.parent_of(30) == node_id(net.roomy));
  net.report();
  net.fail_standby(net.backed[3], kNoWay);
  net.report();
  net.viewer(31, 1);
  net.join(31);
  net.settle();
  CHECK(net.parent_of(31) != node_id(net.roomy));
  CHECK(net.parent_of(30) == node_id(net.roomy));
  CHECK(net.parent_of(net.of_roomy[0]) == node_id(net.roomy));
}

TEST_CASE("when only they could serve, nodes that could not connect with others are used") {
  Walls net{7};  // two copies of 3 Mbit/s
  const unsigned first = net.of_roomy[0];
  net.fail_and_settle(first, kNoWay);
  CHECK_FALSE(net.is_served(first));
  net.pass(1100ms);
  CHECK(net.parent_of(first) == node_id(net.roomy));  // it tries again
  const unsigned orphan = net.unbacked();
  net.fail_and_settle(orphan, kNoWay);
  CHECK(net.parent_of(orphan) == node_id(net.roomy));
}

TEST_CASE("who cannot reach the gateway is not marked by that") {
  Walls net;
  const unsigned orphan = net.unbacked();
  REQUIRE(net.standby_of(orphan) == node_id(kGateway));
  net.fail_standby(orphan, kNoWay);
  net.fail_and_settle(net.of_roomy[0], kNoWay);
  net.relay(4, 20);  // nobody holds anything against it, but nobody needs it
  net.fail_and_settle(orphan, LinkFailureReason::refused);
  CHECK(net.parent_of(orphan) == node_id(net.roomy));
}

TEST_CASE("what failed with a node that left is no mark any more") {
  const bool leaves = GENERATE(false, true);
  CAPTURE(leaves);
  Walls net;
  const unsigned first = net.of_roomy[0];
  net.fail_and_settle(first, kNoWay);
  if (leaves) net.world.on_goodbye(node_id(first), net.now);
  net.settle();
  const unsigned orphan = net.unbacked();
  net.fail_and_settle(orphan, kNoWay);
  CHECK(net.parent_of(orphan) == node_id(leaves ? net.roomy : kGateway));
}

TEST_CASE(
    "a node that comes back at another address is marked no more, nor is who failed with it") {
  const bool moves = GENERATE(false, true);
  CAPTURE(moves);
  Walls net;
  const unsigned first = net.of_roomy[0];
  net.fail_and_settle(first, kNoWay);
  std::vector<Endpoint> endpoints;
  if (moves) endpoints.push_back({"192.0.2.7", 4433});
  net.hello(first, static_cast<Roles>(Role::viewer), 1, net.held_by(first), endpoints).value();
  net.settle();
  const unsigned orphan = net.unbacked();
  net.fail_and_settle(orphan, kNoWay);
  CHECK(net.parent_of(orphan) == node_id(moves ? net.roomy : kGateway));
}

}  // namespace tayga::orch
