#include "daemon/core/repair_plan.hpp"
#include "tests/sim/relay_world.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <optional>

using namespace tayga;
using namespace tayga::relay;
using sim::kStart;

namespace {

/// One slice that nobody has overtaken and that stays away; its time is over after two seconds.
struct Coming {
  Coming() {
    slice.seq = SliceSeq{5};
    slice.exists = true;
    slice.deadline = kStart + 2s;
  }
  MissingSlice slice;
  RepairPlan::Case how{2s, 60ms, false, true};
  RepairPlan plan;

  /// When it was asked for first, looked at every millisecond; its parent goes on until then.
  std::optional<Duration> asked_at(Duration progress_until = 10s) {
    for (TimePoint now = kStart; now < kStart + 2s; now += 1ms) {
      slice.progress = std::min(now, kStart + progress_until);
      bool was_asked = false;
      plan.plan({&slice, 1}, how, now,
                [&](const MissingSlice&, const RepairPlan::Ask&) { return was_asked = true; });
      if (was_asked) return now - kStart;
    }
    return std::nullopt;
  }
};

}  // namespace

TEST_CASE("a slice that will be in time is left to its parent while that goes on") {
  Coming early;
  early.slice.coming = kStart + 500ms;
  CHECK(early.asked_at() == 1400ms);  // three tenths of the window are for the others
  Coming just;
  just.slice.coming = kStart + 1400ms;
  CHECK(just.asked_at() == 1500ms);
  Coming late;
  late.slice.coming = kStart + 1401ms;
  CHECK(late.asked_at() == 60ms);
  Coming unknown;
  CHECK(unknown.asked_at() == 60ms);
}

TEST_CASE("a slice that was to be in time is asked for when its parent pauses") {
  Coming paused;
  paused.slice.coming = kStart + 500ms;
  CHECK(paused.asked_at(100ms) == 434ms);  // a sixth of the window
  Coming patient;
  patient.slice.coming = kStart + 500ms;
  patient.how.patience = 400ms;
  CHECK(patient.asked_at(100ms) == 500ms);
}

TEST_CASE(
    "while duplicates are too many a slice is left to its parent until shortly after it was "
    "to come") {
  Coming c;
  c.how.may_speculate = false;
  SECTION("it is to come early") {
    c.slice.coming = kStart + 500ms;
    CHECK(c.asked_at() == 1400ms);
  }
  SECTION("it is to come late") {
    c.slice.coming = kStart + 1700ms;
    CHECK(c.asked_at() == 1800ms);
  }
  SECTION("it is to come with a tenth of the window left") {
    c.slice.coming = kStart + 1800ms;
    CHECK(c.asked_at() == 1900ms);
  }
  SECTION("it is to come too late") {
    c.slice.coming = kStart + 1801ms;
    CHECK(c.asked_at() == 1s);
  }
  SECTION("its parent pauses") {
    c.slice.coming = kStart + 1700ms;
    CHECK(c.asked_at(1100ms) == 1434ms);
  }
}

TEST_CASE("what was overtaken, or is said to be dropped, is asked for whatever is foretold") {
  Coming passed;
  passed.slice.coming = kStart + 500ms;
  passed.slice.passed = true;
  passed.how.may_speculate = GENERATE(true, false);
  CHECK(passed.asked_at() == 60ms);
  Coming dropped;
  dropped.slice.coming = kStart + 500ms;
  dropped.plan.on_dropped(SliceSeq{5}, SliceSeq{5});
  CHECK(dropped.asked_at() == 0ms);
}
