#include "tests/support/catch.hpp"
#include "tests/unit/registry/world_driver.hpp"

namespace tayga::orch {
namespace {

using test::node_id;
using test::WorldDriver;

/// Gateway 1, relays 2 and 3, viewers 10.. without uplink; all under one of the relays.
struct TwoRelays : WorldDriver {
  explicit TwoRelays(unsigned viewers = 6, const WorldOptions& world_options = {})
      : WorldDriver{world_options} {
    go_live();
    relay(2);
    relay(3);
    for (unsigned v = 10; v < 10 + viewers; ++v) {
      viewer(v, 1);
      join(v);
    }
    settle();
    in_use = parent_of(10) == node_id(2) ? 2 : 3;
    spare = 5 - in_use;
    clear();
  }
  unsigned in_use = 0;
  unsigned spare = 0;
};

TEST_CASE("a failed pair is not used again for the quarantine time, others keep their parent") {
  TwoRelays net;
  net.fail(10);
  net.settle();
  CHECK(net.is_served(10));
  CHECK(net.parent_of(10) != node_id(net.in_use));
  CHECK(net.parent_of(11) == node_id(net.in_use));
  net.pass(29s);
  net.viewer(20, 1);
  net.join(20);
  net.settle();
  CHECK(net.parent_of(10) != node_id(net.in_use));
}

TEST_CASE("two children's complaints take a parent that is silent towards us from everybody") {
  TwoRelays net;
  net.world.on_telemetry(node_id(net.in_use), Telemetry{}, net.now);
  net.pass(100ms);
  net.fail(10);
  net.pass(10ms);
  net.fail(11);
  net.pass(1900ms);
  for (unsigned v = 12; v < 16; ++v) CHECK(net.parent_of(v) == node_id(net.in_use));
  net.pass(400ms);
  for (unsigned v = 10; v < 16; ++v) {
    CHECK(net.is_served(v));
    CHECK(net.parent_of(v) != node_id(net.in_use));
  }
  CHECK_FALSE(net.state.at(node_id(net.in_use)).carry);
}

TEST_CASE("a parent that still reports is never condemned by complaints, one that stops soon is") {
  TwoRelays net;
  const auto report = [&net] { net.world.on_telemetry(node_id(net.in_use), Telemetry{}, net.now); };
  report();
  net.fail(10);
  net.fail(11);
  for (unsigned second = 0; second < 3; ++second) {
    net.pass(1400ms);  // a busy node reports late
    report();
    for (unsigned v = 12; v < 16; ++v) CHECK(net.parent_of(v) == node_id(net.in_use));
  }
  SECTION("the complaints are remembered when it stops") {
    net.fail(12);
    net.fail(13);
    net.pass(2s);
    CHECK(net.parent_of(15) == node_id(net.in_use));
    net.pass(500ms);
    CHECK(net.parent_of(15) != node_id(net.in_use));
  }
  SECTION("and forgotten after five seconds") {
    net.pass(60s);
    CHECK(net.parent_of(15) == node_id(net.in_use));
  }
}

TEST_CASE("with slower reports a parent is waited for longer, and condemned all the same") {
  WorldOptions options;
  options.telemetry_interval = 4s;
  TwoRelays net{6, options};
  net.world.on_telemetry(node_id(net.in_use), Telemetry{}, net.now);
  net.fail(10);
  net.fail(11);
  net.pass(6s);
  CHECK(net.parent_of(15) == node_id(net.in_use));
  net.pass(1s);
  CHECK(net.parent_of(15) != node_id(net.in_use));
}

TEST_CASE("reports that waited while the orchestrator did not run are heard before it judges") {
  TwoRelays net;
  net.world.on_telemetry(node_id(net.in_use), Telemetry{}, net.now);
  net.fail(10);
  net.fail(11);
  net.settle();
  net.set_time(net.now.mono + 3s);
  net.world.on_timeout(net.now);
  SECTION("there were some") {
    net.pass(10ms);
    net.world.on_telemetry(node_id(net.in_use), Telemetry{}, net.now);
    net.settle();
    CHECK(net.parent_of(15) == node_id(net.in_use));
  }
  SECTION("there were none") {
    net.settle();
    CHECK(net.parent_of(15) != node_id(net.in_use));
  }
}

TEST_CASE("two complaints, then the parent's own session breaks: it is left at once") {
  TwoRelays net;
  net.world.on_telemetry(node_id(net.in_use), Telemetry{}, net.now);
  net.fail(10);
  net.fail(11);
  net.world.on_disconnected(node_id(net.in_use), net.now);
  net.pass(30ms);
  for (unsigned v = 10; v < 16; ++v) {
    CHECK(net.is_served(v));
    CHECK(net.parent_of(v) != node_id(net.in_use));
  }
}

TEST_CASE("two children's complaints do not switch off the stream's only gateway") {
  WorldDriver net;
  net.go_live();
  for (unsigned v = 10; v < 13; ++v) {
    net.viewer(v, 1);
    net.join(v);
  }
  net.settle();
  net.fail(10);
  net.fail(11);
  net.settle();
  CHECK(net.parent_of(12) == node_id(1));
  net.pass(5s);  // the complainers have no other parent, so they try it again
  CHECK(net.parent_of(10) == node_id(1));
  net.viewer(13, 1);
  net.join(13);
  net.settle();
  CHECK(net.parent_of(13) == node_id(1));
}

TEST_CASE("complaints far apart, of one child, or of refusals do not condemn a parent") {
  TwoRelays net;
  SECTION("far apart") {
    net.fail(10);
    net.pass(6s);
    net.fail(11);
  }
  SECTION("refused") {
    net.fail(10, LinkFailureReason::refused);
    net.fail(11, LinkFailureReason::refused);
  }
  net.pass(5s);
  for (unsigned v = 12; v < 16; ++v) CHECK(net.parent_of(v) == node_id(net.in_use));
}

TEST_CASE("a condemned parent gets children again as soon as it is heard") {
  TwoRelays net;
  net.fail(10);
  net.fail(11);
  net.pass(3s);
  REQUIRE(net.parent_of(15) != node_id(net.in_use));
  const auto usable = [&] {
    net.world.on_goodbye(node_id(net.spare), net.now);
    net.settle();
    return net.parent_of(14) == node_id(net.in_use);
  };
  SECTION("silent it has none") {
    net.pass(20s);
    CHECK_FALSE(usable());
  }
  SECTION("a report") {
    net.world.on_telemetry(node_id(net.in_use), Telemetry{}, net.now);
    CHECK(usable());
  }
  SECTION("a new session") {
    net.relay(net.in_use);
    CHECK(usable());
  }
}

TEST_CASE("one complaint about a parent whose own session broke is enough") {
  TwoRelays net;
  net.world.on_disconnected(node_id(net.in_use), net.now);
  net.pass(10ms);
  net.fail(10);
  net.settle();
  for (unsigned v = 10; v < 16; ++v) {
    CHECK(net.is_served(v));
    CHECK(net.parent_of(v) != node_id(net.in_use));
  }
}

TEST_CASE("a node whose session broke keeps its place for the grace when nobody complains") {
  TwoRelays net;
  net.world.on_disconnected(node_id(net.in_use), net.now);
  net.pass(2900ms);
  CHECK(net.pushed.empty());
  SECTION("it comes back in time: nobody moves") {
    net.hello(net.in_use, static_cast<Roles>(Role::relay), 50, net.held_by(net.in_use, false))
        .value();
    net.settle();
    net.pass(10s);
    for (const NodeAssignment& a : net.pushed) CHECK(a.node == node_id(net.in_use));
    CHECK(net.was_pushed(net.in_use));
    for (unsigned v = 10; v < 16; ++v) CHECK(net.parent_of(v) == node_id(net.in_use));
  }
  SECTION("it does not: its children move") {
    net.pass(1s);
    for (unsigned v = 10; v < 16; ++v) {
      CHECK(net.is_served(v));
      CHECK(net.parent_of(v) != node_id(net.in_use));
    }
  }
}

TEST_CASE("a parent that comes back at another address: its children are told, nobody else") {
  TwoRelays net;
  const auto roles = static_cast<Roles>(Role::relay);
  const std::vector<Endpoint> address{{"192.0.2.7", 4433}};
  net.world.on_disconnected(node_id(net.in_use), net.now);
  net.hello(net.in_use, roles, 50, net.held_by(net.in_use, false), address).value();
  net.settle();
  for (unsigned v = 10; v < 16; ++v) {
    CHECK(net.was_pushed(v));
    CHECK(net.parent_of(v) == node_id(net.in_use));
  }
  CHECK_FALSE(net.was_pushed(1));
  net.clear();
  net.hello(net.in_use, roles, 50, net.held_by(net.in_use, false), address).value();
  net.settle();
  CHECK_FALSE(net.was_pushed(10));
}

TEST_CASE("a node that says goodbye is left at once") {
  TwoRelays net;
  net.world.on_goodbye(node_id(net.in_use), net.now);
  net.settle();
  for (unsigned v = 10; v < 16; ++v) CHECK(net.parent_of(v) != node_id(net.in_use));
  CHECK_FALSE(net.was_pushed(net.in_use));
}

TEST_CASE("a late report about a link that was replaced already is ignored") {
  TwoRelays net;
  const World::LinkFailure late = net.failure(10);
  net.fail(10);
  net.settle();
  net.clear();
  net.world.on_link_failure(node_id(10), late, net.now);
  net.world.on_link_failure(node_id(11),
                            World::LinkFailure{late.stream, TrackId{1}, 1, node_id(77),
                                               LinkFailureReason::reset, 0, std::nullopt},
                            net.now);
  net.settle();
  CHECK(net.pushed.empty());
}

TEST_CASE("a late report cannot quarantine a link that was given again since") {
  WorldDriver net;
  net.go_live();
  net.viewer(10);
  net.join(10);
  net.settle();
  const World::LinkFailure late = net.failure(10);
  net.world.on_leave(node_id(10), "show", net.now);
  net.settle();
  net.join(10);
  net.settle();
  REQUIRE(net.parent_of(10) == node_id(1));
  net.clear();
  net.world.on_link_failure(node_id(10), late, net.now);
  net.settle();
  CHECK(net.pushed.empty());
  net.fail(10);
  net.settle();
  CHECK_FALSE(net.is_served(10));
}

TEST_CASE("a relay is not forgiven because it reconnects, only at a new address or start") {
  TwoRelays net;
  net.fail(10);
  net.settle();
  const auto roles = static_cast<Roles>(Role::relay);
  const auto is_forgiven = [&] {
    net.settle();
    net.world.on_goodbye(node_id(net.spare), net.now);
    net.world.on_goodbye(node_id(1), net.now);  // and the gateway has no room for it
    net.gateway(1, 4);
    net.world.on_publish(node_id(1), net.claim(1), net.now).value();
    net.pass(300ms);
    return net.parent_of(10) == node_id(net.in_use);
  };
  SECTION("the same process") {
    net.hello(net.in_use, roles, 50, net.held_by(net.in_use, false)).value();
    CHECK_FALSE(is_forgiven());
  }
  SECTION("another address") {
    const std::vector<Endpoint> address{{"192.0.2.7", 4433}};
    net.hello(net.in_use, roles, 50, net.held_by(net.in_use, false), address).value();
    CHECK(is_forgiven());
  }
  SECTION("a new process") {
    net.relay(net.in_use);
    CHECK(is_forgiven());
  }
}

TEST_CASE("a lone viewer whose only possible parent failed tries it again after a second") {
  WorldDriver net;
  net.go_live();
  net.viewer(10);
  net.join(10);
  net.settle();
  net.fail(10);
  net.settle();
  CHECK_FALSE(net.is_served(10));
  net.pass(1s);
  CHECK(net.parent_of(10) == node_id(1));
}

TEST_CASE("proven tampering ends a node's relaying for good, and is remembered") {
  TwoRelays net;
  net.world.on_tampering(node_id(net.in_use), net.now);
  net.settle();
  REQUIRE(net.persisted_nodes.size() == 1);
  CHECK_FALSE(net.persisted_nodes[0].ban_reason.empty());
  for (unsigned v = 10; v < 16; ++v) CHECK(net.parent_of(v) != node_id(net.in_use));
  net.relay(net.in_use);
  net.world.on_goodbye(node_id(net.spare), net.now);
  net.settle();
  for (unsigned v = 10; v < 16; ++v) CHECK(net.parent_of(v) != node_id(net.in_use));
  CHECK_FALSE(net.world.node(node_id(net.in_use))->ban_reason.empty());
}

TEST_CASE("a tampering viewer may go on watching, as a leaf") {
  WorldDriver net;
  net.go_live();
  net.viewer(10, 50);
  net.join(10);
  net.viewer(11, 0);
  net.join(11);
  net.settle();
  CHECK(net.parent_of(11) == node_id(10));
  net.world.on_tampering(node_id(10), net.now);
  net.settle();
  CHECK(net.is_served(10));
  CHECK(net.is_served(11));
  CHECK(net.parent_of(11) != node_id(10));
}

/// What a relay reports of its children 10.. after `seconds` of `rate_bps` to each; the first
/// `slow` of them do not keep up.
Telemetry serving_report(unsigned children, unsigned slow, unsigned seconds,
                         std::uint64_t rate_bps = 3'000'000) {
  Telemetry telemetry;
  for (unsigned v = 10; v < 10 + children; ++v) {
    LinkState link;
    link.peer = node_id(v);
    link.bytes_sent = rate_bps / 8 * seconds;
    link.queue_ms = v < 10 + slow ? 1900 : 5;
    telemetry.links.push_back(link);
  }
  return telemetry;
}

TEST_CASE("a relay whose queues all grow old is planned with what it showed, and loses children") {
  TwoRelays net{12};
  net.world.on_telemetry(node_id(net.in_use), serving_report(12, 12, 1, 400'000), net.now);
  net.pass(1s);
  net.world.on_telemetry(node_id(net.in_use), serving_report(12, 12, 2, 400'000), net.now);
  net.settle();
  const auto& children = net.state.at(node_id(net.in_use)).downstream;
  const auto of_video = [](const DownstreamLink& link) { return link.track == TrackId{1}; };
  CHECK(std::count_if(children.begin(), children.end(), of_video) <= 1);
  for (unsigned v = 10; v < 22; ++v) CHECK(net.is_served(v));
}

TEST_CASE("one slow child is no congestion of its parent, be it the only one or one of many") {
  const unsigned children = GENERATE(1U, 6U);
  TwoRelays net;
  for (unsigned second = 1; second < 4; ++second) {
    net.world.on_telemetry(node_id(net.in_use), serving_report(children, 1, second), net.now);
    net.pass(1s);
  }
  CHECK(net.pushed.empty());
  CHECK(net.world.snapshot(net.now)->nodes[net.in_use - 1].usable_uplink_bps == 50'000'000);
}

TEST_CASE("a link's sending rate comes from its bytes; a counter that goes back begins anew") {
  TwoRelays net;
  const auto rate_after = [&](unsigned seconds_of_bytes) {
    net.world.on_telemetry(node_id(net.in_use), serving_report(1, 0, seconds_of_bytes), net.now);
    return net.world.snapshot(net.now)->nodes[net.in_use - 1].telemetry.links.at(0).sent_bps;
  };
  CHECK(rate_after(5) == 0);
  net.pass(2s);
  CHECK(rate_after(7) == 3'000'000);
  net.pass(100ms);
  CHECK(rate_after(8) == 3'000'000);  // too soon for another measurement
  net.pass(1s);
  CHECK(rate_after(1) == 0);
  net.pass(1s);
  CHECK(rate_after(2) == 3'000'000);
}

}  // namespace
}  // namespace tayga::orch
