#include "orchestrator/registry/reachability.hpp"

#include "tests/support/catch.hpp"

namespace tayga::orch {
namespace {

const TimePoint t0{Duration{1'000'000'000}};

NodeId id(unsigned number) {
  NodeId node;
  node.bytes[0] = static_cast<std::byte>(number);
  return node;
}

TEST_CASE("both ends of a session that did not come about are walled, nobody else is") {
  Reachability reach;
  CHECK_FALSE(reach.is_walled(id(1), t0));
  reach.on_no_way(id(1), id(2), t0);
  CHECK(reach.is_walled(id(1), t0));
  CHECK(reach.is_walled(id(2), t0));
  CHECK_FALSE(reach.is_walled(id(3), t0));
}

TEST_CASE("who names itself is not walled") {
  Reachability reach;
  reach.on_no_way(id(1), id(1), t0);
  CHECK_FALSE(reach.is_walled(id(1), t0));
}

TEST_CASE("a wall is forgotten ten minutes after the last failure") {
  Reachability reach;
  reach.on_no_way(id(1), id(2), t0);
  CHECK(reach.is_walled(id(1), t0 + 10min - 1us));
  CHECK_FALSE(reach.is_walled(id(1), t0 + 10min));
  CHECK_FALSE(reach.is_walled(id(2), t0 + 10min));
  reach.on_no_way(id(2), id(1), t0 + 9min);  // whoever dialed
  CHECK(reach.is_walled(id(1), t0 + 19min - 1us));
  CHECK_FALSE(reach.is_walled(id(1), t0 + 19min));
}

TEST_CASE("who is forgotten is held against nobody, what failed with others stays") {
  Reachability reach;
  reach.on_no_way(id(1), id(2), t0);
  reach.on_no_way(id(3), id(2), t0);
  reach.on_no_way(id(3), id(4), t0);
  reach.forget(id(2));
  CHECK_FALSE(reach.is_walled(id(2), t0));
  CHECK_FALSE(reach.is_walled(id(1), t0));  // it had nothing but the failure with the one that left
  CHECK(reach.is_walled(id(3), t0));
  CHECK(reach.is_walled(id(4), t0));
  reach.forget(id(9));  // nobody knows it
  CHECK(reach.is_walled(id(3), t0));
}

TEST_CASE("of one node the sixteen newest failures are known") {
  Reachability reach;
  const auto fail_with = [&reach](unsigned peers) {
    for (unsigned n = 0; n < peers; ++n) reach.on_no_way(id(1), id(10 + n), t0 + Duration{n});
  };
  const auto forget_but_first = [&reach](unsigned peers) {
    for (unsigned n = 1; n < peers; ++n) reach.forget(id(10 + n));
  };
  SECTION("all of sixteen") {
    fail_with(Reachability::kPeersMax);
    forget_but_first(Reachability::kPeersMax);
    CHECK(reach.is_walled(id(1), t0 + 1s));
  }
  SECTION("not the oldest of seventeen") {
    fail_with(Reachability::kPeersMax + 1);
    forget_but_first(Reachability::kPeersMax + 1);
    CHECK_FALSE(reach.is_walled(id(1), t0 + 1s));
    CHECK(reach.is_walled(id(10), t0 + 1s));  // it knows of it itself
  }
  SECTION("a failure again takes no place of others") {
    fail_with(Reachability::kPeersMax);
    reach.on_no_way(id(1), id(11), t0 + 1s);
    forget_but_first(Reachability::kPeersMax);
    CHECK(reach.is_walled(id(1), t0 + 1s));
  }
  SECTION("a failure again makes the oldest the newest") {
    fail_with(Reachability::kPeersMax);
    reach.on_no_way(id(1), id(10), t0 + 1s);
    reach.on_no_way(id(1), id(99), t0 + 2s);  // the oldest is 11 by then
    for (unsigned n = 2; n < Reachability::kPeersMax; ++n) reach.forget(id(10 + n));
    reach.forget(id(99));
    CHECK(reach.is_walled(id(1), t0 + 2s));
    reach.forget(id(10));
    CHECK_FALSE(reach.is_walled(id(1), t0 + 2s));
  }
}

TEST_CASE("a parent that four children cannot reach is closed, and says nothing of them") {
  Reachability reach;
  for (unsigned child = 1; child < 4; ++child) reach.on_no_way(id(child), id(9), t0);
  reach.on_no_way(id(1), id(9), t0 + 1s);  // the same child again
  CHECK_FALSE(reach.is_closed(id(9), t0 + 1s));
  CHECK(reach.is_walled(id(1), t0 + 1s));
  reach.on_no_way(id(4), id(9), t0 + 1s);
  CHECK(reach.is_closed(id(9), t0 + 1s));
  CHECK(reach.is_walled(id(9), t0 + 1s));
  for (unsigned child = 1; child < 5; ++child) CHECK_FALSE(reach.is_walled(id(child), t0 + 1s));
  reach.on_no_way(id(2), id(8), t0 + 1s);
  CHECK(reach.is_walled(id(2), t0 + 1s));  // it failed with another one, too
  SECTION("for ten minutes") {
    CHECK(reach.is_closed(id(9), t0 + 10min - 1us));
    CHECK_FALSE(reach.is_closed(id(9), t0 + 10min));
  }
  SECTION("until one of them leaves") {
    reach.forget(id(3));
    CHECK_FALSE(reach.is_closed(id(9), t0 + 1s));
  }
  SECTION("until it is at another address") {
    reach.forget(id(9));
    CHECK_FALSE(reach.is_closed(id(9), t0 + 1s));
    CHECK_FALSE(reach.is_walled(id(1), t0 + 1s));
  }
}

TEST_CASE("a child that reaches nobody closes nobody, itself included") {
  Reachability reach;
  for (unsigned parent = 10; parent < 20; ++parent) reach.on_no_way(id(1), id(parent), t0);
  CHECK(reach.is_walled(id(1), t0));
  CHECK_FALSE(reach.is_closed(id(1), t0));
  for (unsigned parent = 10; parent < 20; ++parent) CHECK_FALSE(reach.is_closed(id(parent), t0));
}

}  // namespace
}  // namespace tayga::orch
