#include "tests/support/catch.hpp"
#include "tests/unit/core/relay_rig.hpp"

using namespace tayga;
using namespace tayga::test;
using relay::LossReason;

namespace {

std::vector<NodeId> connects(Rig& rig) {
  std::vector<NodeId> peers;
  for (const auto& connect : rig.take<Relay::Connect>()) peers.push_back(connect.peer);
  return peers;
}
/// Heads keep a parent from counting as silent.
void pass_with_beats(Rig& rig, const NodeId& parent, Duration duration) {
  for (Duration passed{0}; passed < duration; passed += 50ms) {
    rig.hear(parent, relay::Head{});
    rig.pass(50ms);
  }
}

}  // namespace

TEST_CASE("an assigned parent is dialed once and asked for all its stripes in one message") {
  Rig rig{4};
  rig.assign({rig.parent.node_id(), rig.parent2.node_id()});
  CHECK(connects(rig).size() == 2);
  rig.pass(100ms);
  CHECK(connects(rig).empty());
  rig.up(rig.parent.node_id());
  const auto asked = rig.sent<relay::Subscribe>(rig.parent.node_id());
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].stripes == 0b0101);
  CHECK(asked[0].mode == relay::SubscribeMode::active);
  CHECK(asked[0].starts.empty());
  CHECK(asked[0].allocation == rig.world.allocate(rig.parent.node_id(), rig.self_id()));
  CHECK(rig.relay.stripes().at(0).parent == rig.parent.node_id());
  CHECK_FALSE(rig.relay.stripes().at(0).subscribed);
  rig.confirm(rig.parent.node_id(), 0b0101);
  CHECK(rig.relay.stripes().at(0).subscribed);
  CHECK_FALSE(rig.relay.stripes().at(1).parent);
}

TEST_CASE("an assignment with an older revision is ignored, a new incarnation replaces") {
  Rig rig;
  const auto older = rig.assignment({rig.parent2.node_id()});
  rig.assign({rig.parent.node_id()});
  CHECK(connects(rig) == std::vector{rig.parent.node_id()});
  rig.relay.on_assignment(older, at(rig.now));
  rig.drain();
  CHECK(connects(rig).empty());
  auto restarted = older;
  restarted.incarnation = 2;
  rig.relay.on_assignment(restarted, at(rig.now));
  rig.drain();
  CHECK(connects(rig) == std::vector{rig.parent2.node_id()});
  CHECK(rig.relay.streams().at(0).revision == older.revision);
}

TEST_CASE("without an allocation nothing is asked, with one it is") {
  Rig rig;
  auto target = rig.assignment({rig.parent.node_id()});
  const auto allocations = std::exchange(target.allocations, {});
  rig.relay.on_assignment(target, at(rig.now));
  rig.up(rig.parent.node_id());
  rig.pass(1s);
  CHECK(rig.sent<relay::Subscribe>(rig.parent.node_id()).empty());
  target.allocations = allocations;
  rig.relay.on_assignment(target, at(rig.now));
  rig.drain();
  CHECK(rig.sent<relay::Subscribe>(rig.parent.node_id()).size() == 1);
}

TEST_CASE("a newer allocation is presented for the same stripes") {
  Rig rig;
  rig.join_parent();
  auto target = rig.assignment({rig.parent.node_id()});
  target.allocations = {
      rig.world.allocate(rig.parent.node_id(), rig.self_id(), {.not_after = 900s, .number = 2})};
  rig.relay.on_assignment(target, at(rig.now));
  rig.drain();
  const auto asked = rig.sent<relay::Subscribe>(rig.parent.node_id());
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].stripes == 1);
  CHECK(asked[0].starts.empty());
  CHECK(asked[0].allocation == target.allocations[0]);
  CHECK(rig.relay.stripes().at(0).subscribed);
}

