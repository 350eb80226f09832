#include "tests/sim/relay_net.hpp"
#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::sim;

namespace {

constexpr TrackId kTrack{1};

/// gateway -> first -> second -> viewer, over `stripe_count` stripes.
struct Chain {
  explicit Chain(unsigned stripe_count) : stripes{stripe_count} {
    net.input(gateway, [&](relay::Relay& relay, relay::Now now) {
      relay.on_publish_started(world.descriptor(stripes), now);
    });
    assign(first, gateway, 1);
    assign(second, first, 1);
    net.input(viewer, [&](relay::Relay& relay, relay::Now now) {
      relay.on_local_demand(world.stream(), {kTrack}, now);
    });
    assign(viewer, second, 1);
  }
  void assign(RelayNet::Node& node, const RelayNet::Node& parent, std::uint64_t revision) {
    relay::Assignment target;
    target.incarnation = 1;
    target.revision = revision;
    target.stream = world.descriptor(stripes);
    for (unsigned i = 0; i < stripes; ++i) {
      target.upstream.push_back({kTrack, StripeIndex{static_cast<std::uint8_t>(i)}, parent.id,
                                 relay::UpstreamRole::primary});
    }
    target.allocations = {world.allocate(parent.id, node.id)};
    net.input(node, [&](relay::Relay& relay, relay::Now now) { relay.on_assignment(target, now); });
  }
  void publish(const std::vector<media::SignedSlice>& slices) {
    for (const auto& slice : slices) {
      net.input(gateway,
                [&](relay::Relay& relay, relay::Now now) { relay.on_published(slice, now); });
    }
  }
  void check_plays(unsigned number, std::size_t size) {
    const auto* store = viewer.relay->objects(world.stream(), kTrack);
    REQUIRE(store != nullptr);
    const auto object = store->find(segment_path(number));
    REQUIRE(object);
    CHECK(object->complete());
    CHECK(read_all(*store, *object) == content_of(segment_path(number), size));
  }

  RelayWorld world;
  unsigned stripes;
  RelayNet net;
  RelayNet::Node& gateway = net.add(1, world);
  RelayNet::Node& first = net.add(2, world);
  RelayNet::Node& second = net.add(3, world);
  RelayNet::Node& viewer = net.add(4, world);
  TestPublisher publisher{world, kTrack};
};

}  // namespace

TEST_CASE("a chain of three relays delivers every object bit by bit") {
  const unsigned stripes = GENERATE(1U, 4U);
  Chain chain{stripes};
  chain.net.run_for(500ms);
  for (unsigned i = 1; i <= 10; ++i) {
    chain.publish(chain.publisher.segment(i, 300'000 + i, at(chain.net.now())));
    chain.net.run_for(200ms);
    chain.check_plays(i, 300'000 + i);
  }
  const auto status = chain.viewer.relay->streams().at(0);
  CHECK(status.objects_complete == 10);
  CHECK(status.objects_late == 0);
  CHECK(chain.viewer.relay->counters().chunks_duplicate == 0);
  CHECK(chain.viewer.lost.empty());
}

TEST_CASE("a chain stays quiet and alive when nothing is published") {
  Chain chain{4};
  chain.net.run_for(20s);
  CHECK(chain.viewer.lost.empty());
  CHECK(chain.viewer.disconnects.empty());
  CHECK(chain.viewer.heads >= 350);
  CHECK(chain.net.events() < 20'000);  // no timer runs in circles
}

TEST_CASE("a viewer that moves to another parent misses nothing and gets nothing twice") {
  const unsigned stripes = GENERATE(1U, 4U);
  Chain chain{stripes};
  chain.net.run_for(500ms);
  for (unsigned i = 1; i <= 20; ++i) {
    if (i == 10) chain.assign(chain.viewer, chain.first, 2);
    chain.publish(chain.publisher.segment(i, 200'000, at(chain.net.now())));
    chain.net.run_for(50ms);
  }
  chain.net.run_for(1s);
  for (unsigned i = 1; i <= 20; ++i) chain.check_plays(i, 200'000);
  CHECK(chain.viewer.lost.empty());
  for (const auto& stripe : chain.viewer.relay->stripes()) CHECK(stripe.parent == chain.first.id);
  CHECK(chain.second.relay->children(chain.net.now()).empty());
}

TEST_CASE("a session that breaks is repaired by dialing the same parent again") {
  Chain chain{4};
  chain.net.run_for(500ms);
  for (unsigned i = 1; i <= 20; ++i) {
    if (i == 10) chain.net.reset(chain.second, chain.viewer);
    chain.publish(chain.publisher.segment(i, 200'000, at(chain.net.now())));
    chain.net.run_for(100ms);
  }
  chain.net.run_for(1s);
  for (unsigned i = 1; i <= 20; ++i) chain.check_plays(i, 200'000);
  REQUIRE(chain.viewer.lost.size() == 1);
  CHECK(chain.viewer.lost[0].reason == relay::LossReason::reset);
}

TEST_CASE("receipts cover what the relays of a chain passed on") {
  Chain chain{1};
  chain.net.run_for(500ms);
  for (unsigned i = 1; i <= 10; ++i) {
    chain.publish(chain.publisher.segment(i, 100'000, at(chain.net.now())));
    chain.net.run_for(500ms);
  }
  chain.net.run_for(3s);
  for (RelayNet::Node* node : {&chain.gateway, &chain.first, &chain.second}) {
    CHECK(node->relay->receipt_book().totals().acknowledged_bytes == 1'000'000);
  }
}

TEST_CASE("frames lost on the way are fetched and nothing is missing") {
  Chain chain{4};
  chain.net.run_for(500ms);
  unsigned dropped = 0;
  chain.net.set_tap([&](RelayNet::Node& from, RelayNet::Node&, wire::FrameType, Bytes&) {
    const bool drop = &from == &chain.first && chain.net.random(200) == 0;
    dropped += drop;
    return !drop;
  });
  for (unsigned i = 1; i <= 30; ++i) {
    chain.publish(chain.publisher.segment(i, 200'000, at(chain.net.now())));
    chain.net.run_for(100ms);
  }
  chain.net.set_tap(nullptr);
  chain.net.run_for(3s);
  CHECK(dropped > 0);
  for (unsigned i = 1; i <= 30; ++i) chain.check_plays(i, 200'000);
}
