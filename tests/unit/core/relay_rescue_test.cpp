#include "daemon/core/rescue_gate.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/core/relay_rig.hpp"

using namespace tayga;
using namespace tayga::test;

namespace {

/// A viewer of a stream with an origin, with a parent and no standby; parent2 is the gateway.
struct RescueRig : Rig {
  RescueRig() {
    relay::Assignment target = assignment({parent.node_id()});
    target.stream.origin_url = "http://origin.example/live/index.m3u8";
    target.stream.playout_window = 2s;
    target.rescue.gateways = {parent2.node_id()};
    target.rescue.share_permille = 50;
    target.rescue.audience = 2;
    target.allocations.push_back(world.allocate(parent2.node_id(), self_id()));
    relay.on_assignment(target, at(now));
    relay.on_local_demand(world.stream(), {kTrack}, at(now));
    drain();
    up(parent.node_id());
    confirm(parent.node_id());
    feed(parent.node_id(), publisher.segment(1, 1'000, at(now)));
    beat(500ms);
    log.clear();
  }
  void beat(Duration duration) {
    for (Duration passed{0}; passed < duration; passed += 20ms) {
      hear(parent.node_id(), relay::Head{});
      pass(20ms);
    }
  }
  [[nodiscard]] std::uint64_t lost() const { return relay.streams().at(0).objects_lost; }
  [[nodiscard]] const relay::ObjectStore& store() const {
    return *relay.objects(world.stream(), kTrack);
  }
};

}  // namespace

TEST_CASE("a gateway is dialed when a slice stays away, and asked when its deadline nears") {
  RescueRig rig;
  const TimePoint begin = rig.now;
  const auto missed = rig.publisher.segment(2, 1'000, at(rig.now));
  rig.feed(rig.parent.node_id(), rig.publisher.segment(3, 1'000, at(rig.now)));
  rig.beat(500ms);
  CHECK(rig.sent<relay::Fetch>(rig.parent.node_id()).size() == 1);
  REQUIRE(rig.take<Relay::Connect>().size() == 1);
  rig.up(rig.parent2.node_id());
  const auto asked = rig.sent<relay::Subscribe>(rig.parent2.node_id());
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].mode == relay::SubscribeMode::standby);
  rig.confirm(rig.parent2.node_id());
  while (rig.now < begin + 1060ms) {
    rig.beat(20ms);
    rig.hear(rig.parent2.node_id(), relay::Head{});
    CHECK(rig.sent<relay::Fetch>(rig.parent2.node_id()).empty());
  }
  rig.beat(80ms);
  const auto rescue = rig.sent<relay::Fetch>(rig.parent2.node_id());
  REQUIRE(rescue.size() == 1);
  CHECK(rescue[0].rescue);
  CHECK(rescue[0].ranges == std::vector<relay::SeqRange>{{SliceSeq{1}, SliceSeq{1}}});
  rig.feed(rig.parent2.node_id(), missed);
  CHECK(rig.relay.counters().gateway_bytes == 1'000);
  CHECK(rig.store().find(sim::segment_path(2))->complete());
}

TEST_CASE("the origin gives by range what no peer brings in time, and it is verified and counted") {
  RescueRig rig;
  const auto object = rig.publisher.segment(2, 100'000, at(rig.now));
  REQUIRE(object.size() == 2);
  rig.join_child(rig.child.node_id());
  rig.pull_all(rig.child.node_id());
  rig.feed(rig.parent.node_id(), object[0]);
  rig.frame(rig.parent.node_id(), object[1].header_frame);
  rig.frame(rig.parent.node_id(), object[1].chunk_frames[0]);
  rig.feed(rig.parent.node_id(), rig.publisher.segment(3, 1'000, at(rig.now)));
  rig.beat(1300ms);
  CHECK(rig.take<Relay::FetchOrigin>().empty());
  rig.beat(200ms);
  const auto fetch = rig.take<Relay::FetchOrigin>();
  REQUIRE(fetch.size() == 1);
  CHECK(fetch[0].origin_url == "http://origin.example/live/index.m3u8");
  CHECK(fetch[0].path == sim::segment_path(2));
  CHECK(fetch[0].offset == media::kSliceSizeMax + wire::kChunkSize);

  const Bytes whole = sim::content_of(sim::segment_path(2), 100'000);
  const ByteView rest = ByteView{whole}.subspan(fetch[0].offset);
  rig.relay.on_origin_bytes(fetch[0].request, fetch[0].offset, rest.first(5'000), at(rig.now));
  rig.relay.on_origin_bytes(fetch[0].request, fetch[0].offset + 5'000, rest.subspan(5'000),
                            at(rig.now));
  rig.relay.on_origin_done(fetch[0].request, {true, whole.size()}, at(rig.now));
  rig.drain();
  const auto info = rig.store().find(sim::segment_path(2));
  REQUIRE(info);
  CHECK(info->complete());
  CHECK(sim::read_all(rig.store(), *info) == whole);
  CHECK(rig.relay.counters().origin_bytes == rest.size());
  CHECK(rig.relay.streams().at(0).origin_bytes == rest.size());
  // Signed chunks are as good as a parent's: children get them.
  CHECK(rig.pull_all(rig.child.node_id()).size() == frames_of(object).size() + 2);
}

TEST_CASE("an origin that serves other bytes harms nobody") {
  RescueRig rig;
  const auto object = rig.publisher.segment(2, 20'000, at(rig.now));
  rig.frame(rig.parent.node_id(), object[0].header_frame);
  rig.feed(rig.parent.node_id(), rig.publisher.segment(3, 1'000, at(rig.now)));
  rig.join_child(rig.child.node_id());
  rig.pull_all(rig.child.node_id());
  rig.beat(1500ms);
  const auto fetch = rig.take<Relay::FetchOrigin>();
  REQUIRE(fetch.size() == 1);
  const Bytes other(20'000, std::byte{7});
  const std::uint64_t verified = rig.relay.counters().chunks_verified;
  rig.relay.on_origin_bytes(fetch[0].request, 0, other, at(rig.now));
  rig.relay.on_origin_done(fetch[0].request, {true, other.size()}, at(rig.now));
  rig.drain();
  CHECK(rig.relay.counters().chunks_verified == verified);
  CHECK(rig.pull_all(rig.child.node_id()).empty());
  CHECK_FALSE(rig.store().find(sim::segment_path(2))->complete());
}

TEST_CASE("what no slice header covers is the origin's word and for this player only") {
  RescueRig rig;
  const auto object = rig.publisher.segment(2, 3 * media::kSliceSizeMax - 1, at(rig.now));
  rig.feed(rig.parent.node_id(), object[0]);
  rig.feed(rig.parent.node_id(), object[2]);  // object[1] was never announced
  rig.beat(1500ms);
  const auto fetch = rig.take<Relay::FetchOrigin>();
  REQUIRE(fetch.size() == 1);
  CHECK(fetch[0].offset == media::kSliceSizeMax);
  CHECK(fetch[0].length == media::kSliceSizeMax);
  const Bytes whole = sim::content_of(sim::segment_path(2), 3 * media::kSliceSizeMax - 1);
  rig.relay.on_origin_bytes(fetch[0].request, fetch[0].offset,
                            ByteView{whole}.subspan(fetch[0].offset, fetch[0].length), at(rig.now));
  rig.relay.on_origin_done(fetch[0].request, {true, whole.size()}, at(rig.now));
  rig.drain();
  const auto info = rig.store().find(sim::segment_path(2));
  CHECK(info->complete());
  CHECK(sim::read_all(rig.store(), *info) == whole);
  rig.join_child(rig.child.node_id());
  for (const auto& frame : rig.pull_all(rig.child.node_id())) {
    if (sim::frame_type(frame) != wire::FrameType::slice_header) continue;
    CHECK(media::parse_slice_header(sim::frame_payload(frame))->seq != object[1].header.seq);
  }
}

TEST_CASE("a gateway serves a share of its audience out of turn and refuses the others") {
  Rig rig;
  relay::Assignment target = rig.assignment({});
  target.rescue.audience = 1;  // the smallest share
  rig.start_publishing();
  rig.relay.on_assignment(target, at(rig.now));
  rig.drain();
  rig.publish(rig.publisher.segment(1, 10'000, at(rig.now)));
  relay::Fetch fetch{
      rig.world.stream(), kTrack, PublisherEpoch{1000}, {{SliceSeq{0}, SliceSeq{0}}}, true};
  for (unsigned i = 0; i < 6; ++i) {
    const NodeId peer = sim::make_key(100 + i).node_id();
    rig.up(peer);
    auto request = rig.request(peer);
    request.mode = relay::SubscribeMode::standby;
    rig.hear(peer, request);
    rig.hear(peer, fetch);
    const bool served = !rig.pull_all(peer).empty();
    CHECK(served == (i < relay::kRescuesMin));
    CHECK(rig.sent<relay::FetchRefused>(peer).size() == (served ? 0 : 1));
  }
  CHECK(rig.relay.counters().rescues_refused == 2);
}

TEST_CASE("a parent tells a slow child what its queue lost, and the child asks for it elsewhere") {
  relay::RelayLimits limits;
  limits.child_queue_age = 200ms;
  Rig rig{1, limits};
  rig.start_publishing();
  rig.join_child(rig.child.node_id());
  rig.pull_all(rig.child.node_id());
  rig.publish(rig.publisher.segment(1, 10'000, at(rig.now)));
  rig.pass(400ms);
  const auto dropped = rig.sent<relay::Dropped>(rig.child.node_id());
  REQUIRE(dropped.size() == 1);
  CHECK(dropped[0].ranges == std::vector<relay::SeqRange>{{SliceSeq{0}, SliceSeq{0}}});

  RescueRig child;
  const auto lost = child.publisher.segment(2, 1'000, at(child.now));
  child.feed(child.parent.node_id(), child.publisher.segment(3, 1'000, at(child.now)));
  child.hear(child.parent.node_id(), relay::Dropped{child.world.stream(),
                                                    kTrack,
                                                    PublisherEpoch{1000},
                                                    {{lost[0].header.seq, lost[0].header.seq}},
                                                    300ms});
  child.pass(10ms);
  CHECK(child.sent<relay::Fetch>(child.parent.node_id()).size() == 1);
}
