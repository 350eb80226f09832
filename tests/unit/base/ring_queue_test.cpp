#include "common/base/ring_queue.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <deque>
#include <memory>

namespace tayga {

TEST_CASE("a ring queue gives back what was put in, first in first out, across its growth") {
  TAYGA_SEEDED_RANDOM(random, 11);
  RingQueue<std::uint64_t> queue;
  std::deque<std::uint64_t> model;
  for (int i = 0; i < 20'000; ++i) {
    // Grows in the first half, shrinks in the second, and wraps around all the time.
    const bool push = random.one_in(5) ? i >= 10'000 : i < 10'000;
    if (push || model.empty()) {
      const std::uint64_t value = random.next();
      queue.push_back(value);
      model.push_back(value);
    } else {
      REQUIRE(queue.pop_front() == model.front());
      model.pop_front();
    }
    REQUIRE(queue.size() == model.size());
    REQUIRE(queue.empty() == model.empty());
    if (model.empty()) continue;
    REQUIRE(queue.front() == model.front());
    const std::size_t at = random.index(model.size());
    REQUIRE(queue[at] == model[at]);
  }
}

TEST_CASE("a popped place of a ring queue holds nothing more") {
  RingQueue<std::shared_ptr<int>> queue;
  const auto value = std::make_shared<int>(7);
  queue.push_back(value);
  CHECK(value.use_count() == 2);
  CHECK(*queue.pop_front() == 7);
  CHECK(value.use_count() == 1);
}

TEST_CASE("a cleared ring queue is as a new one") {
  RingQueue<int> queue;
  for (int i = 0; i < 20; ++i) queue.push_back(i);
  queue.clear();
  CHECK(queue.empty());
  queue.push_back(42);
  CHECK(queue.size() == 1);
  CHECK(queue.pop_front() == 42);
}

}  // namespace tayga
