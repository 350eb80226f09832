#include "daemon/core/cadence.hpp"

#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::relay;

namespace {

constexpr TimePoint kBegin{Duration{1s}};

TimePoint beat_for(Cadence& cadence, Duration interval, int beats) {
  TimePoint now = kBegin;
  cadence.restart(now);
  for (int i = 0; i < beats; ++i) {
    now += interval;
    cadence.on_beat(now);
  }
  return now;
}

}  // namespace

TEST_CASE("a steady beat makes silence suspicious after two and a half intervals") {
  Cadence cadence;
  const TimePoint last = beat_for(cadence, 40ms, 200);
  CHECK(cadence.suspect_at() - last >= 100ms);
  CHECK(cadence.suspect_at() - last <= 104ms);
  CHECK(cadence.condemn_at() - last == kCondemnMin);  // three of the slowest beats
}

TEST_CASE("a slow parent is given up a beat after it was suspected") {
  Cadence cadence;
  beat_for(cadence, 80ms, 200);
  CHECK(cadence.condemn_at() - cadence.suspect_at() >= 79ms);
  CHECK(cadence.condemn_at() - cadence.suspect_at() <= 81ms);
}

TEST_CASE("however fast a parent beats, 60 ms of silence are no reason") {
  Cadence cadence;
  const TimePoint last = beat_for(cadence, 6ms, 500);
  CHECK(cadence.suspect_at() - last == kSuspicionMin);
}

TEST_CASE("an irregular parent is given more time") {
  Cadence steady;
  Cadence ragged;
  beat_for(steady, 40ms, 100);
  TimePoint now = kBegin;
  ragged.restart(now);
  for (int i = 0; i < 100; ++i) {
    now += i % 2 == 0 ? 20ms : 60ms;
    ragged.on_beat(now);
  }
  CHECK(ragged.suspect_at() - ragged.last_beat() >=
        steady.suspect_at() - steady.last_beat() + 60ms);
}

TEST_CASE("frames that come together are one beat, and the last of them counts as heard") {
  Cadence cadence;
  TimePoint now = kBegin;
  cadence.restart(now);
  for (int i = 0; i < 100; ++i) {
    now += 40ms;
    for (int frame = 0; frame < 5; ++frame) cadence.on_beat(now + frame * 800us);
  }
  CHECK(cadence.interval() >= 39ms);
  CHECK(cadence.last_beat() == now + 3200us);
}

TEST_CASE("a parent that was held up is given more time for seconds") {
  Cadence cadence;
  TimePoint now = beat_for(cadence, 25ms, 400);
  const Duration before = cadence.suspect_at() - now;
  now += 200ms;
  cadence.on_beat(now);
  for (int i = 0; i < 40; ++i) cadence.on_beat(now += 25ms);
  CHECK(cadence.suspect_at() - now >= before + 100ms);
  for (int i = 0; i < 4000; ++i) cadence.on_beat(now += 25ms);
  CHECK(cadence.suspect_at() - now <= before + 10ms);
}

TEST_CASE("a silence that was survived does not teach more than a quarter of a second") {
  Cadence cadence;
  const TimePoint last = beat_for(cadence, 30ms, 200);
  cadence.on_beat(last + 60s);
  CHECK(cadence.interval() <= 60ms);
}

TEST_CASE("a long round trip postpones giving a parent up until what it lost could come again") {
  Cadence cadence;
  const TimePoint last = beat_for(cadence, 40ms, 200);
  const TimePoint suspect_at = cadence.suspect_at();
  cadence.on_answer(240ms);
  CHECK(cadence.condemn_at() - last >= 40ms + 270ms);
  CHECK(cadence.condemn_at() - last <= 40ms + 271ms);
  CHECK(cadence.suspect_at() == suspect_at);
}

TEST_CASE("a round trip that fits into 150 ms changes nothing, a longer one does") {
  Cadence cadence;
  const TimePoint last = beat_for(cadence, 40ms, 200);
  cadence.on_answer(98ms);
  CHECK(cadence.condemn_at() - last > kCondemnMin);
  cadence.on_answer(97ms);
  CHECK(cadence.condemn_at() - last == kCondemnMin);
}

TEST_CASE("the shortest answer is the round trip, others waited for something else") {
  Cadence cadence;
  beat_for(cadence, 40ms, 200);
  cadence.on_answer(240ms);
  const TimePoint expected = cadence.condemn_at();
  cadence.on_answer(400ms);
  CHECK(cadence.condemn_at() == expected);
  cadence.on_answer(200ms);
  CHECK(expected - cadence.condemn_at() == 45ms);
}

TEST_CASE("an answer that took no time is an answer, and the shortest one") {
  Cadence cadence;
  const TimePoint last = beat_for(cadence, 40ms, 200);
  cadence.on_answer(GENERATE(Duration{0}, Duration{-5ms}));
  cadence.on_answer(400ms);
  CHECK(cadence.condemn_at() - last == kCondemnMin);
}

TEST_CASE("of an answer no more than half a second counts") {
  const auto condemned_after = [](Duration took) {
    Cadence cadence;
    const TimePoint last = beat_for(cadence, 40ms, 200);
    cadence.on_answer(took);
    return cadence.condemn_at() - last;
  };
  CHECK(condemned_after(500ms) >= 602ms);
  CHECK(condemned_after(500ms) <= 603ms);
  CHECK(condemned_after(501ms) == condemned_after(500ms));
  CHECK(condemned_after(20s) == condemned_after(500ms));
  CHECK(condemned_after(499ms) < condemned_after(500ms));
}
