#include "common/async/task_group.hpp"

#include "common/async/event.hpp"
#include "common/async/timeout.hpp"
#include "tests/support/catch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace tayga::async {
namespace {

using Log = std::vector<std::string>;

Task<void> sleep_then_log(Duration delay, Log& log, std::string name) {
  const error_code ec = co_await sleep_for(delay);
  log.push_back(name + (ec ? " cancelled" : " done"));
}

Task<void> join_then_log(TaskGroup& group, Log& log) {
  co_await group.join();
  log.push_back("joined");
}

Task<void> fail_with(std::string what) {
  co_await sleep_for(0ms);
  throw std::runtime_error{what};
}

/// Runs an inner group and, when cancelled, ends it in order before it ends itself.
Task<void> run_parent(Log& log) {
  TaskGroup children{co_await asio::this_coro::executor, "children", 4};
  (void)children.spawn(sleep_then_log(1h, log, "child"));
  (void)co_await sleep_for(1h);
  children.cancel();
  co_await children.join();
  log.push_back("parent ended");
}

}  // namespace

TEST_CASE("cancel ends every task and join returns after the last of them") {
  asio::io_context io;
  Log log;
  TaskGroup group{io.get_executor(), "tasks", 3};
  TaskGroup watcher{io.get_executor(), "watcher", 1};
  REQUIRE(group.spawn(sleep_then_log(1h, log, "a")));
  REQUIRE(group.spawn(sleep_then_log(1h, log, "b")));
  REQUIRE(watcher.spawn(join_then_log(group, log)));
  io.poll();
  CHECK(log.empty());
  CHECK(group.size() == 2);

  group.cancel();
  io.run();
  CHECK(log == Log{"a cancelled", "b cancelled", "joined"});
  CHECK(group.size() == 0);
}

TEST_CASE("join returns by itself when the tasks end by themselves") {
  asio::io_context io;
  Log log;
  TaskGroup group{io.get_executor(), "tasks", 1};
  TaskGroup watcher{io.get_executor(), "watcher", 1};
  REQUIRE(group.spawn(sleep_then_log(1ms, log, "a")));
  REQUIRE(watcher.spawn(join_then_log(group, log)));
  io.run();
  CHECK(log == Log{"a done", "joined"});
}

TEST_CASE("a group takes no more tasks than its bound, and a refused task never starts") {
  asio::io_context io;
  Log log;
  TaskGroup group{io.get_executor(), "tasks", 2};
  CHECK(group.spawn(sleep_then_log(1ms, log, "a")));
  CHECK(group.spawn(sleep_then_log(1ms, log, "b")));
  CHECK_FALSE(group.spawn(sleep_then_log(1ms, log, "c")));
  io.run();
  CHECK(log.size() == 2);

  io.restart();
  CHECK(group.spawn(sleep_then_log(1ms, log, "d")));
  group.cancel();
  CHECK_FALSE(group.spawn(sleep_then_log(1ms, log, "e")));
  io.run();
  CHECK(log.back() == "d cancelled");
}

TEST_CASE("cancellation of an outer task lets it end its inner group first") {
  asio::io_context io;
  Log log;
  TaskGroup group{io.get_executor(), "outer", 1};
  REQUIRE(group.spawn(run_parent(log)));
  io.poll();
  group.cancel();
  io.run();
  CHECK(log == Log{"child cancelled", "parent ended"});
}

TEST_CASE("an exception ends its own task only and is reported with the group's name") {
  asio::io_context io;
  Log log;
  TaskGroup group{io.get_executor(), "workers", 2};
  group.set_on_error([&](std::string_view name, std::string_view what) {
    log.push_back(std::string{name} + ": " + std::string{what});
  });
  REQUIRE(group.spawn(fail_with("disk on fire")));
  REQUIRE(group.spawn(sleep_then_log(10ms, log, "other")));
  io.run();
  CHECK(log == Log{"workers: disk on fire", "other done"});
}

TEST_CASE("a task may cancel its own group") {
  asio::io_context io;
  Log log;
  TaskGroup group{io.get_executor(), "tasks", 3};
  const auto cancel_all = [](TaskGroup& g) -> Task<void> {
    (void)co_await sleep_for(1ms);
    g.cancel();
  };
  REQUIRE(group.spawn(sleep_then_log(1h, log, "a")));
  REQUIRE(group.spawn(cancel_all(group)));
  REQUIRE(group.spawn(sleep_then_log(1h, log, "b")));
  io.run();
  CHECK(log == Log{"a cancelled", "b cancelled"});
}

TEST_CASE("a group may be destroyed before its last task has been cleaned up") {
  asio::io_context io;
  Log log;
  auto group = std::make_unique<TaskGroup>(io.get_executor(), "tasks", 1);
  REQUIRE(group->spawn(sleep_then_log(1h, log, "a")));
  io.poll();
  group->cancel();
  group.reset();
  io.run();
  CHECK(log == Log{"a cancelled"});
}

TEST_CASE("an executor that is destroyed with unfinished tasks destroys their frames") {
  const auto witness = std::make_shared<int>(0);
  {
    asio::io_context io;
    TaskGroup group{io.get_executor(), "tasks", 1};
    const auto hold = [](std::shared_ptr<int> held) -> Task<void> {
      (void)co_await sleep_for(1h);
      *held = 1;
    };
    REQUIRE(group.spawn(hold(witness)));
    io.poll();
    REQUIRE(witness.use_count() == 2);
  }
  CHECK(witness.use_count() == 1);
  CHECK(*witness == 0);
}

}  // namespace tayga::async
