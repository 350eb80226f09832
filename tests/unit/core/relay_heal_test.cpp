#include "tests/support/catch.hpp"
#include "tests/unit/core/heal_rig.hpp"

using namespace tayga;
using namespace tayga::test;
using relay::LossReason;

TEST_CASE(
    "a parent whose beat is overdue is suspected, and what it owes fetched from the standby") {
  HealRig rig;
  const auto slices = rig.slices(6);
  rig.feed(rig.parent.node_id(), {slices[0], slices[1]});
  rig.frame(rig.parent.node_id(), slices[2].header_frame);
  rig.pass(60ms);
  CHECK(rig.take<Relay::Suspected>().empty());
  rig.pass(60ms);
  const auto suspected = rig.take<Relay::Suspected>();
  REQUIRE(suspected.size() == 1);
  CHECK(suspected[0].parent == rig.parent.node_id());
  CHECK(suspected[0].silence <= 120ms);
  const auto fetches = rig.sent<relay::Fetch>(rig.parent2.node_id());
  REQUIRE(fetches.size() == 1);
  REQUIRE_FALSE(fetches[0].ranges.empty());
  CHECK(fetches[0].ranges[0] == relay::SeqRange{SliceSeq{2}, SliceSeq{2}, 1});  // has its header
  CHECK(fetches[0].ranges.back().last == SliceSeq{17});
  CHECK_FALSE(fetches[0].rescue);
  rig.feed(rig.parent2.node_id(), slices[3]);  // the answer is taken although it is no parent
  CHECK(rig.relay.counters().chunks_verified == 3);
  CHECK(rig.relay.counters().chunks_unannounced == 0);
}

TEST_CASE("a parent that is heard again before it was replaced cost a fetch and nothing else") {
  HealRig rig;
  rig.feed(rig.parent.node_id(), rig.slices(2));
  while (rig.take<Relay::Suspected>().empty()) rig.pass(5ms);
  rig.hear(rig.parent.node_id(), relay::Head{});
  rig.beat(1s);
  CHECK(rig.relay.counters().suspicions == 1);
  CHECK(rig.relay.counters().false_suspicions == 1);
  CHECK(rig.relay.counters().promotions == 0);
  CHECK(rig.take<Relay::ParentLost>().empty());
  CHECK(rig.sent<relay::Subscribe>(rig.parent2.node_id()).empty());
}

TEST_CASE("with the third beat missing the standby is promoted, from the first missing slice") {
  HealRig rig{2};
  const auto slices = rig.slices(6);
  rig.feed(rig.parent.node_id(), {slices[0], slices[1], slices[2]});
  rig.frame(rig.parent.node_id(), slices[3].header_frame);
  const TimePoint last = rig.now;
  while (rig.take<Relay::ParentLost>().empty()) rig.pass(1ms);
  CHECK(rig.now - last <= 160ms);
  const auto asked = rig.sent<relay::Subscribe>(rig.parent2.node_id());
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].mode == relay::SubscribeMode::active);
  CHECK(asked[0].stripes == 0b11);
  CHECK(asked[0].starts == std::vector<relay::StripeStart>{{StripeIndex{0}, SliceSeq{4}},
                                                           {StripeIndex{1}, SliceSeq{3}}});
  CHECK(rig.relay.counters().promotions == 2);
  CHECK(rig.relay.counters().false_suspicions == 0);

  rig.pass(20ms);
  rig.confirm(rig.parent2.node_id());
  auto repaired = rig.take<Relay::Repaired>();
  REQUIRE(repaired.size() == 1);
  CHECK(repaired[0].stripes == 0b01);  // of the other one something had begun to come
  rig.pass(20ms);
  rig.feed(rig.parent2.node_id(), {slices[3], slices[4]});
  repaired = rig.take<Relay::Repaired>();
  REQUIRE(repaired.size() == 1);
  CHECK(repaired[0].stripes == 0b10);
  CHECK(repaired[0].lost == rig.parent.node_id());
  CHECK(repaired[0].parent == rig.parent2.node_id());
  CHECK(repaired[0].reason == LossReason::silent);
  CHECK(repaired[0].gap == rig.now - last);
  CHECK(rig.sent<relay::Unsubscribe>(rig.parent.node_id()).size() == 1);  // should it still live
  CHECK(rig.relay.stripes().at(0).parent == rig.parent2.node_id());
}

TEST_CASE("the orchestrator hears who took over in the same report that names the loss") {
  HealRig rig{4};
  rig.feed(rig.parent.node_id(), rig.slices(8));
  rig.down(rig.parent.node_id(), LossReason::reset);
  const auto lost = rig.take<Relay::ParentLost>();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].stripes == 0b1111);
  CHECK(lost[0].reason == LossReason::reset);
  CHECK(lost[0].promoted == rig.parent2.node_id());
}

