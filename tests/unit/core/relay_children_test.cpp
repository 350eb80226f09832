#include "tests/support/catch.hpp"
#include "tests/unit/core/relay_rig.hpp"

using namespace tayga;
using namespace tayga::test;
using relay::RefuseReason;

namespace {

std::size_t size_of(const std::vector<SharedBytes>& frames) {
  std::size_t size = 0;
  for (const auto& frame : frames) size += frame->size();
  return size;
}

}  // namespace

TEST_CASE("a late joiner starts with init, the newest playlists and the four newest segments") {
  Rig rig;
  rig.start_publishing();
  rig.publish(rig.publisher.init(at(rig.now)));
  for (unsigned i = 1; i <= 8; ++i) {
    rig.publish(rig.publisher.segment(i, 70'000, at(rig.now)));
    rig.publish(rig.publisher.playlist(i, at(rig.now)));
    rig.pass(2s);
  }
  rig.join_child(rig.child.node_id());
  const auto paths = paths_of(rig.pull_all(rig.child.node_id()));
  REQUIRE(paths.size() == 9);
  CHECK(paths.front() == "init.mp4");
  CHECK(std::ranges::count(paths, "index.m3u8") == 4);
  CHECK(std::vector(paths.begin() + 5, paths.end()) ==
        std::vector{sim::segment_path(5), sim::segment_path(6), sim::segment_path(7),
                    sim::segment_path(8)});
}

TEST_CASE("a late joiner gets the segment in progress from its begin and then live") {
  Rig rig;
  rig.join_parent();
  const auto slices = rig.publisher.segment(1, 2 * media::kSliceSizeMax, at(rig.now));
  rig.feed(rig.parent.node_id(), slices[0]);
  rig.frame(rig.parent.node_id(), slices[1].header_frame);
  rig.frame(rig.parent.node_id(), slices[1].chunk_frames[0]);
  rig.join_child(rig.child.node_id());
  const auto caught_up = rig.pull_all(rig.child.node_id());
  CHECK(caught_up.size() == 1 + 16 + 2);
  for (std::size_t i = 1; i < 16; ++i) {
    rig.frame(rig.parent.node_id(), slices[1].chunk_frames[i]);
  }
  CHECK(rig.pull_all(rig.child.node_id()).size() == 15);
}

TEST_CASE("a late joiner gets what a slower stripe brings after the others ran ahead") {
  Rig rig{4};
  rig.join_parent();
  std::vector<media::SignedSlice> slices;
  for (unsigned i = 1; i <= 4; ++i) {
    for (auto& slice : rig.publisher.playlist(i, at(rig.now))) slices.push_back(std::move(slice));
  }
  REQUIRE(slices.size() == 4);  // one a stripe
  rig.feed(rig.parent.node_id(), slices[2]);
  rig.feed(rig.parent.node_id(), slices[3]);
  rig.join_child(rig.child.node_id());
  const std::size_t ahead = rig.pull_all(rig.child.node_id()).size();
  rig.feed(rig.parent.node_id(), slices[0]);
  rig.feed(rig.parent.node_id(), slices[1]);
  CHECK(rig.pull_all(rig.child.node_id()).size() == ahead);
  CHECK(child_status(rig, rig.child.node_id()).dropped_bytes == 0);
}

TEST_CASE("a child that names a sequence gets everything of the stripe from there") {
  Rig rig{4};
  rig.start_publishing();
  const auto slices = rig.publisher.segment(1, 12 * media::kSliceSizeMax - 1, at(rig.now));
  REQUIRE(slices.size() == 12);
  rig.publish(slices);
  rig.up(rig.child.node_id());
  auto request = rig.request(rig.child.node_id());
  request.stripes = 0b0010;
  request.epoch = PublisherEpoch{1000};
  request.starts = {{StripeIndex{1}, SliceSeq{5}}};
  rig.hear(rig.child.node_id(), request);
  CHECK(same_bytes(rig.pull_all(rig.child.node_id()), frames_of({slices[5], slices[9]})));
}

TEST_CASE("a start in another publisher epoch counts as none") {
  Rig rig;
  rig.start_publishing();
  rig.publish(rig.publisher.segment(1, 10'000, at(rig.now)));
  rig.up(rig.child.node_id());
  auto request = rig.request(rig.child.node_id());
  request.epoch = PublisherEpoch{999};
  request.starts = {{StripeIndex{0}, SliceSeq{77}}};
  rig.hear(rig.child.node_id(), request);
  CHECK(paths_of(rig.pull_all(rig.child.node_id())) == std::vector{sim::segment_path(1)});
}

TEST_CASE("where a stripe starts in an epoch that begins later is what was asked for that stripe") {
  Rig rig{2};
  rig.join_parent();  // no slice so far, so no epoch
  rig.up(rig.child.node_id());
  auto request = rig.request(rig.child.node_id());
  request.stripes = 0b01;
  request.epoch = PublisherEpoch{999};  // the one before
  request.starts = {{StripeIndex{0}, SliceSeq{500}}};
  rig.hear(rig.child.node_id(), request);
  request.stripes = 0b10;
  request.epoch = PublisherEpoch{1000};
  request.starts = {{StripeIndex{1}, SliceSeq{3}}};
  rig.hear(rig.child.node_id(), request);
  const auto slices = rig.publisher.segment(1, 6 * media::kSliceSizeMax - 1, at(rig.now));
  for (const auto& slice : slices) rig.feed(rig.parent.node_id(), slice);
  CHECK(same_bytes(rig.pull_all(rig.child.node_id()),
                   frames_of({slices[0], slices[2], slices[3], slices[4], slices[5]})));
}

TEST_CASE("a join burst larger than the queue bound is not dropped") {
  relay::RelayLimits limits;
  limits.child_queue_bytes = 100'000;
  Rig rig{1, limits};
  rig.start_publishing();
  for (unsigned i = 1; i <= 4; ++i) rig.publish(rig.publisher.segment(i, 500'000, at(rig.now)));
  rig.join_child(rig.child.node_id());
  rig.pass(3s);  // older than the queue's age as well
  rig.publish(rig.publisher.segment(5, 90'000, at(rig.now)));
  const auto frames = rig.pull_all(rig.child.node_id());
  CHECK(paths_of(frames).size() == 5);
  CHECK(rig.relay.counters().dropped_bytes == 0);
}

TEST_CASE(
    "a slow child loses whole oldest objects, segments before playlists, its siblings nothing") {
  relay::RelayLimits limits;
  limits.child_queue_bytes = 1'000'000;
  Rig rig{1, limits};
  rig.start_publishing();
  const NodeId slow = rig.child.node_id();
  const NodeId quick = rig.child2.node_id();
  rig.join_child(slow);
  rig.join_child(quick);
  rig.pull_all(slow);
  std::size_t quick_objects = 0;
  rig.publish(rig.publisher.init(at(rig.now)));
  rig.publish(rig.publisher.playlist(1, at(rig.now)));
  for (unsigned i = 1; i <= 12; ++i) {
    rig.publish(rig.publisher.segment(i, 200'000, at(rig.now)));
    quick_objects += paths_of(rig.pull_all(quick)).size();
    CHECK(child_status(rig, slow).queued_bytes <= limits.child_queue_bytes);
    rig.pass(10ms);
  }
  CHECK(quick_objects == 14);
  const auto late = child_status(rig, slow);
  CHECK(late.dropped_bytes > 1'000'000);
  CHECK(rig.relay.counters().dropped_bytes == late.dropped_bytes);

  const auto frames = rig.pull_all(slow);
  const auto paths = paths_of(frames);
  REQUIRE(paths.size() >= 4);
  CHECK(paths[0] == "init.mp4");
  CHECK(paths[1] == "index.m3u8");
  CHECK(paths.back() == sim::segment_path(12));
  // Every object that was begun came whole.
  std::map<std::uint64_t, std::size_t> bytes;
  for (const auto& frame : frames) {
    if (sim::frame_type(frame) != wire::FrameType::slice_header) continue;
    const auto header = media::parse_slice_header(sim::frame_payload(frame));
    bytes[header->object.value()] += header->length;
  }
  for (const auto& [object, size] : bytes) {
    if (object > 1) CHECK(size == 200'000);
  }
  CHECK(child_status(rig, slow).queued_bytes == 0);
}

TEST_CASE("an object that was cut is not continued when its rest arrives") {
  relay::RelayLimits limits;
  limits.child_queue_bytes = 100'000;
  Rig rig{1, limits};
  rig.start_publishing();
  const NodeId child = rig.child.node_id();
  rig.join_child(child);
  rig.pull_all(child);
  const auto first = rig.publisher.segment(1, 3 * media::kSliceSizeMax, at(rig.now));
  rig.publish({first[0], first[1]});  // beyond the bound: dropped
  rig.pull_all(child);
  rig.publish({first[2], first[3]});
  CHECK(rig.pull_all(child).empty());
  CHECK(child_status(rig, child).queued_bytes == 0);
  rig.publish(rig.publisher.segment(2, 10'000, at(rig.now)));
  CHECK(paths_of(rig.pull_all(child)) == std::vector{sim::segment_path(2)});
}

TEST_CASE("what a child does not take within the queue's age is dropped") {
  Rig rig;
  rig.start_publishing();
  const NodeId child = rig.child.node_id();
  rig.join_child(child);
  rig.pull_all(child);
  rig.publish(rig.publisher.segment(1, 10'000, at(rig.now)));
  rig.pass(1900ms);
  CHECK(child_status(rig, child).queued_bytes > 10'000);
  CHECK(child_status(rig, child).queued_age == 1900ms);
  rig.pass(300ms);
  CHECK(child_status(rig, child).queued_bytes == 0);
  CHECK(rig.pull_all(child).empty());
}

TEST_CASE("within a child init comes first, then playlists, then segments") {
  Rig rig;
  rig.start_publishing();
  rig.join_child(rig.child.node_id());
  rig.pull_all(rig.child.node_id());
  rig.publish(rig.publisher.segment(1, 10'000, at(rig.now)));
  rig.publish(rig.publisher.playlist(1, at(rig.now)));
  rig.publish(rig.publisher.init(at(rig.now)));
  CHECK(paths_of(rig.pull_all(rig.child.node_id())) ==
        std::vector<std::string>{"init.mp4", "index.m3u8", sim::segment_path(1)});
}

TEST_CASE("a quiet child gets one head for all its stripes every 25 ms, a busy one none") {
  Rig rig{4};
  rig.start_publishing();
  rig.publish(rig.publisher.segment(1, 6 * media::kSliceSizeMax - 1, at(rig.now)));
  const NodeId child = rig.child.node_id();
  rig.join_child(child);
  rig.pull_all(child);
  rig.pass(1s);
  const auto heads = rig.sent<relay::Head>(child);
  CHECK(heads.size() >= 40);
  CHECK(heads.size() <= 51);
  REQUIRE(heads.back().tracks.size() == 1);
  CHECK(heads.back().tracks[0].epoch == PublisherEpoch{1000});
  CHECK(heads.back().tracks[0].stripes ==
        std::vector<relay::StripeHead>{{StripeIndex{0}, SliceSeq{5}},
                                       {StripeIndex{1}, SliceSeq{6}},
                                       {StripeIndex{2}, SliceSeq{3}},
                                       {StripeIndex{3}, SliceSeq{4}}});
  for (unsigned i = 0; i < 25; ++i) {
    rig.publish(rig.publisher.segment(2 + i, 1'000, at(rig.now)));
    CHECK(rig.pull_all(child).size() == 2);
    rig.pass(20ms);
  }
  CHECK(rig.sent<relay::Head>(child).empty());
}

TEST_CASE("a standby child gets heads and no media until it becomes active") {
  Rig rig;
  rig.start_publishing();
  const NodeId child = rig.child.node_id();
  rig.up(child);
  auto request = rig.request(child);
  request.mode = relay::SubscribeMode::standby;
  rig.hear(child, request);
  CHECK(rig.sent<relay::SubscribeOk>(child).size() == 1);
  rig.publish(rig.publisher.segment(1, 10'000, at(rig.now)));
  CHECK(rig.pull_all(child).empty());
  rig.pass(1s);
  const std::size_t heads = rig.sent<relay::Head>(child).size();
  CHECK(heads >= 5);
  CHECK(heads <= 6);
  request.mode = relay::SubscribeMode::active;
  rig.hear(child, request);
  CHECK(paths_of(rig.pull_all(child)) == std::vector{sim::segment_path(1)});
}

TEST_CASE("an allocation that runs out ends the service, a newer one extends it") {
  Rig rig;
  rig.start_publishing();
  const NodeId child = rig.child.node_id();
  rig.up(child);
  auto request = rig.request(child);
  request.allocation = rig.world.allocate(rig.self_id(), child, {.not_after = 60s});
  rig.hear(child, request);
  rig.pass(50s);
  SECTION("not renewed") {
    rig.pass(19s);
    CHECK_FALSE(refusal(rig, child));
    rig.pass(2s);
    CHECK(refusal(rig, child) == RefuseReason::expired_allocation);
    CHECK(rig.relay.children(rig.now).empty());
  }
  SECTION("renewed") {
    rig.publish(rig.publisher.segment(1, 10'000, at(rig.now)));
    rig.pull_all(child);
    request.allocation = rig.world.allocate(rig.self_id(), child, {.not_after = 600s, .number = 2});
    rig.hear(child, request);
    CHECK(rig.pull_all(child).empty());  // extended, not started over
    rig.pass(30s);
    CHECK_FALSE(refusal(rig, child));
    CHECK(rig.relay.children(rig.now).size() == 1);
  }
}

TEST_CASE(
    "fetch sends cached slices of any stripe of a subscribed track, each once, without what is "
    "there") {
  Rig rig{4};
  rig.start_publishing();
  const NodeId child = rig.child.node_id();
  const auto slices = rig.publisher.segment(1, 8 * media::kSliceSizeMax - 1, at(rig.now));
  rig.publish(slices);
  rig.up(child);
  auto request = rig.request(child);
  request.stripes = 0b0001;
  rig.hear(child, request);
  REQUIRE(size_of(rig.pull_all(child)) == size_of(frames_of({slices[0], slices[4]})));
  const relay::Fetch fetch{
      rig.world.stream(),
      kTrack,
      PublisherEpoch{1000},
      {{SliceSeq{4}, SliceSeq{5}}, {SliceSeq{4}, SliceSeq{4}}, {SliceSeq{6}, SliceSeq{6}, 0b11}}};
  rig.hear(child, fetch);
  auto wanted = frames_of({slices[4], slices[5], slices[6]});
  // Its header comes again: this session has not shown it.
  wanted.erase(wanted.end() - static_cast<std::ptrdiff_t>(slices[6].chunk_frames.size()));
  CHECK(child_status(rig, child).queued_bytes == size_of(wanted));
  CHECK(same_bytes(rig.pull_all(child), wanted));
  CHECK(child_status(rig, child).queued_bytes == 0);
}

TEST_CASE("a fetch of what the child still waits for is not answered twice") {
  Rig rig;
  rig.start_publishing();
  const NodeId child = rig.child.node_id();
  rig.join_child(child);
  rig.pull_all(child);
  const auto slices = rig.publisher.segment(1, 10'000, at(rig.now));
  rig.publish(slices);
  rig.hear(child,
           relay::Fetch{
               rig.world.stream(), kTrack, PublisherEpoch{1000}, {{SliceSeq{0}, SliceSeq{255}}}});
  CHECK(same_bytes(rig.pull_all(child), frames_of(slices)));
}

TEST_CASE("a fetch beyond its limits ends the session") {
  Rig rig;
  rig.start_publishing();
  rig.publish(rig.publisher.segment(1, 10'000, at(rig.now)));
  rig.join_child(rig.child.node_id());
  relay::Fetch fetch{rig.world.stream(), kTrack, PublisherEpoch{1000}, {}};
  SECTION("too many ranges") {
    fetch.ranges.resize(65, {SliceSeq{0}, SliceSeq{0}});
  }
  SECTION("a giant range") {
    fetch.ranges = {{SliceSeq{0}, SliceSeq{~0ULL}}};
  }
  SECTION("a range that ends before it begins") {
    fetch.ranges = {{SliceSeq{3}, SliceSeq{2}}};
  }
  rig.hear(rig.child.node_id(), fetch);
  CHECK(rig.take<Relay::Disconnect>().size() == 1);
}

TEST_CASE("unsubscribe ends what it names and keeps the rest") {
  Rig rig{4};
  rig.start_publishing();
  const NodeId child = rig.child.node_id();
  rig.join_child(child);
  const auto slices = rig.publisher.segment(1, 4 * media::kSliceSizeMax - 1, at(rig.now));
  rig.publish(slices);
  rig.hear(child, relay::Unsubscribe{rig.world.stream(), kTrack, 0b1010});
  CHECK(child_status(rig, child).stripes == 2);
  CHECK(same_bytes(rig.pull_all(child), frames_of({slices[0], slices[2]})));
  rig.hear(child, relay::Unsubscribe{rig.world.stream(), kTrack, 0b0101});
  CHECK(rig.relay.children(rig.now).empty());
}

TEST_CASE("a child's receipt reaches the book under the allocation that it presented") {
  Rig rig;
  rig.start_publishing();
  const NodeId child = rig.child.node_id();
  rig.join_child(child);
  const auto request = rig.request(child);
  const auto allocation = wire::parse_allocation(request.allocation);
  wire::Receipt receipt;
  receipt.allocation = allocation->id;
  receipt.network = allocation->network;
  receipt.seq = 1;
  receipt.cum_bytes = 5000;
  rig.hear(child, relay::PeerReceipt{media::sign_receipt(receipt, rig.child)});
  CHECK(rig.relay.receipt_book().totals().acknowledged_bytes == 5000);
}

TEST_CASE("a relay that shuts down says so and takes no new children") {
  Rig rig;
  rig.start_publishing();
  rig.join_child(rig.child.node_id());
  rig.relay.on_shutdown(relay::GoAwayReason::shutdown, 2s, at(rig.now));
  rig.drain();
  const auto away = rig.sent<relay::GoAway>(rig.child.node_id());
  REQUIRE(away.size() == 1);
  CHECK(away[0] == relay::GoAway{relay::GoAwayReason::shutdown, 2s});
  rig.join_child(rig.child2.node_id());
  CHECK(refusal(rig, rig.child2.node_id()) == RefuseReason::draining);
  rig.publish(rig.publisher.segment(1, 1'000, at(rig.now)));
  CHECK(paths_of(rig.pull_all(rig.child.node_id())) == std::vector{sim::segment_path(1)});
}

TEST_CASE("a peer without any business is disconnected after a while") {
  Rig rig;
  rig.up(rig.child.node_id());
  rig.relay.on_local_demand(rig.world.stream(), {kTrack}, at(rig.now));  // starts the clockwork
  rig.pass(9s);
  CHECK(rig.take<Relay::Disconnect>().empty());
  rig.pass(2s);
  CHECK(rig.take<Relay::Disconnect>().size() == 1);
}

TEST_CASE("a child that never catches up is held to its limits after ten seconds") {
  relay::RelayLimits limits;
  limits.child_queue_bytes = 300'000;
  Rig rig{1, limits};
  rig.start_publishing();
  for (unsigned i = 1; i <= 4; ++i) rig.publish(rig.publisher.segment(i, 200'000, at(rig.now)));
  const NodeId child = rig.child.node_id();
  rig.join_child(child);
  for (unsigned i = 5; i <= 14; ++i) {
    rig.publish(rig.publisher.segment(i, 200'000, at(rig.now)));
    CHECK(child_status(rig, child).queued_bytes <= limits.child_queue_bytes);
    rig.pass(1100ms);
  }
  CHECK(child_status(rig, child).dropped_bytes > 2'000'000);
  rig.publish(rig.publisher.segment(15, 200'000, at(rig.now)));
  CHECK(paths_of(rig.pull_all(child)).back() == sim::segment_path(15));
  CHECK(child_status(rig, child).queued_bytes == 0);
}
