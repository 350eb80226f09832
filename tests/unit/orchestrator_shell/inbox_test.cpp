#include "orchestrator/app/inbox.hpp"

#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::orch;

namespace {

const TimePoint t0{};

SessionInfo session(std::uint64_t id) {
  SessionInfo info;
  info.id = SessionId{id};
  info.node.bytes.fill(static_cast<std::byte>(id));
  return info;
}

Telemetry telemetry(std::uint64_t seq) {
  Telemetry t;
  t.seq = seq;
  return t;
}

}  // namespace

TEST_CASE("the first event of an empty inbox asks for a wake-up, later ones do not") {
  Inbox inbox;
  CHECK(inbox.put(session(1), LeaveRequest{"a"}, t0) == Inbox::Put::taken_first);
  CHECK(inbox.put(session(1), telemetry(1), t0) == Inbox::Put::taken);
  inbox.take();
  CHECK(inbox.put(session(1), telemetry(2), t0) == Inbox::Put::taken_first);
  CHECK(inbox.put_end(session(1), t0) == Inbox::Put::taken);
}

TEST_CASE("of a session's telemetry only the newest is kept") {
  Inbox inbox;
  for (std::uint64_t seq = 1; seq <= 5; ++seq) inbox.put(session(1), telemetry(seq), t0);
  inbox.put(session(2), telemetry(9), t0);
  const Inbox::Contents contents = inbox.take();
  REQUIRE(contents.telemetry.size() == 2);
  CHECK(contents.telemetry[0].second.seq == 5);
  CHECK(contents.telemetry[1].second.seq == 9);
  CHECK(contents.items.empty());
}

TEST_CASE("joins and leaves keep their order") {
  Inbox inbox;
  inbox.put(session(1), JoinRequest{"a", {}}, t0);
  inbox.put(session(2), LeaveRequest{"b"}, t0);
  inbox.put_end(session(1), t0);
  const Inbox::Contents contents = inbox.take();
  REQUIRE(contents.items.size() == 3);
  CHECK(std::holds_alternative<JoinRequest>(*contents.items[0].event));
  CHECK(std::holds_alternative<LeaveRequest>(*contents.items[1].event));
  CHECK_FALSE(contents.items[2].event);
}

TEST_CASE("a session that floods is refused while others and its own end still fit") {
  Inbox inbox;
  for (std::size_t i = 0; i < kInboxPerSessionMax; ++i) {
    REQUIRE(inbox.put(session(1), LeaveRequest{"a"}, t0) != Inbox::Put::full);
  }
  CHECK(inbox.put(session(1), LeaveRequest{"a"}, t0) == Inbox::Put::full);
  CHECK(inbox.put(session(1), telemetry(1), t0) == Inbox::Put::taken);
  CHECK(inbox.put(session(2), LeaveRequest{"a"}, t0) == Inbox::Put::taken);
  CHECK(inbox.put_end(session(1), t0) == Inbox::Put::taken);
  inbox.take();
  CHECK(inbox.put(session(1), LeaveRequest{"a"}, t0) == Inbox::Put::taken_first);
}

TEST_CASE("an ended session's telemetry is not delivered after its end") {
  Inbox inbox;
  inbox.put(session(1), telemetry(1), t0);
  inbox.put_end(session(1), t0);
  CHECK(inbox.take().telemetry.empty());
}
