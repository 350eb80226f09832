#include "tests/support/catch.hpp"
#include "tests/unit/registry/two_branches.hpp"

#include <set>

namespace tayga::orch {
namespace {

using test::node_id;
using test::options_with;
using test::WorldDriver;

struct Backed : test::TwoBranches {
  Backed() {
    REQUIRE(backed.size() == 4);
    clear();
  }
  World::LinkFailure promotion(unsigned node, unsigned to) const {
    World::LinkFailure report = failure(node, LinkFailureReason::silent);
    report.promoted_to = node_id(to);
    return report;
  }
  World::LinkFailure standby_failure(unsigned node) const {
    World::LinkFailure report = failure(node, LinkFailureReason::connect_failed);
    report.parent = standby_of(node);
    return report;
  }
};

}  // namespace

TEST_CASE("each stripe has a standby beside its parent: a peer with room, else the gateway") {
  const Backed net;
  for (const unsigned v : net.of_full) {
    const bool is_backed = std::find(net.backed.begin(), net.backed.end(), v) != net.backed.end();
    CHECK(net.standby_of(v) == node_id(is_backed ? net.roomy : 1));
  }
  for (const unsigned v : net.of_roomy) CHECK(net.standby_of(v) == node_id(1));
  const auto stream = net.world.snapshot(net.now)->streams.at(0);
  CHECK(stream.standby.at(node_id(10)).size() == stream.upstream.at(node_id(10)).size());
}

TEST_CASE("a parent is not told of those for whom it stands by") {
  const Backed net;
  for (const DownstreamLink& link : net.state.at(node_id(net.roomy)).downstream) {
    const auto& upstream = net.state.at(link.child).upstream;
    CHECK(std::any_of(upstream.begin(), upstream.end(), [&](const UpstreamLink& up) {
      return up.parent == node_id(net.roomy) && up.track == link.track;
    }));
  }
}

TEST_CASE("an assignment names the gateway as last resort, its share and the audience") {
  const Backed net;
  CHECK(net.state.at(node_id(10)).rescue == RescueTarget{{node_id(1)}, 50, 8});
  CHECK(net.state.at(node_id(2)).rescue == RescueTarget{{node_id(1)}, 50, 8});
  CHECK(net.state.at(node_id(1)).rescue == RescueTarget{{}, 50, 8});
}

TEST_CASE("the audience grows in powers of two, so that few joins push to everybody") {
  Backed net;
  net.viewer(20, 1);
  net.join(20);
  net.settle();
  CHECK(net.state.at(node_id(10)).rescue.audience == 16);
  net.clear();
  net.viewer(21, 1);
  net.join(21);
  net.settle();
  CHECK(net.is_served(21));
  CHECK(net.pushed.size() <= 4);
  // and it does not follow every leave
  for (unsigned v = 14; v < 18; ++v) net.world.on_leave(node_id(v), "show", net.now);
  net.settle();
  CHECK(net.state.at(node_id(10)).rescue.audience == 16);
  net.world.on_leave(node_id(13), "show", net.now);
  net.world.on_leave(node_id(20), "show", net.now);
  net.settle();
  CHECK(net.state.at(node_id(10)).rescue.audience == 4);
}

TEST_CASE("a standby that took over is the parent in the plan, and the next standby is named") {
  Backed net;
  const unsigned orphan = net.backed[0];
  net.world.on_link_failure(node_id(orphan), net.promotion(orphan, net.roomy), net.now);
  // at once, before anything is solved
  const auto upstream = net.world.snapshot(net.now)->streams.at(0).upstream.at(node_id(orphan));
  CHECK(std::any_of(upstream.begin(), upstream.end(), [&](const UpstreamLink& link) {
    return link.track == TrackId{1} && link.parent == node_id(net.roomy);
  }));
  net.settle();
  CHECK(net.parent_of(orphan) == node_id(net.roomy));
  CHECK(net.standby_of(orphan) == node_id(1));  // the lost one is avoided for 30 s
  CHECK(net.was_pushed(orphan));
  for (const unsigned v : net.of_full) {
    if (v != orphan) CHECK(net.parent_of(v) == node_id(net.full));
  }
}

TEST_CASE("a node that stood by for nobody is not made a parent by a report") {
  Backed net;
  const unsigned orphan = net.backed[0];
  net.viewer(30, 50);  // could serve, and carries nothing
  net.world.on_link_failure(node_id(orphan), net.promotion(orphan, 30), net.now);
  const auto upstream = net.world.snapshot(net.now)->streams.at(0).upstream.at(node_id(orphan));
  for (const UpstreamLink& link : upstream) CHECK(link.parent != node_id(30));
  net.settle();
  CHECK(net.is_served(orphan));
  CHECK(net.parent_of(orphan) != node_id(net.full));  // failed all the same
}

TEST_CASE("a late promotion from a parent that the plan replaced already changes nothing") {
  Backed net;
  const unsigned orphan = net.backed[0];
  const World::LinkFailure late = net.promotion(orphan, net.roomy);
  net.world.on_link_failure(node_id(orphan), late, net.now);
  net.settle();
  net.clear();
  net.world.on_link_failure(node_id(orphan), late, net.now);
  net.settle();
  CHECK(net.pushed.empty());
}

TEST_CASE("when a parent is gone, the plan follows what its children do by themselves") {
  Backed net;
  net.world.on_goodbye(node_id(net.full), net.now);
  net.settle();
  // The peer that stood by has room for four of the six.
  std::size_t promoted = 0;
  for (const unsigned v : net.of_full) {
    CHECK(net.is_served(v));
    CHECK(net.parent_of(v) != node_id(net.full));
    promoted += net.parent_of(v) == node_id(net.roomy) ? 1U : 0U;
  }
  CHECK(promoted == 4);
  for (const unsigned v : net.of_roomy) CHECK(net.parent_of(v) == node_id(net.roomy));
}

TEST_CASE("a standby that failed is replaced soon, and the parent stays") {
  Backed net;
  const unsigned viewer = net.backed[0];
  net.world.on_link_failure(node_id(viewer), net.standby_failure(viewer), net.now);
  net.pass(30ms);
  CHECK(net.parent_of(viewer) == node_id(net.full));
  CHECK(net.standby_of(viewer) == node_id(1));
  CHECK(net.pushed.size() <= 2);  // and who takes the place that became free
}

TEST_CASE("standbys follow telemetry within a second, parents stay") {
  Backed net;
  const auto backed = [&net] {
    return std::count_if(net.of_full.begin(), net.of_full.end(),
                         [&net](unsigned v) { return net.standby_of(v) == node_id(net.roomy); });
  };
  for (const unsigned v : net.backed) {
    World::LinkFailure report = net.standby_failure(v);
    report.reason = LinkFailureReason::refused;
    net.world.on_link_failure(node_id(v), report, net.now);
  }
  net.pass(31s);  // the quarantine is over, and nobody noticed
  REQUIRE(backed() == 2);
  net.clear();
  net.world.on_telemetry(node_id(10), Telemetry{}, net.now);
  net.pass(1s);
  CHECK(backed() == 4);
  for (const unsigned v : net.of_full) CHECK(net.parent_of(v) == node_id(net.full));
  net.clear();
  net.world.on_telemetry(node_id(10), Telemetry{}, net.now);
  net.pass(5s);
  CHECK(net.pushed.empty());
}

TEST_CASE("a node that promoted its standby while it was away keeps it as its parent") {
  Backed net;
  const unsigned orphan = net.backed[0];
  auto held = net.held_by(orphan);
  for (UpstreamLink& link : held.at(0).upstream) link.parent = node_id(net.roomy);
  for (UpstreamLink& link : held.at(0).standby) link.parent = node_id(net.full);
  net.world.on_disconnected(node_id(orphan), net.now);
  net.pass(1s);
  net.hello(orphan, static_cast<Roles>(Role::viewer), 1, held).value();
  net.settle();
  CHECK(net.parent_of(orphan) == node_id(net.roomy));
  CHECK(net.standby_of(orphan) != node_id(net.full));
  CHECK(net.standby_of(orphan) != node_id(net.roomy));
}

TEST_CASE("after a restart every node keeps the standby that it holds") {
  Backed before;
  WorldDriver after{before.options};
  std::vector<NodeRecord> nodes;
  const auto snapshot = before.world.snapshot(before.now);
  for (const auto& node : snapshot->nodes) nodes.push_back(node.record);
  after.state = before.state;
  after.world.restore(nodes, {*before.world.stream("show")}, after.now);
  after.gateway(1);
  after.world.on_publish(node_id(1), after.claim(1), after.now).value();
  for (const unsigned relay : {2U, 3U}) {
    after.hello(relay, static_cast<Roles>(Role::relay), 20, after.held_by(relay, false)).value();
  }
  for (unsigned v = 10; v < 18; ++v) {
    after.hello(v, static_cast<Roles>(Role::viewer), 1, after.held_by(v)).value();
  }
  after.pass(5s);
  for (unsigned v = 10; v < 18; ++v) {
    REQUIRE(after.was_pushed(v));
    CHECK(after.state.at(node_id(v)).upstream == before.state.at(node_id(v)).upstream);
    CHECK(after.state.at(node_id(v)).standby == before.state.at(node_id(v)).standby);
  }
}

TEST_CASE("who has a standby or a gateway with another address is told") {
  Backed net;
  net.hello(net.roomy, static_cast<Roles>(Role::relay), 20, net.held_by(net.roomy, false),
            {{"192.0.2.9", 7410}})
      .value();
  net.settle();
  for (const unsigned v : net.backed) CHECK(net.was_pushed(v));
  net.clear();
  net.hello(1, static_cast<Roles>(Role::gateway), 0, {}, {{"192.0.2.1", 7410}}).value();
  net.world.on_publish(node_id(1), net.claim(1), net.now).value();
  net.settle();
  for (unsigned v = 10; v < 18; ++v) CHECK(net.was_pushed(v));
}

TEST_CASE("a stream that stopped has no standbys left") {
  Backed net;
  net.world.on_unpublish(node_id(1), "show", net.now);
  net.settle();
  CHECK(net.world.snapshot(net.now)->streams.at(0).standby.empty());
}

TEST_CASE("children and standbys of all streams together take no more places than a node has") {
  WorldDriver net{options_with(1000, 10, 2)};
  net.go_live();
  StreamRecord second = WorldDriver::show();
  second.name = "other";
  net.world.add_stream(second, net.now).value();
  net.world.on_publish(node_id(1), net.claim(1, 2, "other"), net.now).value();
  const auto children_max = GENERATE(5U, 6U, 7U, 8U);
  for (unsigned n = 1; n < 4; ++n) {
    NodeRecord record;
    record.id = node_id(n);
    record.roles = static_cast<Roles>(n == 1 ? Role::gateway : Role::relay);
    record.declared_upload_bps = 100'000'000;
    record.children_max = children_max;
    net.world.on_hello(record, {}, net.now).value();
  }
  for (unsigned v = 10; v < 18; ++v) {
    net.viewer(v, 1);
    const std::string name = v % 2 == 0 ? "show" : "other";
    net.world.on_join(node_id(v), name, {TrackId{1}}, net.now);
    net.settle();
  }
  for (unsigned second_nr = 0; second_nr < 40; ++second_nr) {
    net.world.on_telemetry(node_id(10), Telemetry{}, net.now);
    net.pass(1s);
  }
  std::map<NodeId, std::set<NodeId>> children;
  std::size_t standbys = 0;
  const auto snapshot = net.world.snapshot(net.now);
  for (const auto& stream : snapshot->streams) {
    for (const auto* plan : {&stream.upstream, &stream.standby}) {
      for (const auto& [child, links] : *plan) {
        for (const UpstreamLink& link : links) children[link.parent].insert(child);
      }
    }
    for (const auto& [child, links] : stream.standby) standbys += links.size();
  }
  CHECK(standbys > 0);
  for (unsigned n = 1; n < 4; ++n) CHECK(children[node_id(n)].size() <= children_max);
}

TEST_CASE("a fresh look at thousands of standbys is no burst of pushes") {
  WorldDriver net;
  net.go_live(4);
  for (unsigned r = 0; r < 40; ++r) net.relay(100 + r, 60);
  for (unsigned v = 0; v < 400; ++v) {
    net.viewer(1000 + v, v % 9);
    net.join(1000 + v);
  }
  net.settle();
  std::size_t with_standby = 0;
  std::size_t links = 0;
  for (const auto& [node, assignment] : net.state) {
    links += assignment.upstream.size();
    with_standby += assignment.standby.size();
  }
  // The gateway's 100 sessions are the limit: relays are recruited for children, not to stand by.
  CHECK(with_standby * 100 >= links * 85);
  net.clear();
  for (unsigned second = 0; second < 5; ++second) {
    for (unsigned v = 0; v < 400; v += 10) {
      net.world.on_telemetry(node_id(1000 + v), Telemetry{}, net.now);
    }
    net.pass(1s);
  }
  CHECK(net.pushed.size() <= 20);
}

}  // namespace tayga::orch
