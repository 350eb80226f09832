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

TEST_CASE("complaints count distinct children within five seconds") {
  LinkHealth health{30s};
  CHECK(health.on_complaint(id(1), id(9), t0) == 1);
  CHECK(health.on_complaint(id(1), id(9), t0 + 1s) == 1);
  CHECK(health.on_complaint(id(2), id(9), t0 + 2s) == 2);
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
  CHECK_FALSE(health.shorten(id(1)).has_value());
  health.on_failed(id(1), id(9), t0);
  CHECK(health.shorten(id(1)) == t0 + LinkHealth::kLastResort);
  CHECK(health.is_avoided(id(1), id(9), t0 + 999ms));
  CHECK_FALSE(health.is_avoided(id(1), id(9), t0 + 1s));
}

}  // namespace
}  // namespace tayga::orch
