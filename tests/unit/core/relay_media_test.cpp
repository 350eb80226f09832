#include "tests/support/catch.hpp"
#include "tests/unit/core/relay_rig.hpp"

using namespace tayga;
using namespace tayga::test;

namespace {

relay::StreamStatus status(const Rig& rig) {
  return rig.relay.streams().at(0);
}

}  // namespace

TEST_CASE("a verified chunk is forwarded at once, before its slice is complete, header first") {
  Rig rig;
  rig.join_parent();
  rig.join_child(rig.child.node_id());
  const auto slices = rig.publisher.segment(1, 10'000, at(rig.now));
  REQUIRE(slices.size() == 1);
  REQUIRE(slices[0].chunk_frames.size() == 3);
  CHECK(rig.pull_all(rig.child.node_id()).empty());

  rig.frame(rig.parent.node_id(), slices[0].header_frame);
  rig.frame(rig.parent.node_id(), slices[0].chunk_frames[0]);
  CHECK(same_bytes(rig.pull_all(rig.child.node_id()),
                   {slices[0].header_frame, slices[0].chunk_frames[0]}));

  rig.frame(rig.parent.node_id(), slices[0].chunk_frames[2]);
  rig.frame(rig.parent.node_id(), slices[0].chunk_frames[1]);
  CHECK(same_bytes(rig.pull_all(rig.child.node_id()),
                   {slices[0].chunk_frames[1], slices[0].chunk_frames[2]}));
  CHECK(rig.relay.counters().chunks_verified == 3);
  CHECK(rig.relay.counters().payload_bytes_in == 10'000);
}

TEST_CASE("a child is told once that there is media, and again after it took all") {
  Rig rig;
  rig.join_parent();
  const NodeId child = rig.child.node_id();
  rig.join_child(child);
  CHECK(rig.ready[child] == 1);  // its catch-up
  rig.pull_all(child);
  rig.feed(rig.parent.node_id(), rig.publisher.segment(1, 20'000, at(rig.now)));
  CHECK(rig.ready[child] == 2);
  REQUIRE(rig.pull(child));
  rig.feed(rig.parent.node_id(), rig.publisher.segment(2, 20'000, at(rig.now)));
  CHECK(rig.ready[child] == 2);  // it is still pulling
  rig.pull_all(child);
  rig.feed(rig.parent.node_id(), rig.publisher.segment(3, 20'000, at(rig.now)));
  CHECK(rig.ready[child] == 3);
}

TEST_CASE(
    "a chunk that does not match its hash is never forwarded, and its sender is dropped with "
    "evidence") {
  Rig rig;
  rig.join_parent();
  rig.join_child(rig.child.node_id());
  rig.log.clear();
  const auto slices = rig.publisher.segment(1, 10'000, at(rig.now));
  rig.frame(rig.parent.node_id(), slices[0].header_frame);
  const SharedBytes bad = tampered(slices[0].chunk_frames[1]);
  rig.frame(rig.parent.node_id(), bad);

  const auto evidence = rig.take<Relay::Tampered>();
  REQUIRE(evidence.size() == 1);
  CHECK(evidence[0].sender == rig.parent.node_id());
  CHECK(media::verify_slice_header(evidence[0].slice_header, rig.world.stream()));
  CHECK(std::ranges::equal(evidence[0].chunk, sim::frame_payload(bad)));
  const auto dropped = rig.take<Relay::Disconnect>();
  REQUIRE(dropped.size() == 1);
  CHECK(dropped[0].peer == rig.parent.node_id());
  const auto lost = rig.take<Relay::ParentLost>();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].reason == relay::LossReason::tampered);
  CHECK(lost[0].stripes == 1);

  rig.frame(rig.parent.node_id(), slices[0].chunk_frames[0]);  // under way: ignored
  CHECK(same_bytes(rig.pull_all(rig.child.node_id()), {slices[0].header_frame}));
  CHECK(rig.relay.counters().chunks_bad == 1);
  CHECK(rig.relay.counters().chunks_verified == 0);
}

TEST_CASE("a tamperer is not dialed again for a while") {
  Rig rig;
  rig.join_parent();
  const auto slices = rig.publisher.segment(1, 5'000, at(rig.now));
  rig.frame(rig.parent.node_id(), slices[0].header_frame);
  rig.frame(rig.parent.node_id(), tampered(slices[0].chunk_frames[0]));
  rig.take<Relay::Connect>();
  rig.pass(30s);
  CHECK(rig.take<Relay::Connect>().empty());
}

TEST_CASE("a header with a bad signature drops its sender and changes nothing") {
  Rig rig;
  rig.join_parent();
  const auto slices = rig.publisher.segment(1, 5'000, at(rig.now));
  rig.frame(rig.parent.node_id(), tampered(slices[0].header_frame));
  CHECK(rig.relay.counters().headers_bad == 1);
  CHECK(rig.take<Relay::Disconnect>().size() == 1);
  CHECK(rig.take<Relay::Tampered>().empty());  // unsigned bytes prove nothing
  REQUIRE(rig.log.size() == 1);
  CHECK(std::get<Relay::ParentLost>(rig.log[0]).reason == relay::LossReason::tampered);
  CHECK(status(rig).cached_bytes == 0);
}

TEST_CASE("only a parent of the stripe may send its slices") {
  Rig rig{4};
  rig.assign({rig.parent.node_id(), rig.parent2.node_id()});  // even, odd stripes
  rig.up(rig.parent.node_id());
  rig.up(rig.parent2.node_id());
  rig.confirm(rig.parent.node_id(), 0b0101);
  rig.confirm(rig.parent2.node_id(), 0b1010);
  rig.up(rig.child.node_id());
  const auto slices = rig.publisher.segment(1, 4 * media::kSliceSizeMax, at(rig.now));
  REQUIRE(slices.size() == 5);

  rig.feed(rig.child.node_id(), slices[0]);
  rig.feed(rig.parent.node_id(), slices[1]);
  CHECK(rig.relay.counters().headers_verified == 0);
  CHECK(rig.relay.counters().chunks_verified == 0);
  rig.feed(rig.parent.node_id(), slices[0]);
  rig.feed(rig.parent2.node_id(), slices[1]);
  CHECK(rig.relay.counters().headers_verified == 2);
  CHECK(rig.relay.counters().chunks_verified == 32);
}

TEST_CASE("duplicates are counted, not checked again and not forwarded") {
  Rig rig;
  rig.join_parent();
  rig.join_child(rig.child.node_id());
  const auto slices = rig.publisher.segment(1, 10'000, at(rig.now));
  rig.feed(rig.parent.node_id(), slices);
  const auto first = rig.pull_all(rig.child.node_id());
  rig.feed(rig.parent.node_id(), slices);
  CHECK(first.size() == 4);
  CHECK(rig.pull_all(rig.child.node_id()).empty());
  CHECK(rig.relay.counters().chunks_duplicate == 3);
  CHECK(rig.relay.counters().headers_verified == 1);
}

TEST_CASE("chunks without a header are dropped, and who sends many of them is disconnected") {
  Rig rig;
  rig.join_parent();
  const auto slices = rig.publisher.segment(1, 5'000, at(rig.now));
  int sent = 0;
  while (rig.take<Relay::Disconnect>().empty() && sent < 100'000) {
    rig.frame(rig.parent.node_id(), slices[0].chunk_frames[0]);
    ++sent;
  }
  CHECK(sent > 1000);
  CHECK(sent < 10'000);
  CHECK(status(rig).cached_bytes == 0);
}

TEST_CASE("a header far above the newest slice is not taken") {
  Rig rig;
  rig.join_parent();
  rig.feed(rig.parent.node_id(), rig.publisher.segment(1, 1'000, at(rig.now)));
  // Unsigned and yet no signature is checked: the place alone speaks against it.
  const auto next = rig.publisher.segment(2, 1'000, at(rig.now));
  const ByteView blob = sim::frame_payload(next[0].header_frame);
  Bytes moved(blob.begin(), blob.end());
  moved[60 + 2] = std::byte{1};  // slice_seq, big endian at 60
  rig.relay.on_media(rig.parent.node_id(), wire::FrameType::slice_header, moved, at(rig.now));
  rig.drain();
  CHECK(rig.relay.counters().headers_bad == 0);
  CHECK(rig.relay.counters().headers_verified == 1);
  CHECK(rig.take<Relay::Disconnect>().empty());
}

TEST_CASE(
    "a restarted publisher replaces the track, older slices are dropped, players keep complete "
    "objects") {
  Rig rig;
  rig.join_parent();
  rig.join_child(rig.child.node_id());
  rig.relay.on_local_demand(rig.world.stream(), {kTrack}, at(rig.now));
  rig.drain();
  const auto old1 = rig.publisher.segment(1, 5'000, at(rig.now));
  const auto old2 = rig.publisher.segment(2, 5'000, at(rig.now));
  rig.feed(rig.parent.node_id(), old1);
  sim::TestPublisher restarted{rig.world, kTrack, 2000};
  const auto fresh = restarted.segment(9, 5'000, at(rig.now));
  rig.feed(rig.parent.node_id(), fresh);
  rig.feed(rig.parent.node_id(), old2);

  // What was still queued of the old run is not sent into the new one.
  CHECK(same_bytes(rig.pull_all(rig.child.node_id()), frames_of(fresh)));
  const auto* store = rig.relay.objects(rig.world.stream(), kTrack);
  REQUIRE(store != nullptr);
  REQUIRE(store->find(sim::segment_path(1)));
  CHECK(store->find(sim::segment_path(1))->complete());
  CHECK(sim::read_all(*store, *store->find(sim::segment_path(9))) ==
        sim::content_of(sim::segment_path(9), 5'000));
  CHECK_FALSE(store->find(sim::segment_path(2)));
  CHECK(rig.take<Relay::Disconnect>().empty());
  rig.pass(40s);  // the old run's objects leave with their age
  CHECK(store->list().empty());
}

TEST_CASE("an unsigned jump to a newer publisher epoch changes nothing") {
  Rig rig;
  rig.join_parent();
  rig.feed(rig.parent.node_id(), rig.publisher.segment(1, 5'000, at(rig.now)));
  sim::TestPublisher restarted{rig.world, kTrack, 2000};
  rig.frame(rig.parent.node_id(),
            tampered(restarted.segment(9, 5'000, at(rig.now))[0].header_frame));
  CHECK(rig.take<Relay::Disconnect>().size() == 1);
  rig.join_child(rig.child.node_id());
  CHECK(paths_of(rig.pull_all(rig.child.node_id())) == std::vector{sim::segment_path(1)});
}

TEST_CASE("segments leave the window by age, the newest init and playlists stay") {
  Rig rig;
  rig.start_publishing();
  rig.publish(rig.publisher.init(at(rig.now)));
  rig.publish(rig.publisher.playlist(1, at(rig.now)));
  rig.publish(rig.publisher.segment(1, 50'000, at(rig.now)));
  rig.pass(31s);
  const auto* store = rig.relay.objects(rig.world.stream(), kTrack);
  CHECK(store->find("init.mp4"));
  CHECK(store->find("index.m3u8"));
  CHECK_FALSE(store->find(sim::segment_path(1)));
  CHECK(status(rig).cached_bytes < 5'000);
}

TEST_CASE("the window is bounded in bytes, old segments leave first") {
  relay::RelayLimits limits;
  limits.cache_bytes = 600'000;
  Rig rig{1, limits};
  rig.start_publishing();
  rig.publish(rig.publisher.init(at(rig.now)));
  for (unsigned i = 1; i <= 20; ++i) {
    rig.publish(rig.publisher.segment(i, 100'000, at(rig.now)));
    CHECK(status(rig).cached_bytes <= limits.cache_bytes);
  }
  const auto* store = rig.relay.objects(rig.world.stream(), kTrack);
  CHECK(store->find("init.mp4"));
  CHECK(store->find(sim::segment_path(20))->complete());
  CHECK_FALSE(store->find(sim::segment_path(10)));
}

TEST_CASE("old versions of a playlist leave when newer ones are here") {
  Rig rig;
  rig.start_publishing();
  for (unsigned i = 1; i <= 10; ++i) rig.publish(rig.publisher.playlist(i, at(rig.now)));
  rig.pass(31s);
  rig.publish(rig.publisher.playlist(11, at(rig.now)));
  rig.pass(1s);
  CHECK(rig.relay.objects(rig.world.stream(), kTrack)->list().size() == 4);
}

TEST_CASE("demand finds what was in the window before it began") {
  Rig rig;
  rig.join_parent();
  rig.feed(rig.parent.node_id(), rig.publisher.segment(1, 100'000, at(rig.now)));
  CHECK(rig.relay.objects(rig.world.stream(), kTrack) == nullptr);
  rig.relay.on_local_demand(rig.world.stream(), {kTrack}, at(rig.now));
  const auto* store = rig.relay.objects(rig.world.stream(), kTrack);
  REQUIRE(store != nullptr);
  const auto object = store->find(sim::segment_path(1));
  REQUIRE(object);
  CHECK(sim::read_all(*store, *object) == sim::content_of(sim::segment_path(1), 100'000));
  rig.relay.on_local_demand(rig.world.stream(), {}, at(rig.now));
  CHECK(rig.relay.objects(rig.world.stream(), kTrack) == nullptr);
  CHECK(status(rig).objects_complete == 1);  // what was counted stays counted
}

TEST_CASE("an object is lost once when it leaves incomplete after the track was joined") {
  Rig rig;
  rig.relay.on_local_demand(rig.world.stream(), {kTrack}, at(rig.now));
  rig.join_parent();
  rig.now += 10ms;
  const auto slices = rig.publisher.segment(1, 100'000, at(rig.now));
  REQUIRE(slices.size() == 2);
  rig.feed(rig.parent.node_id(), slices[0]);
  rig.frame(rig.parent.node_id(), slices[1].header_frame);
  rig.feed(rig.parent.node_id(), rig.publisher.segment(2, 10'000, at(rig.now)));
  rig.pass(5s);
  CHECK(status(rig).objects_lost == 0);
  rig.pass(30s);
  CHECK(status(rig).objects_lost == 1);
  CHECK(status(rig).objects_complete == 1);
}

TEST_CASE("an object that the publisher gave up is not lost, nor is one from before the join") {
  Rig rig;
  const auto before = rig.publisher.segment(1, 100'000, at(rig.now));
  rig.pass(1s);
  rig.relay.on_local_demand(rig.world.stream(), {kTrack}, at(rig.now));
  rig.join_parent();
  rig.feed(rig.parent.node_id(), before[1]);  // its begin was never sent to us
  rig.now += 10ms;
  auto given_up = rig.publisher.segment(2, 2 * media::kSliceSizeMax, at(rig.now));
  given_up.pop_back();  // all bytes, no end
  rig.feed(rig.parent.node_id(), given_up);
  rig.pass(40s);
  CHECK(status(rig).objects_lost == 0);
}

TEST_CASE("an object that completes after the playout window is late, once") {
  Rig rig;
  rig.relay.on_local_demand(rig.world.stream(), {kTrack}, at(rig.now));
  rig.join_parent();
  rig.now += 10ms;
  const auto slices = rig.publisher.segment(1, 5'000, at(rig.now));
  rig.frame(rig.parent.node_id(), slices[0].header_frame);
  rig.now += 2500ms;
  rig.frame(rig.parent.node_id(), slices[0].chunk_frames[0]);
  rig.frame(rig.parent.node_id(), slices[0].chunk_frames[1]);
  rig.feed(rig.parent.node_id(), rig.publisher.segment(2, 5'000, at(rig.now)));
  CHECK(status(rig).objects_late == 1);
  CHECK(status(rig).objects_complete == 2);
}

TEST_CASE("what a parent delivered is acknowledged by a receipt that covers every new chunk") {
  Rig rig;
  rig.join_parent();
  const auto slices = rig.publisher.segment(1, 10'000, at(rig.now));
  rig.feed(rig.parent.node_id(), slices);
  rig.feed(rig.parent.node_id(), slices);  // duplicates earn nothing
  rig.pass(1100ms);
  const auto receipts = rig.sent<relay::PeerReceipt>(rig.parent.node_id());
  REQUIRE(receipts.size() == 1);
  const auto receipt = wire::parse_receipt(receipts[0].blob);
  REQUIRE(receipt);
  CHECK(receipt->cum_bytes == 10'000);
  CHECK(receipt->cum_chunks == 3);
}

TEST_CASE("an answer to a fetch does not say that what is below it was dropped, a turn does") {
  const bool is_asked = GENERATE(true, false);
  CAPTURE(is_asked);
  Rig rig;
  rig.join_parent();
  const NodeId parent = rig.parent.node_id();
  const auto pass = [&](Duration duration) {
    for (Duration passed{0}; passed < duration; passed += 30ms) {
      rig.pass(30ms);
      rig.hear(parent, relay::Head{});
    }
  };
  rig.feed(parent, rig.publisher.segment(1, 1'000, at(rig.now)));
  pass(600ms);
  std::vector<media::SignedSlice> owed;
  for (unsigned i = 2; i <= 5; ++i) {
    for (auto& slice : rig.publisher.segment(i, 1'000, at(rig.now))) owed.push_back(slice);
  }
  REQUIRE(owed.back().header.seq == SliceSeq{4});
  if (is_asked) {
    rig.hear(parent, rig.head(SliceSeq{5}));
    rig.hear(
        parent,
        relay::Dropped{
            rig.world.stream(), kTrack, PublisherEpoch{1000}, {{SliceSeq{4}, SliceSeq{4}}}, 100ms});
    rig.pass(10ms);
    const auto fetches = rig.sent<relay::Fetch>(parent);
    REQUIRE(fetches.size() == 1);
    REQUIRE(fetches[0].ranges == std::vector<relay::SeqRange>{{SliceSeq{4}, SliceSeq{4}}});
  }
  rig.feed(parent, owed.back());
  pass(120ms);
  const auto fetches = rig.sent<relay::Fetch>(parent);
  REQUIRE(fetches.size() == (is_asked ? 0 : 1));
  if (is_asked) return;
  CHECK(fetches[0].ranges == std::vector<relay::SeqRange>{{SliceSeq{1}, SliceSeq{3}}});
}
