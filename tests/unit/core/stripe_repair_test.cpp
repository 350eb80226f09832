#include "daemon/core/stripe_repair.hpp"

#include "tests/sim/relay_world.hpp"
#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::relay;
using sim::kStart;

TEST_CASE("however much was given up, what is missing now is found") {
  StripeRepair repair{StripeIndex{0}, 1};
  const SliceWindow window;  // nothing ever became whole
  TimePoint now = kStart;
  for (std::uint64_t seq = 0; seq < 20'000; ++seq) {
    repair.on_header(SliceSeq{seq}, media::ObjectKind::segment, now);
    repair.on_turn(SliceSeq{seq}, media::Priority::rest);
    now += 40ms;
    std::vector<StripeRepair::Hole> holes;
    repair.collect(window, now, holes);
    REQUIRE(holes.size() <= 52);
    if (now - kStart >= kJoinSettleTime) {
      REQUIRE_FALSE(holes.empty());
      REQUIRE(holes.back().seq == SliceSeq{seq});
    }
    if (seq >= 50) repair.give_up(SliceSeq{seq - 50});  // its window is over
  }
  CHECK(repair.first_missing(window) == SliceSeq{19'950});
}

TEST_CASE("what is urgent overtakes and proves no loss; what is not urgent does") {
  StripeRepair repair{StripeIndex{0}, 1};
  const SliceWindow window;
  repair.on_header(SliceSeq{1}, media::ObjectKind::segment, kStart);
  repair.on_turn(SliceSeq{1}, media::Priority::rest);
  repair.on_header(SliceSeq{5}, media::ObjectKind::playlist, kStart);
  repair.on_turn(SliceSeq{5}, media::Priority::playlist);
  std::vector<StripeRepair::Hole> holes;
  repair.collect(window, kStart + kJoinSettleTime, holes);
  REQUIRE(holes.size() == 5);  // nothing is whole here
  for (const StripeRepair::Hole& hole : holes) {
    CHECK(hole.exists == (hole.seq < SliceSeq{5}));
    CHECK_FALSE(hole.passed);
  }
  repair.on_header(SliceSeq{4}, media::ObjectKind::segment, kStart);
  repair.on_turn(SliceSeq{4}, media::Priority::rest);
  holes.clear();
  repair.collect(window, kStart + kJoinSettleTime, holes);
  for (const StripeRepair::Hole& hole : holes) CHECK(hole.passed == (hole.seq < SliceSeq{4}));
}

TEST_CASE("a slice that was fetched says nothing of those below it, one in its turn does") {
  StripeRepair repair{StripeIndex{0}, 1};
  const SliceWindow window;
  const auto passed = [&] {
    std::vector<StripeRepair::Hole> holes;
    repair.collect(window, kStart + kJoinSettleTime, holes);
    std::vector<std::uint64_t> found;
    for (const StripeRepair::Hole& hole : holes) {
      CHECK(hole.exists == (hole.seq < SliceSeq{5}));
      if (hole.passed) found.push_back(hole.seq.value());
    }
    CHECK(holes.size() == 5);
    return found;
  };
  repair.on_header(SliceSeq{1}, media::ObjectKind::segment, kStart);
  repair.on_header(SliceSeq{5}, media::ObjectKind::segment, kStart);
  CHECK(passed().empty());  // nothing came in turn so far
  repair.on_turn(SliceSeq{2}, media::Priority::rest);
  CHECK(passed() == std::vector<std::uint64_t>{1});
  repair.on_turn(SliceSeq{5}, media::Priority::rest);  // its turn comes, and it is here already
  CHECK(passed() == std::vector<std::uint64_t>{1, 2, 3, 4});
}

TEST_CASE("what came in its turn is forgotten with the publisher's epoch") {
  StripeRepair repair{StripeIndex{0}, 1};
  const SliceWindow window;
  repair.on_header(SliceSeq{9}, media::ObjectKind::segment, kStart);
  repair.on_turn(SliceSeq{9}, media::Priority::rest);
  repair.reset();
  repair.on_header(SliceSeq{1}, media::ObjectKind::segment, kStart);
  repair.on_header(SliceSeq{3}, media::ObjectKind::segment, kStart);
  std::vector<StripeRepair::Hole> holes;
  repair.collect(window, kStart + kJoinSettleTime, holes);
  REQUIRE(holes.size() == 3);
  for (const StripeRepair::Hole& hole : holes) CHECK_FALSE(hole.passed);
}
