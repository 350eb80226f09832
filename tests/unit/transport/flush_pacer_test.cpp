#include "common/transport/flush_pacer.hpp"

#include "tests/support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

namespace tayga::transport {
namespace {

constexpr FlushDelay kRange{0ms, 16ms};

/// A loop whose load follows from the delay that the pacer gives it.
struct Loop {
  explicit Loop(FlushDelay range, double others = 0) : taken_by_others{others}, pacer{range} {
    pacer.on_sample(now, time);
  }

  /// The delays that it was given in `period`, one a sample.
  std::vector<Duration> run(Duration period, const std::function<double(Duration)>& load_at) {
    std::vector<Duration> delays;
    for (const TimePoint end = now + period; now < end;) {
      const Duration step = FlushPacer::kSamplePeriod;
      const double demand = load_at(pacer.delay());
      const double share = std::min(demand, 1.0 - taken_by_others);
      now += step;
      time.used += part_of(step, share);
      // Who has work all the time waits all the time that others have; who has little, little.
      time.waited += part_of(step, std::min(demand, 1.0) * taken_by_others);
      pacer.on_sample(now, time);
      delays.push_back(pacer.delay());
    }
    return delays;
  }

  static Duration part_of(Duration whole, double share) {
    return Duration{std::llround(share * static_cast<double>(whole.count()))};
  }

  TimePoint now{1h};
  ThreadTime time{5s, 3s};
  double taken_by_others;
  FlushPacer pacer;
};

std::function<double(Duration)> constant(double load) {
  return [load](Duration) { return load; };
}

Duration spread(const std::vector<Duration>& delays) {
  const auto [low, high] = std::minmax_element(delays.begin(), delays.end());
  return *high - *low;
}

/// Children of 8 Mbit/s with a chunk of 4 KiB every 4 ms: each write costs `per_write`, and waiting
/// joins whole chunks only, four at most.
std::function<double(Duration)> chunked(std::size_t children, Duration per_write) {
  return [children, per_write](Duration delay) {
    const auto joined = std::min<Duration::rep>(1 + delay / Duration{4ms}, 4);
    const double writes_per_s = static_cast<double>(children) * 250.0 / static_cast<double>(joined);
    return 0.05 + writes_per_s * std::chrono::duration<double>(per_write).count();
  };
}

}  // namespace

TEST_CASE("a loop with time to spare does not delay anything") {
  Loop loop{kRange};
  for (const Duration delay : loop.run(10s, constant(0.54))) CHECK(delay == 0ms);
  CHECK(loop.pacer.load() == Approx(0.54).margin(0.01));
}

TEST_CASE("a loop that is full delays by the maximum within a second, and recovers in two") {
  Loop loop{kRange};
  (void)loop.run(10s, constant(0.05));
  CHECK(loop.run(1s, constant(1.0)).back() == 16ms);
  CHECK(loop.run(2s, constant(0.05)).back() == 0ms);
}

TEST_CASE("the delay grows with the load between the marks") {
  Loop loop{kRange};
  Duration last{0};
  for (const double load : {0.57, 0.60, 0.63, 0.66, 0.69}) {
    const Duration delay = loop.run(5s, constant(load)).back();
    CHECK(delay > last);
    last = delay;
  }
  CHECK(last < 16ms);
  CHECK(loop.run(5s, constant(0.70)).back() >= 15'900us);
}

TEST_CASE("a delay that lowers the load settles and stays") {
  SECTION("where every microsecond of delay saves a little") {
    for (const double cost : {0.5, 1.0, 2.0, 4.0, 8.0, 16.0}) {
      Loop loop{kRange};
      const auto load_at = [cost](Duration delay) {
        return 0.1 + cost / std::max(1.0, static_cast<double>(delay.count()) / 1000.0);
      };
      (void)loop.run(5s, load_at);
      CHECK(spread(loop.run(5s, load_at)) <= 100us);
    }
  }
  SECTION("where it saves only when one more chunk is caught: it moves by less than 3 ms") {
    for (const std::size_t children : {20U, 50U, 100U, 200U, 300U, 400U, 800U, 1600U}) {
      Loop loop{kRange};
      const auto load_at = chunked(children, 16us);
      (void)loop.run(5s, load_at);
      CAPTURE(children);
      CHECK(spread(loop.run(5s, load_at)) <= 3ms);
    }
  }
}

TEST_CASE("a full core joins as many chunks as fit, so that it carries more") {
  Loop loop{kRange};
  const Duration delay = loop.run(5s, chunked(400, 16us)).back();  // 1.6 cores without delay
  CHECK(delay >= 8ms);
  CHECK(chunked(400, 16us)(delay) < 0.7);
}

TEST_CASE("a thread that others leave a third of the processor is full when it uses all of that") {
  Loop starved{kRange, 0.66};
  CHECK(starved.run(1s, constant(1.0)).back() == 16ms);
  Loop quiet{kRange, 0.66};
  CHECK(quiet.run(1s, constant(0.1)).back() == 0ms);
}

TEST_CASE("a fixed delay ignores the load") {
  Loop loop{FlushDelay::fixed(5ms)};
  for (const double load : {0.0, 0.5, 1.0}) {
    for (const Duration delay : loop.run(2s, constant(load))) CHECK(delay == 5ms);
  }
}

TEST_CASE("samples that cannot follow each other begin anew and change nothing") {
  Loop loop{kRange};
  (void)loop.run(5s, constant(0.5));
  const Duration before = loop.pacer.delay();
  loop.pacer.on_sample(loop.now + 25ms, {1s, 1s});  // another thread's time
  loop.pacer.on_sample(loop.now + 25ms, {2s, 1s});  // no time has passed
  loop.pacer.on_sample(loop.now + 50ms, {2s, 0s});
  loop.pacer.on_sample(loop.now - 1s, {3s, 1s});
  CHECK(loop.pacer.delay() == before);
}

TEST_CASE("one sample a period is enough, the first is wanted at once") {
  FlushPacer pacer{kRange};
  CHECK(pacer.wants_sample(TimePoint{1h}));
  pacer.on_sample(TimePoint{1h}, {1s, 0s});
  CHECK_FALSE(pacer.wants_sample(TimePoint{1h + 24ms}));
  CHECK(pacer.wants_sample(TimePoint{1h + 25ms}));
}

}  // namespace tayga::transport
