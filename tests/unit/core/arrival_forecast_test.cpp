#include "daemon/core/arrival_forecast.hpp"

#include "tests/support/catch.hpp"

#include <cstdlib>

using namespace tayga;
using namespace tayga::relay;

namespace {

constexpr TimePoint kBegin{Duration{10s}};
constexpr WallTime kPublished{Duration{1'700'000'000s}};

/// A parent whose slices come every 50 ms and were published `step` apart.
struct Parent {
  ArrivalForecast forecast;
  TimePoint now = kBegin;
  WallTime published = kPublished;

  Parent() { forecast.on_media(published, now); }
  void send(int slices, Duration step) {
    for (int i = 0; i < slices; ++i) {
      now += 50ms;
      published += step;
      forecast.on_media(published, now);
    }
  }
  /// How long from its newest slice on, for what was published `ahead` of that.
  [[nodiscard]] Duration wait_for(Duration ahead) const {
    return forecast.expect(published + ahead).value() - now;
  }
};

bool is_near(Duration a, Duration b) {
  return std::abs((a - b).count()) <= 1'000;
}

}  // namespace

TEST_CASE("before anything came from a parent nothing is foretold") {
  ArrivalForecast forecast;
  CHECK_FALSE(forecast.expect(kPublished));
  forecast.on_media(kPublished, kBegin);
  CHECK(forecast.expect(kPublished) == kBegin);
}

TEST_CASE("a live parent sends what is published a second later a second later") {
  Parent parent;
  parent.send(40, 50ms);
  CHECK(parent.wait_for(1s) == 1s);
  CHECK(parent.wait_for(50ms) == 50ms);
}

TEST_CASE("a parent that catches up twice as fast sends two seconds in one") {
  Parent parent;
  parent.send(60, 100ms);
  CHECK(is_near(parent.wait_for(2s), 1s));
}

TEST_CASE("a parent whose line is too thin takes longer than live") {
  Parent parent;
  parent.send(60, 40ms);
  CHECK(is_near(parent.wait_for(800ms), 1s));
}

TEST_CASE("a parent that was caught up is expected at live speed again") {
  Parent parent;
  parent.send(30, 150ms);
  CHECK(parent.wait_for(1s) < 400ms);
  parent.send(60, 50ms);
  CHECK(is_near(parent.wait_for(1s), 1s));
}

TEST_CASE("the speed is learned from spans of 150 ms, half of what was known counts on") {
  ArrivalForecast forecast;
  forecast.on_media(kPublished, kBegin);
  SECTION("a shorter span says nothing") {
    const TimePoint now = kBegin + ArrivalForecast::kSampleSpan - 1us;
    forecast.on_media(kPublished + 300ms, now);
    CHECK(forecast.expect(kPublished + 300ms + 1s) == now + 1s);
  }
  SECTION("a whole one does") {
    const TimePoint now = kBegin + ArrivalForecast::kSampleSpan;
    forecast.on_media(kPublished + 300ms, now);
    CHECK(forecast.expect(kPublished + 300ms + 1500ms) == now + 1s);
  }
}

TEST_CASE("no parent is believed to go faster than four times live") {
  Parent parent;
  parent.send(3, 10s);
  CHECK(parent.wait_for(4s) == 1s);
  parent.send(30, 190ms);
  CHECK(parent.wait_for(4s) > 1s);
}

TEST_CASE("no parent is believed to go slower than half of live") {
  Parent parent;
  parent.send(60, 1ms);
  CHECK(parent.wait_for(1s) == 2s);
}

TEST_CASE("what is older than the newest slice neither sets a parent back nor slows it down") {
  Parent steady;
  Parent mixed;
  for (int i = 0; i < 40; ++i) {
    steady.send(1, 50ms);
    mixed.send(1, 50ms);
    mixed.forecast.on_media(mixed.published - 1us, mixed.now + 30ms);
    mixed.forecast.on_media(mixed.published - 5s, mixed.now + 40ms);
  }
  CHECK(mixed.wait_for(1s) == steady.wait_for(1s));
  CHECK(mixed.wait_for(1s) == 1s);
}

TEST_CASE("as long as the same slice comes, the next one is as far away as before") {
  Parent parent;
  parent.send(20, 50ms);
  const TimePoint later = parent.now + 40ms;
  parent.forecast.on_media(parent.published, later);
  CHECK(parent.forecast.expect(parent.published + 1s) == later + 1s);
}