TEST_CASE(
    "a new parent is asked from where the old one is, which stays until it sent what it began") {
  Rig rig;
  rig.join_parent();
  rig.join_child(rig.child.node_id());
  rig.pull_all(rig.child.node_id());
  const auto slices = rig.publisher.segment(1, 6 * media::kSliceSizeMax - 1, at(rig.now));
  rig.feed(rig.parent.node_id(), slices[0]);
  rig.feed(rig.parent.node_id(), slices[1]);
  rig.frame(rig.parent.node_id(), slices[2].header_frame);
  rig.frame(rig.parent.node_id(), slices[2].chunk_frames[0]);
  rig.hear(rig.parent.node_id(), rig.head(SliceSeq{2}));

  rig.assign({rig.parent2.node_id()});
  rig.up(rig.parent2.node_id());
  const auto asked = rig.sent<relay::Subscribe>(rig.parent2.node_id());
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].epoch == PublisherEpoch{1000});
  CHECK(asked[0].starts == std::vector<relay::StripeStart>{{StripeIndex{0}, SliceSeq{3}}});
  rig.confirm(rig.parent2.node_id());
  CHECK(rig.sent<relay::Unsubscribe>(rig.parent.node_id()).empty());

  for (std::size_t i = 1; i < 16; ++i) {
    rig.frame(rig.parent.node_id(), slices[2].chunk_frames[i]);  // the old one goes on
  }
  rig.feed(rig.parent.node_id(), slices[3]);
  rig.pass(20ms);
  CHECK(rig.sent<relay::Unsubscribe>(rig.parent.node_id()).size() == 1);
  for (std::size_t i = 3; i < 6; ++i) rig.feed(rig.parent2.node_id(), slices[i]);
  rig.feed(rig.parent.node_id(), slices[4]);  // still under way: a duplicate, no crime

  CHECK(same_bytes(rig.pull_all(rig.child.node_id()), frames_of(slices)));
  CHECK(rig.relay.counters().chunks_unannounced == 0);
  CHECK(rig.take<Relay::ParentLost>().empty());
}

TEST_CASE("while a parent sends the past, the next one is not asked for the same") {
  Rig rig;
  rig.join_parent();
  const auto slices = rig.publisher.segment(1, 40 * media::kSliceSizeMax - 1, at(rig.now));
  rig.feed(rig.parent.node_id(), slices[0]);
  rig.hear(rig.parent.node_id(), rig.head(SliceSeq{30}));
  rig.assign({rig.parent2.node_id()});
  rig.up(rig.parent2.node_id());
  CHECK(rig.sent<relay::Subscribe>(rig.parent2.node_id()).empty());

  SECTION("it is asked when nothing of the past is missing") {
    for (std::size_t i = 1; i < 30; ++i) {
      rig.pass(15ms);
      CHECK(rig.sent<relay::Subscribe>(rig.parent2.node_id()).empty());
      rig.feed(rig.parent.node_id(), slices[i]);
    }
    rig.pass(30ms);
    const auto asked = rig.sent<relay::Subscribe>(rig.parent2.node_id());
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].starts == std::vector<relay::StripeStart>{{StripeIndex{0}, SliceSeq{30}}});
  }
  SECTION("it is asked when the past comes too slowly") {
    for (std::size_t i = 1; i < 23; ++i) {
      rig.pass(90ms);
      rig.feed(rig.parent.node_id(), slices[i]);
    }
    rig.pass(30ms);
    CHECK(rig.sent<relay::Subscribe>(rig.parent2.node_id()).size() == 1);
  }
  SECTION("it is asked when no more comes") {
    pass_with_beats(rig, rig.parent.node_id(), 250ms);
    CHECK(rig.sent<relay::Subscribe>(rig.parent2.node_id()).size() == 1);
  }
  SECTION("it is asked at once when the parent starves, leaves or is lost") {
    const int how = GENERATE(0, 1, 2);
    CAPTURE(how);
    const NodeId& parent = rig.parent.node_id();
    if (how == 0) rig.hear(parent, relay::UpstreamGap{rig.world.stream(), kTrack, 1});
    if (how == 1) rig.hear(parent, relay::GoAway{relay::GoAwayReason::shutdown, 1s});
    if (how == 2) rig.down(parent);
    rig.pass(25ms);
    CHECK(rig.sent<relay::Subscribe>(rig.parent2.node_id()).size() == 1);
  }
}

TEST_CASE("a parent that was asked and has not begun is left as soon as the one named is asked") {
  Rig rig;
  rig.assign({rig.parent.node_id()});
  rig.up(rig.parent.node_id());
  CHECK(rig.sent<relay::Subscribe>(rig.parent.node_id()).size() == 1);
  rig.assign({rig.parent2.node_id()});
  CHECK(rig.sent<relay::Unsubscribe>(rig.parent.node_id()).empty());
  rig.up(rig.parent2.node_id());
  rig.pass(1ms);
  CHECK(rig.sent<relay::Unsubscribe>(rig.parent.node_id()).size() == 1);
  const auto asked = rig.sent<relay::Subscribe>(rig.parent2.node_id());
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].starts.empty());
  CHECK(rig.take<Relay::ParentLost>().empty());
}