TEST_CASE("a closed session promotes the standby at once, without waiting for a beat") {
  const auto reason = GENERATE(LossReason::closed, LossReason::reset);
  HealRig rig;
  rig.feed(rig.parent.node_id(), rig.slices(2));
  rig.down(rig.parent.node_id(), reason);
  CHECK(rig.sent<relay::Subscribe>(rig.parent2.node_id()).size() == 1);
  CHECK(rig.relay.counters().promotions == 1);
}

TEST_CASE("the replaced parent stands by when it is back") {
  HealRig rig;
  rig.feed(rig.parent.node_id(), rig.slices(2));
  rig.down(rig.parent.node_id(), LossReason::reset);
  rig.confirm(rig.parent2.node_id());
  rig.beat(300ms, false);
  rig.up(rig.parent.node_id());
  const auto asked = rig.sent<relay::Subscribe>(rig.parent.node_id());
  REQUIRE(asked.size() == 1);
  CHECK(asked[0].mode == relay::SubscribeMode::standby);
}

TEST_CASE("a parent that says go_away is left before it goes, and received from until then") {
  HealRig rig;
  const auto slices = rig.slices(4);
  rig.feed(rig.parent.node_id(), {slices[0], slices[1]});
  rig.hear(rig.parent.node_id(), relay::GoAway{relay::GoAwayReason::drain, 5s});
  CHECK(rig.sent<relay::Subscribe>(rig.parent2.node_id()).size() == 1);
  CHECK(rig.sent<relay::Unsubscribe>(rig.parent.node_id()).empty());
  rig.feed(rig.parent.node_id(), slices[2]);  // no gap
  CHECK(rig.relay.counters().chunks_verified == 3);
  rig.confirm(rig.parent2.node_id());
  CHECK(rig.sent<relay::Unsubscribe>(rig.parent.node_id()).size() == 1);
  rig.feed(rig.parent2.node_id(), slices[3]);
  const auto lost = rig.take<Relay::ParentLost>();
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].reason == LossReason::go_away);
}

TEST_CASE("a parent that tampered is replaced and never asked to stand by") {
  HealRig rig;
  const auto slices = rig.slices(1);
  rig.frame(rig.parent.node_id(), slices[0].header_frame);
  rig.frame(rig.parent.node_id(), tampered(slices[0].chunk_frames[0]));
  CHECK(rig.sent<relay::Subscribe>(rig.parent2.node_id()).size() == 1);
  CHECK(rig.take<Relay::ParentLost>().at(0).reason == LossReason::tampered);
  rig.beat(3s, false);
  CHECK(rig.take<Relay::Connect>().empty());
}

