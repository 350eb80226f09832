#include "daemon/core/repair_plan.hpp"

#include "tests/sim/relay_world.hpp"
#include "tests/support/catch.hpp"

#include <vector>

using namespace tayga;
using namespace tayga::relay;
using sim::kStart;

namespace {

struct Asked {
  RepairStage stage;
  Duration at;  ///< since kStart
  bool hedge = false;
  friend bool operator==(const Asked&, const Asked&) = default;
};

/// One slice that stays missing for `duration`, looked at every millisecond.
struct Case {
  Case() {
    slice.seq = SliceSeq{5};
    slice.exists = slice.passed = true;
    slice.deadline = kStart + 2s;
  }
  MissingSlice slice;
  RepairPlan::Case how{2s, 60ms, false, true};
  std::set<RepairStage> absent;
  RepairPlan plan;

  std::vector<Asked> run(Duration duration) {
    std::vector<Asked> asked;
    for (TimePoint now = kStart; now < kStart + duration; now += 1ms) {
      plan.plan({&slice, 1}, how, now, [&](const MissingSlice&, const RepairPlan::Ask& ask) {
        if (absent.contains(ask.stage)) return false;
        asked.push_back({ask.stage, now - kStart, ask.hedge});
        return true;
      });
    }
    return asked;
  }
};

}  // namespace

TEST_CASE(
    "a hole is asked of the standby, other parents, the gateway, the origin, in time for each") {
  Case c;
  CHECK(c.run(1900ms) == std::vector<Asked>{{RepairStage::standby, 60ms},
                                            {RepairStage::parents, 260ms},
                                            {RepairStage::gateway, 1100ms},
                                            {RepairStage::origin, 1400ms}});
}

TEST_CASE("after the last source the round begins again") {
  Case c;
  const auto asked = c.run(3s);
  REQUIRE(asked.size() >= 6);
  CHECK(asked[4] == Asked{RepairStage::standby, 1901ms});
  for (const Asked& late : asked) {
    CHECK((late.at < 2s || late.stage < RepairStage::gateway));
  }
}

TEST_CASE("a source that is not there is skipped at once, but the gateway waits for its time") {
  Case c;
  c.absent = {RepairStage::standby};
  CHECK(c.run(500ms) == std::vector<Asked>{{RepairStage::parents, 60ms}});
  Case alone;
  alone.absent = {RepairStage::standby, RepairStage::parents};
  CHECK(alone.run(1200ms) == std::vector<Asked>{{RepairStage::gateway, 1100ms}});
}

TEST_CASE("with little time left all sources are asked in short order, each once") {
  Case c;
  c.slice.deadline = kStart + 200ms;
  const auto asked = c.run(150ms);
  REQUIRE(asked.size() == 4);
  CHECK(asked[0] == Asked{RepairStage::standby, 60ms});
  CHECK(asked[3].at <= 65ms);
}

TEST_CASE("what the parent says that it dropped is asked for at once") {
  Case c;
  c.plan.on_dropped(SliceSeq{5}, SliceSeq{5});
  CHECK(c.run(100ms) == std::vector<Asked>{{RepairStage::standby, 0ms}});
}

TEST_CASE("what may still be on its way is waited for, and asked for in one round only") {
  Case c;
  c.slice.exists = c.slice.passed = false;
  c.slice.expected = kStart + 400ms;
  const auto asked = c.run(4s);
  REQUIRE(asked.size() == 4);
  CHECK(asked[0] == Asked{RepairStage::standby, 400ms});
}

TEST_CASE("while duplicates are too many, only what is proven to be missing is asked for early") {
  Case c;
  c.how.may_speculate = false;
  CHECK(c.run(100ms).size() == 1);
  Case unproven;
  unproven.how.may_speculate = false;
  unproven.slice.exists = unproven.slice.passed = false;
  CHECK(unproven.run(990ms).empty());
  CHECK(unproven.run(1100ms).at(0).stage == RepairStage::standby);
}

TEST_CASE("a slice that arrives slowly is not asked for again") {
  Case c;
  for (TimePoint now = kStart; now < kStart + 500ms; now += 10ms) {
    c.slice.touched = now;
    c.plan.plan({&c.slice, 1}, c.how, now, [](const MissingSlice&, const RepairPlan::Ask&) {
      FAIL("asked");
      return true;
    });
  }
}

TEST_CASE("what is behind others on the same link is left to it for half of its time") {
  Case c;
  c.slice.passed = false;
  for (TimePoint now = kStart; now < kStart + 2s; now += 10ms) {
    c.slice.flowing = now;  // the parent goes on sending
    c.plan.plan({&c.slice, 1}, c.how, now, [&](const MissingSlice&, const RepairPlan::Ask&) {
      CHECK(now >= kStart + 1s);
      return true;
    });
  }
  CHECK(c.plan.was_asked(SliceSeq{5}));

  Case stopped;
  stopped.slice.passed = false;
  stopped.slice.flowing = kStart + 100ms;
  CHECK(stopped.run(500ms) == std::vector<Asked>{{RepairStage::standby, 434ms}});
}

TEST_CASE("a starving parent is given time to repair for its children") {
  Case c;
  c.slice.held = true;
  const auto asked = c.run(700ms);
  REQUIRE_FALSE(asked.empty());
  CHECK(asked[0] == Asked{RepairStage::standby, 500ms});
}

TEST_CASE("the last slices of an object are asked of a second source when time runs out") {
  Case c;
  c.how.may_hedge = true;
  c.slice.closes_object = true;
  c.slice.deadline = kStart + 1030ms;
  const auto asked = c.run(200ms);
  REQUIRE(asked.size() >= 2);
  CHECK(asked[0] == Asked{RepairStage::standby, 60ms, false});
  CHECK(asked[1] == Asked{RepairStage::parents, 61ms, true});
}

TEST_CASE("the origin is asked when it is this viewer's turn, not half a second later") {
  Case c;
  c.slice.origin_turn = 150ms;
  CHECK(c.run(1700ms).back() == Asked{RepairStage::origin, 1550ms});
}

TEST_CASE("what only a head told of makes no timer run in circles") {
  Case c;
  c.slice.exists = c.slice.passed = false;
  c.slice.expected = kStart;
  CHECK(c.run(3s).size() == 4);
  CHECK_FALSE(c.plan.next_timeout());
}

TEST_CASE("what came is forgotten") {
  Case c;
  c.run(100ms);
  CHECK(c.plan.was_asked(SliceSeq{5}));
  c.plan.plan({}, c.how, kStart + 100ms, {});
  CHECK_FALSE(c.plan.was_asked(SliceSeq{5}));
  CHECK_FALSE(c.plan.next_timeout());
}