TEST_CASE("a parent that does not come, or does not confirm in a second, replaces nobody") {
  const bool comes = GENERATE(false, true);
  CAPTURE(comes);
  Rig rig;
  rig.join_parent();
  pass_with_beats(rig, rig.parent.node_id(), 300ms);
  rig.assign({rig.parent2.node_id()});
  if (comes) rig.up(rig.parent2.node_id());
  pass_with_beats(rig, rig.parent.node_id(), 900ms);
  CHECK(rig.take<Relay::ParentLost>().empty());
  pass_with_beats(rig, rig.parent.node_id(), 300ms);
  CHECK(rig.sent<relay::Unsubscribe>(rig.parent.node_id()).empty());
  const auto lost = rig.take<Relay::ParentLost>();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].parent == rig.parent2.node_id());
  CHECK(lost[0].promoted == rig.parent.node_id());
  CHECK(rig.relay.stripes().at(0).parent == rig.parent.node_id());
  CHECK(rig.relay.stripes().at(0).subscribed);
}

TEST_CASE(
    "a lost parent is reported once for all its stripes and dialed again with growing pauses") {
  Rig rig{4};
  rig.join_parent();
  rig.down(rig.parent.node_id(), LossReason::reset);
  const auto lost = rig.take<Relay::ParentLost>();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].stripes == 0b1111);
  CHECK(lost[0].reason == LossReason::reset);
  CHECK(lost[0].parent == rig.parent.node_id());
  CHECK(lost[0].revision == 1);
  CHECK_FALSE(rig.relay.stripes().at(0).parent);

  std::vector<TimePoint> dials;
  for (int i = 0; i < 4000; ++i) {
    rig.pass(10ms);
    if (connects(rig).empty()) continue;
    dials.push_back(rig.now);
    rig.relay.on_connect_failed(rig.parent.node_id(), at(rig.now));
    rig.drain();
  }
  REQUIRE(dials.size() >= 8);
  CHECK(dials.size() <= 16);
  CHECK(dials[0] - kStart <= 250ms);
  CHECK(dials.back() - dials[dials.size() - 2] <= 5100ms);
  CHECK(rig.take<Relay::ParentLost>().empty());
}

TEST_CASE("a parent that could not be reached is reported") {
  Rig rig;
  rig.assign({rig.parent.node_id()});
  rig.relay.on_connect_failed(rig.parent.node_id(), at(rig.now));
  rig.drain();
  const auto lost = rig.take<Relay::ParentLost>();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].reason == LossReason::connect_failed);
}

TEST_CASE("a parent whose session is replaced is no loss: the same stripes are asked for again") {
  Rig rig;
  rig.join_parent();
  (void)rig.take<Relay::ParentLost>();
  const std::size_t asked = rig.sent<relay::Subscribe>(rig.parent.node_id()).size();
  rig.up(rig.parent.node_id());
  CHECK(rig.take<Relay::ParentLost>().empty());
  CHECK(rig.sent<relay::Subscribe>(rig.parent.node_id()).size() == 1);
  CAPTURE(asked);
  rig.confirm(rig.parent.node_id(), 1);
  CHECK(rig.relay.stripes().at(0).subscribed);
}

TEST_CASE("a parent that misses three beats is lost, and closed after two seconds") {
  Rig rig;
  rig.join_parent();
  pass_with_beats(rig, rig.parent.node_id(), 5s);
  CHECK(rig.take<Relay::ParentLost>().empty());
  rig.pass(100ms);
  CHECK(rig.take<Relay::ParentLost>().empty());
  rig.pass(200ms);
  const auto lost = rig.take<Relay::ParentLost>();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].reason == LossReason::silent);
  CHECK_FALSE(lost[0].promoted);
  CHECK(rig.take<Relay::Disconnect>().empty());
  rig.pass(2s);
  CHECK(rig.take<Relay::Disconnect>().size() == 1);
  CHECK(rig.take<Relay::ParentLost>().empty());
}

