#include "common/transport/quic/timer_heap.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <algorithm>
#include <optional>
#include <vector>

namespace tayga::transport::quic {
namespace {

struct Timer {
  std::size_t timer_place = SIZE_MAX;
};

constexpr TimePoint at(int seconds) {
  return TimePoint{std::chrono::seconds{seconds}};
}

}  // namespace

TEST_CASE("the earliest timer is in front, whatever was set, moved and taken out before") {
  TAYGA_SEEDED_RANDOM(random, 3);
  std::vector<Timer> timers(50);
  std::vector<std::optional<TimePoint>> model(timers.size());
  TimerHeap<Timer> heap;
  for (int i = 0; i < 20'000; ++i) {
    const std::size_t who = random.index(timers.size());
    switch (random.index(4)) {
      case 0:
        heap.remove(timers[who]);
        model[who].reset();
        break;
      case 1:
        heap.set(timers[who], TimePoint::max());
        model[who].reset();
        break;
      default: {
        const TimePoint when = at(static_cast<int>(random.index(1000)));
        heap.set(timers[who], when);
        model[who] = when;
      }
    }
    TimePoint earliest = TimePoint::max();
    for (const auto& when : model) earliest = std::min(earliest, when.value_or(TimePoint::max()));
    REQUIRE(heap.next() == earliest);
    REQUIRE(heap.empty() == (earliest == TimePoint::max()));
    if (heap.empty()) continue;
    const auto front = static_cast<std::size_t>(&heap.front() - timers.data());
    REQUIRE(model[front] == earliest);
  }
}

TEST_CASE("a timer that is not set can be taken out") {
  TimerHeap<Timer> heap;
  Timer timer;
  heap.remove(timer);
  heap.set(timer, TimePoint::max());
  CHECK(heap.empty());
  CHECK(heap.next() == TimePoint::max());
}

}  // namespace tayga::transport::quic
