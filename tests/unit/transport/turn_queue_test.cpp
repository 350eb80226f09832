#include "common/transport/turn_queue.hpp"

#include "common/async/clock.hpp"
#include "tests/support/catch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

namespace tayga::transport {
namespace {

using Log = std::vector<int>;

struct Taker final : TurnTaker {
  Taker(int name, Log& out) : number{name}, log{out} {}
  void on_turn(Turn) override {
    log.push_back(number);
    if (then) then();
  }
  int number;
  Log& log;
  std::function<void()> then;
};

std::vector<std::shared_ptr<Taker>> make_takers(int count, Log& log) {
  std::vector<std::shared_ptr<Taker>> takers;
  for (int i = 0; i < count; ++i) takers.push_back(std::make_shared<Taker>(i, log));
  return takers;
}

void burn(Duration time) {
  for (const TimePoint end = async::Clock::now() + time; async::Clock::now() < end;) {
  }
}

struct Fixture {
  explicit Fixture(FlushDelay delay = {})
      : queue{std::make_shared<TurnQueue>(io.get_executor(), delay)} {}
  void schedule_all(const std::vector<std::shared_ptr<Taker>>& takers) {
    for (const auto& taker : takers) queue->schedule(taker);
  }
  boost::asio::io_context io;
  std::shared_ptr<TurnQueue> queue;
};

}  // namespace

TEST_CASE("each who asked has one turn a round, and every round starts with another") {
  Log log;
  Fixture f;
  const auto takers = make_takers(3, log);
  for (const Log& expected : {Log{0, 1, 2}, Log{1, 2, 0}, Log{2, 0, 1}, Log{0, 1, 2}}) {
    log.clear();
    f.schedule_all(takers);
    CHECK(log.empty());  // never inside the call
    f.io.restart();
    f.io.poll();
    CHECK(log == expected);
  }
}

TEST_CASE("a burst of slow turns lets the executor's other work in between, and keeps its order") {
  Log log;
  Fixture f;
  const auto takers = make_takers(40, log);
  for (const auto& taker : takers) taker->then = [] { burn(200us); };
  f.schedule_all(takers);
  std::vector<std::size_t> turns_before;  // the other work's view: turns served between two of its
  std::function<void()> other = [&] {
    turns_before.push_back(log.size());
    if (log.size() < takers.size()) boost::asio::post(f.io, other);
  };
  boost::asio::post(f.io, other);
  f.io.run();

  Log all(40);
  std::iota(all.begin(), all.end(), 0);
  CHECK(log == all);
  for (std::size_t i = 1; i < turns_before.size(); ++i) {
    CHECK(turns_before[i] - turns_before[i - 1] <= 6);  // 1 ms of 200 us each, and the last one
  }
  CHECK(turns_before.size() >= 7);
}

TEST_CASE("who asks again during a round comes after all who still wait") {
  Log log;
  Fixture f;
  const auto takers = make_takers(12, log);
  for (const auto& taker : takers) taker->then = [] { burn(300us); };
  takers[0]->then = [&] {
    burn(300us);
    if (std::count(log.begin(), log.end(), 0) < 3) f.queue->schedule(takers[0]);
  };
  f.schedule_all(takers);
  f.io.run();
  CHECK(log == Log{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 0});
}

TEST_CASE("a taker that is gone is passed over, and one may be destroyed in another's turn") {
  Log log;
  Fixture f;
  auto takers = make_takers(4, log);
  f.schedule_all(takers);
  for (const auto& taker : takers) f.queue->schedule_delayed(taker);
  takers[0]->then = [&] { takers[2].reset(); };
  takers[1].reset();
  f.io.run();
  std::sort(log.begin(), log.end());  // of the two kinds of turns neither goes first
  CHECK(log == Log{0, 0, 3, 3});
}

TEST_CASE("the delayed have their turn in order and not before the delay") {
  Log log;
  Fixture f{FlushDelay::fixed(20ms)};
  CHECK(f.queue->delay() == 20ms);
  const auto takers = make_takers(3, log);
  const TimePoint began = async::Clock::now();
  for (const auto& taker : takers) f.queue->schedule_delayed(taker);
  f.io.run();
  CHECK(log == Log{0, 1, 2});
  CHECK(async::Clock::now() - began >= 20ms);
}

TEST_CASE("a burst of delayed turns lets the executor's other work in between") {
  Log log;
  Fixture f{FlushDelay::fixed(5ms)};
  const auto takers = make_takers(20, log);
  for (const auto& taker : takers) taker->then = [] { burn(300us); };
  for (const auto& taker : takers) f.queue->schedule_delayed(taker);
  std::size_t longest = 0;
  std::size_t seen = 0;
  std::function<void()> other = [&] {
    longest = std::max(longest, log.size() - seen);
    seen = log.size();
    if (log.size() < takers.size()) boost::asio::post(f.io, other);
  };
  boost::asio::post(f.io, other);
  f.io.run();
  CHECK(log.size() == 20);
  CHECK(longest <= 4);
}

TEST_CASE("the delay follows the load of the thread: none when idle, more when it works hard") {
  Log log;
  Fixture f;
  const auto taker = make_takers(1, log).front();
  CHECK(f.queue->delay() == 0ms);
  taker->then = [&] {
    burn(2ms);
    if (f.queue->delay() <= 1ms && log.size() < 5000) f.queue->schedule(taker);
  };
  f.queue->schedule(taker);
  f.io.run();
  CHECK(f.queue->delay() > 1ms);
}

}  // namespace tayga::transport