TEST_CASE("a refusal is reported and the same parent asked again after its time") {
  Rig rig;
  rig.assign({rig.parent.node_id()});
  rig.up(rig.parent.node_id());
  rig.sent<relay::Subscribe>(rig.parent.node_id());
  rig.hear(rig.parent.node_id(),
           relay::SubscribeRefused{rig.world.stream(), kTrack, 1,
                                   relay::RefuseReason::unknown_stream, 500ms});
  const auto lost = rig.take<Relay::ParentLost>();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].reason == LossReason::refused);
  rig.pass(450ms);
  CHECK(rig.sent<relay::Subscribe>(rig.parent.node_id()).empty());
  rig.pass(100ms);
  CHECK(rig.sent<relay::Subscribe>(rig.parent.node_id()).size() == 1);
}

TEST_CASE("a parent that says go_away is reported at once and received from until it is gone") {
  Rig rig;
  rig.join_parent();
  rig.hear(rig.parent.node_id(), relay::GoAway{relay::GoAwayReason::shutdown, 3s});
  const auto lost = rig.take<Relay::ParentLost>();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].reason == LossReason::go_away);
  rig.feed(rig.parent.node_id(), rig.publisher.segment(1, 10'000, at(rig.now)));
  CHECK(rig.relay.counters().chunks_verified == 3);
  rig.down(rig.parent.node_id());
  CHECK(rig.take<Relay::ParentLost>().empty());
}

TEST_CASE("children hear of an orphaned stripe after 100 ms, once, and when it is over") {
  Rig rig{4};
  rig.join_parent();
  rig.join_child(rig.child.node_id());
  rig.down(rig.parent.node_id());
  rig.pass(90ms);
  CHECK(rig.sent<relay::UpstreamGap>(rig.child.node_id()).empty());
  rig.pass(1s);
  const auto gaps = rig.sent<relay::UpstreamGap>(rig.child.node_id());
  REQUIRE(gaps.size() == 1);
  CHECK(gaps[0] == relay::UpstreamGap{rig.world.stream(), kTrack, 0b1111});
  CHECK(rig.relay.children(rig.now).size() == 1);  // it is served from the cache
}

TEST_CASE(
    "a stream that is no longer carried is unsubscribed, its children served from the cache") {
  Rig rig;
  rig.join_parent();
  rig.join_child(rig.child.node_id());
  rig.pull_all(rig.child.node_id());
  rig.feed(rig.parent.node_id(), rig.publisher.segment(1, 10'000, at(rig.now)));
  auto target = rig.assignment({});
  target.carry = false;
  rig.relay.on_assignment(target, at(rig.now));
  rig.drain();
  CHECK(rig.sent<relay::Unsubscribe>(rig.parent.node_id()).size() == 1);
  CHECK(paths_of(rig.pull_all(rig.child.node_id())) == std::vector{sim::segment_path(1)});
  rig.pass(200ms);
  CHECK(rig.sent<relay::UpstreamGap>(rig.child.node_id()).size() == 1);
  rig.hear(rig.child.node_id(), relay::Unsubscribe{rig.world.stream(), kTrack, 1});
  rig.pass(40s);
  CHECK(rig.relay.streams().empty());
  CHECK(rig.take<Relay::Disconnect>().size() == 2);  // nobody has business here any more
}

TEST_CASE("a hole that stays open is fetched once from the same parent") {
  Rig rig;
  rig.join_parent();
  rig.feed(rig.parent.node_id(), rig.publisher.segment(1, 1'000, at(rig.now)));
  pass_with_beats(rig, rig.parent.node_id(), 500ms);
  const auto missed = rig.publisher.segment(2, 1'000, at(rig.now));
  rig.feed(rig.parent.node_id(), rig.publisher.segment(3, 1'000, at(rig.now)));
  rig.pass(50ms);
  CHECK(rig.sent<relay::Fetch>(rig.parent.node_id()).empty());
  pass_with_beats(rig, rig.parent.node_id(), 500ms);
  const auto fetches = rig.sent<relay::Fetch>(rig.parent.node_id());
  REQUIRE(fetches.size() == 1);
  CHECK(
      fetches[0] ==
      relay::Fetch{rig.world.stream(), kTrack, PublisherEpoch{1000}, {{SliceSeq{1}, SliceSeq{1}}}});
  rig.feed(rig.parent.node_id(), missed);
  CHECK(rig.relay.counters().chunks_verified == 3);
}

TEST_CASE("a head shows that the tail is missing") {
  Rig rig;
  rig.join_parent();
  rig.feed(rig.parent.node_id(), rig.publisher.segment(1, 1'000, at(rig.now)));
  relay::Head head;
  head.tracks.push_back({wire::to_stream_tag(rig.world.stream()),
                         kTrack,
                         PublisherEpoch{1000},
                         {{StripeIndex{0}, SliceSeq{3}}}});
  for (int i = 0; i < 20; ++i) {
    rig.hear(rig.parent.node_id(), head);
    rig.pass(50ms);
  }
  const auto fetches = rig.sent<relay::Fetch>(rig.parent.node_id());
  REQUIRE(fetches.size() == 1);
  CHECK(fetches[0].ranges == std::vector<relay::SeqRange>{{SliceSeq{1}, SliceSeq{2}}});
}

TEST_CASE("a parent that lies about its head costs a bounded number of fetches") {
  Rig rig;
  rig.join_parent();
  rig.feed(rig.parent.node_id(), rig.publisher.segment(1, 1'000, at(rig.now)));
  relay::Head head;
  head.tracks.push_back({wire::to_stream_tag(rig.world.stream()),
                         kTrack,
                         PublisherEpoch{1000},
                         {{StripeIndex{0}, SliceSeq{~0ULL}}}});
  std::uint64_t slices = 0;
  for (int i = 0; i < 100; ++i) {
    rig.hear(rig.parent.node_id(), head);
    rig.pass(50ms);
    for (const auto& fetch : rig.sent<relay::Fetch>(rig.parent.node_id())) {
      for (const auto& range : fetch.ranges) {
        slices += range.last.value() - range.first.value() + 1;
      }
    }
  }
  CHECK(slices <= 64);
}

TEST_CASE("a late join's gap between init and the segments is no hole") {
  Rig rig;
  rig.join_parent();
  rig.feed(rig.parent.node_id(), rig.publisher.init(at(rig.now)));
  for (unsigned i = 1; i <= 5; ++i) rig.publisher.segment(i, 1'000, at(rig.now));
  rig.feed(rig.parent.node_id(), rig.publisher.segment(6, 1'000, at(rig.now)));
  rig.feed(rig.parent.node_id(), rig.publisher.segment(7, 1'000, at(rig.now)));
  pass_with_beats(rig, rig.parent.node_id(), 1s);
  CHECK(rig.sent<relay::Fetch>(rig.parent.node_id()).empty());
}

TEST_CASE("a standby parent is connected and asked for heads only") {
  Rig rig;
  auto target = rig.assignment({rig.parent.node_id()});
  target.upstream.push_back(
      {kTrack, StripeIndex{0}, rig.parent2.node_id(), relay::UpstreamRole::standby});
  target.allocations.push_back(rig.world.allocate(rig.parent2.node_id(), rig.self_id()));
  rig.relay.on_assignment(target, at(rig.now));
  rig.drain();
  CHECK(connects(rig).size() == 2);
  rig.up(rig.parent2.node_id());
  const auto asked = rig.sent<relay::Subscribe>(rig.parent2.node_id());
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].mode == relay::SubscribeMode::standby);
  rig.confirm(rig.parent2.node_id());
  CHECK_FALSE(rig.relay.stripes().at(0).subscribed);
}

TEST_CASE("assignments cannot make more tracks or streams than the limits") {
  relay::RelayLimits limits;
  limits.tracks_per_stream_max = 3;
  limits.streams_max = 2;
  Rig rig{1, limits};
  auto target = rig.assignment({rig.parent.node_id()});
  for (unsigned i = 0; i < 50; ++i) {
    target.upstream.push_back(
        {TrackId{100 + i}, StripeIndex{0}, rig.parent.node_id(), relay::UpstreamRole::primary});
  }
  rig.relay.on_assignment(target, at(rig.now));
  CHECK(rig.relay.stripes().size() == 3);
  for (unsigned i = 0; i < 10; ++i) {
    target.stream.id = sim::make_key(500 + i).stream_id();
    rig.relay.on_assignment(target, at(rig.now));
  }
  CHECK(rig.relay.streams().size() == 2);
}
