#include "tests/support/catch.hpp"
#include "tests/unit/core/relay_rig.hpp"

using namespace tayga;
using namespace tayga::test;

namespace {

using Ranges = std::vector<relay::SeqRange>;

relay::SeqRange one(std::uint64_t seq) {
  return {SliceSeq{seq}, SliceSeq{seq}};
}

/// A relay with a parent and a ready standby, both known to it for a second.
struct ChildRig : Rig {
  ChildRig() {
    relay::Assignment target = assignment({parent.node_id()});
    target.upstream.push_back(
        {kTrack, StripeIndex{0}, parent2.node_id(), relay::UpstreamRole::standby});
    target.allocations.push_back(world.allocate(parent2.node_id(), self_id()));
    relay.on_assignment(target, at(now));
    drain();
    up(parent.node_id());
    up(parent2.node_id());
    confirm(parent.node_id());
    confirm(parent2.node_id());
    for (unsigned i = 1; i <= 12; ++i) {
      for (auto& slice : publisher.segment(i, 1'000, at(now))) slices.push_back(std::move(slice));
    }
    beat(1s);
    log.clear();
  }
  /// Both are heard.
  void beat(Duration duration) {
    for (Duration passed{0}; passed < duration; passed += 30ms) {
      pass(30ms);
      hear(parent.node_id(), relay::Head{});
      hear(parent2.node_id(), relay::Head{});
    }
  }
  /// The parent overtook slice 1, and the standby was asked for it.
  void fetch_one() {
    feed(parent.node_id(), slices[0]);
    beat(420ms);
    feed(parent.node_id(), slices[2]);
    beat(150ms);
    const auto asked = sent<relay::Fetch>(parent2.node_id());
    REQUIRE(asked.size() == 1);
    REQUIRE(asked[0].ranges == Ranges{one(1)});
  }
  std::vector<media::SignedSlice> slices;  ///< the first twelve, one an object
};

/// A gateway with two children that have all there is, slice 0.
struct ParentRig : Rig {
  ParentRig() {
    start_publishing();
    join_child(child.node_id());
    join_child(child2.node_id());
    publish_one();
    pull_all(child.node_id());
    pull_all(child2.node_id());
    log.clear();
  }
  std::vector<media::SignedSlice> publish_one(std::size_t size = 1'000) {
    auto made = publisher.segment(++segments_, size, at(now));
    publish(made);
    return made;
  }
  relay::Have have(Ranges ranges, std::uint32_t epoch = 1000) const {
    return {world.stream(), kTrack, PublisherEpoch{epoch}, std::move(ranges)};
  }
  std::vector<SharedBytes> pull_child() { return pull_all(child.node_id()); }
  std::vector<SharedBytes> pull_other() { return pull_all(child2.node_id()); }
  [[nodiscard]] std::size_t queued() const {
    return child_status(*this, child.node_id()).queued_bytes;
  }
  void check_nothing_dropped() const {
    CHECK(child_status(*this, child.node_id()).dropped_bytes == 0);
    CHECK(relay.counters().dropped_bytes == 0);
  }

 private:
  unsigned segments_ = 0;
};

}  // namespace

// --- who says it

TEST_CASE("a parent hears within 25 ms what another one gave, and who gave it does not") {
  ChildRig rig;
  rig.fetch_one();
  rig.feed(rig.parent2.node_id(), rig.slices[1]);
  rig.pass(24ms);
  CHECK(rig.sent<relay::Have>(rig.parent.node_id()).empty());
  rig.pass(1ms);
  const auto told = rig.sent<relay::Have>(rig.parent.node_id());
  REQUIRE(told.size() == 1);
  CHECK(told[0] == relay::Have{rig.world.stream(), kTrack, PublisherEpoch{1000}, {one(1)}});
  rig.beat(500ms);
  CHECK(rig.sent<relay::Have>(rig.parent.node_id()).empty());
  CHECK(rig.sent<relay::Have>(rig.parent2.node_id()).empty());
}

TEST_CASE("who was asked for a slice hears when its parent sends it after all") {
  ChildRig rig;
  rig.fetch_one();
  rig.feed(rig.parent.node_id(), rig.slices[1]);
  rig.pass(25ms);
  const auto told = rig.sent<relay::Have>(rig.parent2.node_id());
  REQUIRE(told.size() == 1);
  CHECK(told[0].ranges == Ranges{one(1)});
  CHECK(rig.sent<relay::Have>(rig.parent.node_id()).empty());
}

TEST_CASE("what a parent sends in normal operation nobody is told of") {
  ChildRig rig;
  for (const auto& slice : rig.slices) {
    rig.feed(rig.parent.node_id(), slice);
    rig.beat(60ms);
  }
  CHECK(rig.relay.counters().chunks_verified == rig.slices.size());
  CHECK(rig.sent<relay::Have>(rig.parent.node_id()).empty());
  CHECK(rig.sent<relay::Have>(rig.parent2.node_id()).empty());
}

TEST_CASE("a slice is told of when it is whole, those of 25 ms in one message") {
  ChildRig rig;
  rig.feed(rig.parent.node_id(), rig.slices[0]);
  while (rig.take<Relay::Suspected>().empty()) rig.pass(5ms);  // some are fetched ahead
  rig.frame(rig.parent2.node_id(), rig.slices[1].header_frame);
  rig.hear(rig.parent.node_id(), relay::Head{});
  rig.pass(30ms);
  CHECK(rig.sent<relay::Have>(rig.parent.node_id()).empty());
  rig.feed(rig.parent2.node_id(), rig.slices[1]);
  rig.pass(15ms);
  rig.feed(rig.parent2.node_id(), rig.slices[2]);
  rig.pass(10ms);
  const auto told = rig.sent<relay::Have>(rig.parent.node_id());
  REQUIRE(told.size() == 1);
  CHECK(told[0].ranges == Ranges{one(1), one(2)});
}

TEST_CASE("a parent that is gone when it is to be told hears nothing of it when it is back") {
  ChildRig rig;
  rig.fetch_one();
  rig.feed(rig.parent2.node_id(), rig.slices[1]);
  rig.down(rig.parent.node_id());
  rig.pass(30ms);
  rig.up(rig.parent.node_id());
  rig.pass(100ms);
  CHECK(rig.sent<relay::Have>(rig.parent.node_id()).empty());
}

// --- who hears it

TEST_CASE("what a child has is taken from its queue and not counted as dropped, others get it") {
  ParentRig rig;
  const auto first = rig.publish_one();
  const auto second = rig.publish_one();
  const std::size_t both = rig.queued();
  rig.hear(rig.child.node_id(), rig.have({one(1)}));
  CHECK(rig.queued() < both);
  CHECK(same_bytes(rig.pull_child(), frames_of(second)));
  CHECK(rig.queued() == 0);
  CHECK(same_bytes(rig.pull_other(), frames_of({first[0], second[0]})));
  rig.check_nothing_dropped();
  rig.pass(3s);
  CHECK(rig.sent<relay::Dropped>(rig.child.node_id()).empty());
}

TEST_CASE("what a child has before its parent is not sent when it comes, others get it") {
  ParentRig rig;
  rig.hear(rig.child.node_id(), rig.have({{SliceSeq{1}, SliceSeq{2}}, one(4)}));
  std::vector<media::SignedSlice> slices;
  for (int i = 0; i < 5; ++i) slices.push_back(rig.publish_one()[0]);
  CHECK(same_bytes(rig.pull_child(), frames_of({slices[2], slices[4]})));
  CHECK(rig.queued() == 0);
  CHECK(same_bytes(rig.pull_other(), frames_of(slices)));
  rig.check_nothing_dropped();
}

TEST_CASE("of a slice that a child got in part, and elsewhere whole, no more is sent") {
  Rig rig;
  rig.join_parent();
  const NodeId child = rig.child.node_id();
  rig.join_child(child);
  rig.pull_all(child);
  const auto slice = rig.publisher.segment(1, 50'000, at(rig.now)).at(0);
  REQUIRE(slice.chunk_frames.size() >= 4);
  rig.frame(rig.parent.node_id(), slice.header_frame);
  rig.frame(rig.parent.node_id(), slice.chunk_frames[0]);
  CHECK(rig.pull(child).has_value());
  rig.hear(child, relay::Have{rig.world.stream(), kTrack, PublisherEpoch{1000}, {one(0)}});
  for (std::size_t i = 1; i < slice.chunk_frames.size(); ++i) {
    rig.frame(rig.parent.node_id(), slice.chunk_frames[i]);
  }
  CHECK(rig.pull_all(child).empty());
  CHECK(child_status(rig, child).queued_bytes == 0);
  CHECK(child_status(rig, child).dropped_bytes == 0);
}

TEST_CASE("a child that fetches what it said it has gets it") {
  ParentRig rig;
  rig.hear(rig.child.node_id(), rig.have({one(1)}));
  const auto slices = rig.publish_one();
  REQUIRE(rig.pull_child().empty());
  rig.hear(rig.child.node_id(),
           relay::Fetch{rig.world.stream(), kTrack, PublisherEpoch{1000}, {one(1)}});
  CHECK(same_bytes(rig.pull_child(), frames_of(slices)));
  CHECK(rig.queued() == 0);
}

TEST_CASE("of what a child has 256 slices are remembered, the newest told") {
  ParentRig rig;
  rig.hear(rig.child.node_id(), rig.have({{SliceSeq{1}, SliceSeq{~std::uint64_t{0}}}}));
  for (int i = 0; i < 256; ++i) rig.publish_one(10);
  CHECK(rig.pull_child().empty());
  const auto next = rig.publish_one(10);
  CHECK(same_bytes(rig.pull_child(), frames_of(next)));
  rig.check_nothing_dropped();
}

TEST_CASE("a range that ends before it begins names nothing") {
  ParentRig rig;
  rig.hear(rig.child.node_id(), rig.have({{SliceSeq{2}, SliceSeq{1}}}));
  const auto first = rig.publish_one();
  const auto second = rig.publish_one();
  CHECK(same_bytes(rig.pull_child(), frames_of({first[0], second[0]})));
}

TEST_CASE("a child that names more than 64 ranges of what it has is no peer") {
  ParentRig rig;
  rig.hear(rig.child.node_id(), rig.have(Ranges(64, one(1))));
  CHECK(rig.take<Relay::Disconnect>().empty());
  CHECK(rig.relay.children(rig.now).size() == 2);
  rig.hear(rig.child.node_id(), rig.have(Ranges(65, one(1))));
  const auto closed = rig.take<Relay::Disconnect>();
  REQUIRE(closed.size() == 1);
  CHECK(closed[0].peer == rig.child.node_id());
}

TEST_CASE("what is had of another epoch, track or stream, or by no child, changes nothing") {
  ParentRig rig;
  const auto slices = rig.publish_one();
  auto told = rig.have({one(1), one(2)}, GENERATE(999U, 1001U));
  rig.hear(rig.child.node_id(), told);
  told = rig.have({one(1), one(2)});
  told.track = TrackId{7};
  rig.hear(rig.child.node_id(), told);
  told = rig.have({one(1), one(2)});
  told.stream = sim::make_key(99).stream_id();
  rig.hear(rig.child.node_id(), told);
  rig.up(rig.parent.node_id());
  rig.hear(rig.parent.node_id(), rig.have({one(1), one(2)}));
  CHECK(same_bytes(rig.pull_child(), frames_of(slices)));
  const auto next = rig.publish_one();
  CHECK(same_bytes(rig.pull_child(), frames_of(next)));
  CHECK(rig.take<Relay::Disconnect>().empty());
}

TEST_CASE("who says too often what it has is not heeded for a moment, and stays a peer") {
  ParentRig rig;
  for (std::uint64_t i = 0; i < 256; ++i) rig.hear(rig.child.node_id(), rig.have({one(5'000)}));
  const auto first = rig.publish_one();
  rig.hear(rig.child.node_id(), rig.have({one(1)}));
  CHECK(same_bytes(rig.pull_child(), frames_of(first)));
  rig.pass(20ms);
  rig.publish_one();
  rig.hear(rig.child.node_id(), rig.have({one(2)}));
  CHECK(rig.pull_child().empty());
  CHECK(rig.take<Relay::Disconnect>().empty());
}

TEST_CASE("what a child has of a slice that still arrives is not waited for, nor counted") {
  const int how = GENERATE(0, 1, 2);
  CAPTURE(how);
  Rig rig;
  rig.join_parent();
  const NodeId child = rig.child.node_id();
  rig.join_child(child);
  rig.pull_all(child);
  const auto slice = rig.publisher.segment(1, 60'000, at(rig.now)).at(0);
  rig.frame(rig.parent.node_id(), slice.header_frame);
  rig.frame(rig.parent.node_id(), slice.chunk_frames[0]);
  const auto say = [&](Ranges ranges) {
    rig.hear(child, relay::Have{rig.world.stream(), kTrack, PublisherEpoch{1000}, ranges});
  };
  // More than is remembered, at once and one after the other.
  const relay::SeqRange many{SliceSeq{1000}, SliceSeq{1255}};
  if (how == 0) say({many, one(0)});
  if (how != 0) say({one(0)});
  if (how == 1) say({many});
  for (std::size_t i = 1; i < slice.chunk_frames.size(); ++i) {
    rig.frame(rig.parent.node_id(), slice.chunk_frames[i]);
  }
  CHECK(rig.pull_all(child).empty());
  CHECK(child_status(rig, child).queued_bytes == 0);
}

TEST_CASE("a child that joins a stripe anew gets what it said that it has") {
  Rig rig{2};
  rig.join_parent();
  const NodeId child = rig.child.node_id();
  rig.join_child(child);
  rig.feed(rig.parent.node_id(), rig.publisher.segment(1, 10'000, at(rig.now)).at(0));
  rig.pull_all(child);
  rig.hear(child, relay::Have{rig.world.stream(), kTrack, PublisherEpoch{1000}, {one(1)}});
  rig.hear(child, relay::Unsubscribe{rig.world.stream(), kTrack, 0b10});
  const auto slice = rig.publisher.segment(2, 60'000, at(rig.now)).at(0);
  REQUIRE(slice.header.seq == SliceSeq{1});
  rig.frame(rig.parent.node_id(), slice.header_frame);
  auto again = rig.request(child);
  again.stripes = 0b10;
  rig.hear(child, again);
  CHECK(rig.pull_all(child).size() == 1);
  const unsigned told = rig.ready[child];
  rig.frame(rig.parent.node_id(), slice.chunk_frames[0]);
  CHECK(rig.ready[child] == told + 1);
  for (std::size_t i = 1; i < slice.chunk_frames.size(); ++i) {
    for (int beats = 0; beats < 10; ++beats) {  // until its catch-up is over, and beyond
      rig.pass(100ms);
      rig.hear(rig.parent.node_id(), relay::Head{});
    }
    rig.frame(rig.parent.node_id(), slice.chunk_frames[i]);
  }
  CHECK_FALSE(rig.pull_all(child).empty());
  rig.pass(4s);
  CHECK(child_status(rig, child).queued_bytes == 0);
}
