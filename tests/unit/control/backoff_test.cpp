#include "daemon/control/backoff.hpp"

#include "tests/support/catch.hpp"

namespace tayga::control {

TEST_CASE(
    "attempts are spaced by doubling delays up to the last, and begin again after a success") {
  Backoff backoff{500ms, 30s};
  const std::vector<Duration> expected{500ms, 1s, 2s, 4s, 8s, 16s, 30s, 30s};
  for (const Duration delay : expected) CHECK(backoff.next(0.5) == delay);
  backoff.reset();
  CHECK(backoff.next(0.5) == 500ms);
}

TEST_CASE("delays vary by thirty percent to either side") {
  Backoff backoff{10s, 10s};
  CHECK(backoff.next(0.0) == 7s);
  CHECK(backoff.next(0.25) == 8500ms);
  CHECK(backoff.next(0.999999) > 12999ms);
  CHECK(backoff.next(0.999999) < 13s);
}

}  // namespace tayga::control
