#include "tests/sim/relay_net.hpp"
#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::sim;

namespace {

constexpr TrackId kTrack{1};
constexpr unsigned kStripes = 4;
constexpr std::size_t kSegmentSize = 430'000;

/// An encoder that uploads a whole segment every two seconds; a viewer below a relay, with the
/// gateway as its standby.
struct Takeover {
  Takeover() {
    net.input(gateway, [&](relay::Relay& relay, relay::Now now) {
      relay.on_publish_started(world.descriptor(kStripes), now);
    });
    assign(relay_node, {gateway.id});
    net.input(viewer, [&](relay::Relay& relay, relay::Now now) {
      relay.on_local_demand(world.stream(), {kTrack}, now);
    });
    assign(viewer, {relay_node.id, gateway.id});
  }
  /// The first is the parent of all stripes, the second stands by.
  void assign(RelayNet::Node& node, const std::vector<NodeId>& parents) {
    relay::Assignment target;
    target.incarnation = 1;
    target.revision = ++revision;
    target.stream = world.descriptor(kStripes);
    for (unsigned i = 0; i < kStripes; ++i) {
      const StripeIndex stripe{static_cast<std::uint8_t>(i)};
      for (const NodeId& parent : parents) {
        const auto role =
            parent == parents.front() ? relay::UpstreamRole::primary : relay::UpstreamRole::standby;
        target.upstream.push_back({kTrack, stripe, parent, role});
      }
    }
    for (const NodeId& parent : parents) {
      target.allocations.push_back(world.allocate(parent, node.id));
    }
    net.input(node, [&](relay::Relay& relay, relay::Now now) { relay.on_assignment(target, now); });
  }
  void publish(const std::vector<media::SignedSlice>& slices) {
    for (const auto& slice : slices) {
      net.input(gateway,
                [&](relay::Relay& relay, relay::Now now) { relay.on_published(slice, now); });
    }
  }
  void play(unsigned first, unsigned last) {
    for (unsigned i = first; i <= last; ++i) {
      publish(publisher.segment(i, kSegmentSize, at(net.now())));
      publish(publisher.playlist(i, at(net.now())));
      net.run_for(2s);
    }
  }

  RelayWorld world;
  RelayNet net;
  RelayNet::Node& gateway = net.add(1, world);
  RelayNet::Node& relay_node = net.add(2, world);
  RelayNet::Node& other_relay = net.add(4, world);
  RelayNet::Node& viewer = net.add(3, world);
  TestPublisher publisher{world, kTrack};
  std::uint64_t revision = 0;
};

}  // namespace

TEST_CASE("a standby that takes over sends what is missing and nothing that is here") {
  Takeover run;
  run.play(1, 20);
  CHECK(run.viewer.relay->counters().duplicate_bytes == 0);
  run.net.reset(run.relay_node, run.viewer);
  run.play(21, 24);
  CHECK(run.viewer.relay->counters().promotions == kStripes);
  CHECK(run.viewer.relay->counters().duplicate_bytes == 0);
  CHECK(run.viewer.relay->streams().at(0).objects_late == 0);
  CHECK(run.viewer.relay->streams().at(0).objects_complete == 48);
}

TEST_CASE(
    "a relay that joins with its first child gives it what the child lacks, not its own start") {
  Takeover run;
  run.play(1, 10);
  run.assign(run.other_relay, {run.gateway.id});
  run.assign(run.viewer, {run.other_relay.id, run.gateway.id});
  run.play(11, 14);
  CHECK(run.viewer.relay->stripes().at(0).parent == run.other_relay.id);
  CHECK(run.viewer.relay->counters().duplicate_bytes == 0);
  CHECK(run.viewer.relay->streams().at(0).objects_complete == 28);
}