TEST_CASE("a tamperer that calls back does not become a standby") {
  Rig rig;
  rig.join_parent();
  const auto slices = rig.publisher.segment(1, 1'000, at(rig.now));
  rig.frame(rig.parent.node_id(), slices[0].header_frame);
  rig.frame(rig.parent.node_id(), tampered(slices[0].chunk_frames[0]));
  rig.down(rig.parent.node_id());
  rig.up(rig.parent.node_id());  // it dials us
  rig.log.clear();
  rig.assign({rig.parent2.node_id()});
  rig.up(rig.parent2.node_id());
  rig.confirm(rig.parent2.node_id());
  rig.pass(70s);
  CHECK(rig.sent<relay::Subscribe>(rig.parent.node_id()).empty());
}

TEST_CASE("who did not run for a while does not blame its parents for the silence") {
  HealRig rig;
  rig.feed(rig.parent.node_id(), rig.slices(2));
  rig.now += GENERATE(800ms, 3s);  // nobody called on_timeout(): the process was stopped
  rig.relay.on_timeout(at(rig.now));
  rig.drain();
  CHECK(rig.take<Relay::Suspected>().empty());
  CHECK(rig.take<Relay::Disconnect>().empty());
  rig.hear(rig.parent.node_id(), relay::Head{});  // it waited in the socket
  rig.hear(rig.parent2.node_id(), relay::Head{});
  rig.beat(200ms);
  CHECK(rig.relay.counters().suspicions == 0);
}

TEST_CASE("a standby that is not heard either is not promoted") {
  HealRig rig;
  rig.feed(rig.parent.node_id(), rig.slices(2));
  rig.pass(120ms);
  rig.pass(600ms);
  const std::uint64_t promotions = rig.relay.counters().promotions;
  CHECK(promotions <= 1);  // it was heard just before
  rig.pass(1s);
  CHECK(rig.relay.counters().promotions == promotions);
}

TEST_CASE("a parent that beats but leaves its slices to others is replaced") {
  HealRig rig;
  rig.feed(rig.parent.node_id(), rig.slices(2));
  rig.beat(2100ms);
  for (unsigned i = 0; i < 12 && rig.relay.counters().promotions == 0; ++i) {
    const auto owed = rig.slices(1);
    rig.hear(rig.parent2.node_id(), rig.head(SliceSeq{owed[0].header.seq.value() + 1}));
    for (int wait = 0; wait < 20; ++wait) {
      rig.beat(30ms);
      if (rig.sent<relay::Fetch>(rig.parent2.node_id()).empty()) continue;
      rig.feed(rig.parent2.node_id(), owed);
      break;
    }
    if (i == 2) CHECK(rig.relay.counters().promotions == 0);
  }
  CHECK(rig.relay.counters().promotions == 1);
  rig.confirm(rig.parent2.node_id());
  CHECK(rig.relay.stripes().at(0).parent == rig.parent2.node_id());
}

TEST_CASE("a parent that sends a burst slowly, its playlist first, is not asked elsewhere") {
  HealRig rig;
  rig.feed(rig.parent.node_id(), rig.slices(2));
  rig.beat(3500ms);  // it joined long ago
  const auto burst = rig.slices(12);
  const auto playlist = rig.publisher.playlist(1, at(rig.now));
  rig.hear(rig.parent2.node_id(), rig.head(playlist.back().header.seq.next()));
  rig.feed(rig.parent.node_id(), burst[0]);
  rig.feed(rig.parent.node_id(), playlist);  // urgent: what is below it is still on its way
  for (std::size_t i = 1; i < burst.size(); ++i) {
    rig.beat(60ms);
    rig.feed(rig.parent.node_id(), burst[i]);
  }
  CHECK(rig.sent<relay::Fetch>(rig.parent2.node_id()).empty());
  CHECK(rig.relay.counters().promotions == 0);
  CHECK(rig.relay.counters().chunks_duplicate == 0);
}

TEST_CASE("a path that grows without end is a loop and left") {
  HealRig rig;
  rig.feed(rig.parent.node_id(), rig.slices(2));
  rig.hear(rig.parent.node_id(), rig.head(SliceSeq{2}, 3));
  CHECK(rig.relay.stripes().at(0).hops == 4);
  rig.hear(rig.parent.node_id(), rig.head(SliceSeq{2}, 15));
  CHECK(rig.relay.counters().promotions == 0);
  rig.hear(rig.parent.node_id(), rig.head(SliceSeq{2}, 200));
  CHECK(rig.relay.counters().promotions == 1);
  CHECK(rig.relay.stripes().at(0).hops == 16);  // a lie is not passed on
}

TEST_CASE("a standby that we feed ourselves does not take over: it would have nothing but ours") {
  const bool is_fed = GENERATE(false, true);
  CAPTURE(is_fed);
  HealRig rig;
  if (is_fed) {
    rig.hear(rig.parent2.node_id(), rig.request(rig.parent2.node_id()));
    CHECK(rig.sent<relay::SubscribeOk>(rig.parent2.node_id()).size() == 1);
  }
  rig.down(rig.parent.node_id());
  CHECK(rig.relay.counters().promotions == (is_fed ? 0 : 1));
}

TEST_CASE("who feeds us a stripe is not fed it by us until we have another parent") {
  HealRig rig;
  rig.hear(rig.parent.node_id(), rig.request(rig.parent.node_id()));
  CHECK(rig.sent<relay::SubscribeOk>(rig.parent.node_id()).empty());
  rig.hear(rig.parent.node_id(), relay::GoAway{relay::GoAwayReason::drain, 5s});
  rig.confirm(rig.parent2.node_id());
  rig.beat(100ms);
  CHECK(rig.sent<relay::SubscribeOk>(rig.parent.node_id()).size() == 1);
}

TEST_CASE("a standby's join costs the others nothing: no frame, no order, no wake-up of theirs") {
  const auto frames_with = [](bool joins) {
    Rig rig;
    rig.start_publishing();
    rig.join_child(rig.child.node_id());
    std::vector<SharedBytes> got;
    for (unsigned i = 1; i <= 20; ++i) {
      if (joins && i == 10) {
        rig.up(rig.child2.node_id());
        auto request = rig.request(rig.child2.node_id());
        request.mode = relay::SubscribeMode::standby;
        rig.hear(rig.child2.node_id(), request);
        CHECK(rig.sent<relay::SubscribeOk>(rig.child2.node_id()).size() == 1);
      }
      rig.publish(rig.publisher.segment(i, 30'000, at(rig.now)));
      for (const auto& frame : rig.pull_all(rig.child.node_id())) got.push_back(frame);
      CHECK(rig.pull_all(rig.child2.node_id()).empty());
      rig.pass(20ms);
    }
    CHECK(rig.ready[rig.child2.node_id()] == 0);
    return got;
  };
  CHECK(same_bytes(frames_with(true), frames_with(false)));
}
