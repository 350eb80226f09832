#include "orchestrator/registry/link_health.hpp"

#include "tests/support/catch.hpp"

namespace tayga::orch {
namespace {

const TimePoint t0{Duration{1'000'000'000}};

NodeId id(unsigned number) {
  NodeId node;
  node.bytes[0] = static_cast<std::byte>(number);
  return node;
}

TEST_CASE("a failed pair is avoided for the quarantine time, other pairs are not") {
  LinkHealth health{30s};
  health.on_failed(id(1), id(9), t0);
  CHECK(health.is_avoided(id(1), id(9), t0 + 29s));
  CHECK_FALSE(health.is_avoided(id(2), id(9), t0));
  CHECK_FALSE(health.is_avoided(id(9), id(1), t0));
  CHECK(health.avoided(t0 + 29s) == std::vector{std::pair{id(1), id(9)}});
  CHECK(health.avoided(t0 + 30s).empty());
}

TEST_CASE("a pair that faltered is held back for three seconds, twice as long each time") {
  LinkHealth health{30s};
  TimePoint now = t0;
  for (const Duration held : {3s, 6s, 12s, 24s, 30s, 30s}) {
    health.on_faltered(id(1), id(9), now);
    CHECK(health.is_avoided(id(1), id(9), now + held - 1ms));
    CHECK_FALSE(health.is_avoided(id(1), id(9), now + held));
    CHECK(health.avoided(now + held).empty());
    now += held + 20s;
  }
  health.on_faltered(id(2), id(9), now);
  CHECK_FALSE(health.is_avoided(id(2), id(9), now + 3s));
}

TEST_CASE("a pair that was good for three minutes begins anew") {
  LinkHealth health{30s};
  health.on_faltered(id(1), id(9), t0);
  const Duration good =
      GENERATE(Duration{LinkHealth::kForgetAfter - 1ms}, LinkHealth::kForgetAfter);
  const TimePoint again = t0 + 3s + good;
  if (GENERATE(false, true)) health.avoided(again);
  health.on_faltered(id(1), id(9), again);
  CHECK(health.is_avoided(id(1), id(9), again + 3s) == (good < LinkHealth::kForgetAfter));
}

TEST_CASE("reports of all tracks and stripes of one failure count once") {
  LinkHealth health{30s};
  for (unsigned report = 0; report < 4; ++report) {
    health.on_faltered(id(1), id(9), t0 + report * 10ms);
  }
  CHECK_FALSE(health.is_avoided(id(1), id(9), t0 + 30ms + 3s));
}

TEST_CASE("a pair that failed for good is held back for the whole time, whatever came before") {
  LinkHealth health{30s};
  health.on_faltered(id(1), id(9), t0);
  health.on_failed(id(1), id(9), t0 + 1s);
  health.on_faltered(id(1), id(9), t0 + 2s);
  CHECK(health.is_avoided(id(1), id(9), t0 + 31s - 1ms));
  CHECK_FALSE(health.is_avoided(id(1), id(9), t0 + 31s));
}

TEST_CASE("a full table forgets the half that is free again soonest") {
  LinkHealth health{30s};
  const auto numbered = [](std::size_t number) {
    NodeId node;
    for (std::size_t i = 0; i < 4; ++i) {
      node.bytes[i] = static_cast<std::byte>(number >> (8 * i));
    }
    return node;
  };
  for (std::size_t n = 0; n < LinkHealth::kPairsMax; ++n) {
    health.on_failed(numbered(n), id(9), t0 + Duration{n});
  }
  CHECK(health.avoided(t0 + 1s).size() == LinkHealth::kPairsMax);
  health.on_failed(id(1), id(8), t0 + 1s);
  const std::size_t kept = health.avoided(t0 + 1s).size();
  CHECK(kept >= LinkHealth::kPairsMax / 2 - 1);
  CHECK(kept <= LinkHealth::kPairsMax / 2 + 1);
  CHECK_FALSE(health.is_avoided(numbered(0), id(9), t0 + 1s));
  CHECK(health.is_avoided(numbered(LinkHealth::kPairsMax - 1), id(9), t0 + 1s));
  CHECK(health.is_avoided(id(1), id(8), t0 + 1s));
}

TEST_CASE("complaints count distinct children within five seconds") {
  LinkHealth health{30s};
  CHECK(health.on_complaint(id(1), id(9), t0) == 1);
  CHECK(health.on_complaint(id(1), id(9), t0 + 1s) == 1);
  CHECK(health.on_complaint(id(2), id(9), t0 + 2s) == 2);
  CHECK(health.complaints(id(9), t0 + 6s) == 2);
  CHECK(health.complaints(id(9), t0 + 6s + 1ms) == 1);
  CHECK(health.complaints(id(8), t0 + 2s) == 0);
  CHECK(health.on_complaint(id(3), id(9), t0 + 8s) == 1);
}

TEST_CASE("a new session of a node ends what was held against it") {
  LinkHealth health{30s};
  health.on_failed(id(1), id(9), t0);
  health.on_failed(id(9), id(5), t0);
  health.on_failed(id(1), id(5), t0);
  health.on_complaint(id(1), id(9), t0);
  health.forgive(id(9));
  CHECK(health.avoided(t0) == std::vector{std::pair{id(1), id(5)}});
  CHECK(health.on_complaint(id(2), id(9), t0) == 1);
}

TEST_CASE("a child without any parent may try a failed one again after a second") {
  LinkHealth health{30s};
  CHECK_FALSE(health.shorten(id(1), t0).has_value());
  health.on_failed(id(1), id(9), t0);
  CHECK(health.shorten(id(1), t0) == t0 + LinkHealth::kLastResort);
  CHECK(health.is_avoided(id(1), id(9), t0 + 999ms));
  CHECK_FALSE(health.is_avoided(id(1), id(9), t0 + 1s));
  CHECK_FALSE(health.shorten(id(1), t0 + 1s).has_value());  // none is held back any more
}

}  // namespace
}  // namespace tayga::orch
