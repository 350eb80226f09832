// Allocations while the orchestrator, who alone can renew them, is away.
#include "common/media/allocation_term.hpp"
#include "daemon/core/admission.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/core/relay_rig.hpp"

using namespace tayga;
using namespace tayga::test;
using relay::RefuseReason;

namespace {

struct OutageRig : Rig {
  NodeId child_id = child.node_id();

  void say(Relay::Control control) {
    relay.on_control(control, at(now));
    drain();
  }
  /// A silent subscription, which costs few timers, under an allocation that ends after `term`.
  void join(Duration term, unsigned number = 1) {
    relay::Subscribe subscribe = request(child_id);
    subscribe.mode = relay::SubscribeMode::standby;
    subscribe.allocation =
        world.allocate(self_id(), child_id, {.not_after = term, .number = number});
    hear(child_id, subscribe);
  }
  std::optional<RefuseReason> refusal() {
    const auto refused = sent<relay::SubscribeRefused>(child_id);
    if (refused.empty()) return std::nullopt;
    return refused.back().reason;
  }
  [[nodiscard]] std::size_t children() const { return relay.children(now).size(); }
};

/// One whose child was admitted for a minute, and whose orchestrator went away then.
struct ServingRig : OutageRig {
  ServingRig() {
    start_publishing();
    up(child_id);
    join(60s);
    say(Relay::Control::away);
  }
};

}  // namespace

TEST_CASE("an allocation is honoured 10 s past its end, 45 min while nobody can renew it") {
  relay::AllocationGrace grace;
  CHECK(grace.at(kStart) == 10s);
  grace.on_connected(kStart);
  CHECK(grace.at(kStart) == 10s);
  grace.on_away();
  CHECK(grace.at(kStart) == 45min);
  CHECK(grace.at(kStart + 5h) == 45min);
}

TEST_CASE("when the orchestrator is back there are two minutes to have allocations renewed") {
  relay::AllocationGrace grace;
  grace.on_away();
  grace.on_connected(kStart);
  grace.on_connected(kStart + 100s);  // said again in the same session
  CHECK(grace.at(kStart + 119s) == 45min);
  CHECK(grace.at(kStart + 120s) == 10s);
}

TEST_CASE_METHOD(ServingRig, "without the orchestrator a child is served for half an hour") {
  pass(60s + 30min);
  CHECK_FALSE(refusal());
  CHECK(children() == 1);
}

TEST_CASE_METHOD(ServingRig, "without the orchestrator nobody is served for ever") {
  pass(60s + media::kOutageGrace);
  CHECK_FALSE(refusal());
  pass(1s);
  CHECK(refusal() == RefuseReason::expired_allocation);
  CHECK(children() == 0);
}

TEST_CASE_METHOD(ServingRig, "asking again under what ran out makes it last no longer") {
  for (unsigned i = 0; i < 50; ++i) {
    pass(60s);
    join(60s);
  }
  CHECK(refusal() == RefuseReason::expired_allocation);
  CHECK(children() == 0);
}

TEST_CASE_METHOD(ServingRig, "children that do not renew are refused when it is back a while") {
  pass(30min);
  say(Relay::Control::connected);
  pass(media::kReconnectGrace - 1s);
  CHECK_FALSE(refusal());
  SECTION("not renewed") {
    pass(2s);
    CHECK(refusal() == RefuseReason::expired_allocation);
  }
  SECTION("renewed") {
    join(30min + 600s, 2);
    pass(60s);
    CHECK_FALSE(refusal());
    CHECK(children() == 1);
  }
}

TEST_CASE_METHOD(OutageRig, "a child that comes with what ran out is admitted during an outage") {
  start_publishing();
  pass(20min);
  up(child_id);
  SECTION("during an outage") {
    say(Relay::Control::away);
    join(60s);
    CHECK_FALSE(refusal());
    CHECK(children() == 1);
  }
  SECTION("not without one") {
    join(60s);
    CHECK(refusal() == RefuseReason::expired_allocation);
  }
}

TEST_CASE_METHOD(OutageRig, "a parent is asked under what ran out only while nobody can renew it") {
  const NodeId from = parent.node_id();
  assign({from});
  pass(620s);  // its allocation is for 600 s
  SECTION("during an outage") {
    say(Relay::Control::away);
    up(from);
    CHECK(sent<relay::Subscribe>(from).size() == 1);
  }
  SECTION("not without one") {
    up(from);
    CHECK(sent<relay::Subscribe>(from).empty());
  }
}

TEST_CASE_METHOD(OutageRig, "what a parent delivers past the end is acknowledged") {
  join_parent();
  say(Relay::Control::away);
  pass(1s);
  now = kStart + 600s + 30min;
  up(parent.node_id());
  confirm(parent.node_id());
  log.clear();
  feed(parent.node_id(), publisher.segment(1, 100'000, at(now)));
  pass(1s);
  const auto receipts = sent<relay::PeerReceipt>(parent.node_id());
  REQUIRE(!receipts.empty());
  CHECK(wire::parse_receipt(receipts.back().blob)->cum_bytes == 100'000);
}
