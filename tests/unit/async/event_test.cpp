#include "common/async/event.hpp"

#include "common/async/clock.hpp"
#include "common/async/task_group.hpp"
#include "tests/support/catch.hpp"

#include <boost/asio/io_context.hpp>

#include <optional>
#include <vector>

namespace tayga::async {
namespace {

/// Runs on its own io_context; results are in the order in which the waiters returned.
struct Waiters {
  asio::io_context io;
  std::optional<Event> event;
  TaskGroup group{io.get_executor(), "waiters", 1000};
  std::vector<WaitResult> results;

  explicit Waiters(Event::Reset reset = Event::Reset::manual) {
    event.emplace(io.get_executor(), reset);
  }
  ~Waiters() {
    group.cancel();
    run();
  }
  void add(std::optional<TimePoint> deadline = std::nullopt) {
    REQUIRE(group.spawn(wait_once(deadline)));
    run();
  }
  void run() {
    io.restart();
    io.poll();
  }
  Task<void> wait_once(std::optional<TimePoint> deadline) {
    const WaitResult result = co_await event->wait(deadline);
    results.push_back(result);
  }
};

using Results = std::vector<WaitResult>;

}  // namespace

TEST_CASE("setting a manual event wakes every waiter and lets later ones pass until it is reset") {
  Waiters waiters;
  for (int i = 0; i < 500; ++i) waiters.add();
  CHECK(waiters.event->waiter_count() == 500);

  waiters.event->set();
  CHECK(waiters.results.empty());  // never inside set()
  waiters.run();
  CHECK(waiters.results == Results(500, WaitResult::signalled));

  waiters.add();
  CHECK(waiters.results.size() == 501);
  waiters.event->reset();
  waiters.add();
  CHECK(waiters.results.size() == 501);
  CHECK(waiters.event->waiter_count() == 1);
}

TEST_CASE("setting an automatic event wakes one waiter, or lets exactly one later one pass") {
  Waiters waiters{Event::Reset::automatic};
  waiters.add();
  waiters.add();
  waiters.event->set();
  waiters.run();
  CHECK(waiters.results == Results{WaitResult::signalled});

  waiters.event->set();
  waiters.run();
  waiters.event->set();
  CHECK(waiters.event->is_set());
  waiters.add();
  CHECK(waiters.results == Results(3, WaitResult::signalled));
  waiters.add();
  CHECK(waiters.results.size() == 3);
}

TEST_CASE("a pulse wakes those who wait now and leaves the event unset") {
  Waiters waiters;
  waiters.add();
  waiters.add();
  waiters.event->pulse();
  waiters.add();
  CHECK(waiters.results == Results(2, WaitResult::signalled));
  CHECK_FALSE(waiters.event->is_set());
  CHECK(waiters.event->waiter_count() == 1);
}

TEST_CASE("a wait returns at its deadline and leaves the other waiters waiting") {
  Waiters waiters;
  waiters.add(Clock::now() - 1ms);
  waiters.add();
  waiters.run();
  CHECK(waiters.results == Results{WaitResult::deadline});
  CHECK(waiters.event->waiter_count() == 1);
}

TEST_CASE("cancelled waiters return and leave nothing behind") {
  Waiters waiters;
  waiters.add();
  waiters.add();
  waiters.group.cancel();
  waiters.run();
  CHECK(waiters.results == Results(2, WaitResult::cancelled));
  CHECK(waiters.event->waiter_count() == 0);
  waiters.event->set();  // reaches nobody
}

TEST_CASE("an event that is set and cancelled in one breath counts as set") {
  Waiters waiters;
  waiters.add();
  waiters.event->set();
  waiters.group.cancel();
  waiters.run();
  CHECK(waiters.results == Results{WaitResult::signalled});
}

TEST_CASE("destroying an event wakes its waiters as cancelled") {
  Waiters waiters;
  waiters.add();
  waiters.add(Clock::now() + 1h);
  waiters.event.reset();
  waiters.run();
  CHECK(waiters.results == Results(2, WaitResult::cancelled));
}

TEST_CASE("an event outlives the executor on which unfinished tasks wait for it") {
  std::optional<Event> event;
  {
    asio::io_context io;
    event.emplace(io.get_executor());
    TaskGroup group{io.get_executor(), "doomed", 1};
    const auto wait_forever = [](Event& e) -> Task<void> { (void)co_await e.wait(); };
    REQUIRE(group.spawn(wait_forever(*event)));
    io.poll();
    REQUIRE(event->waiter_count() == 1);
  }
  CHECK(event->waiter_count() == 0);
}

}  // namespace tayga::async
