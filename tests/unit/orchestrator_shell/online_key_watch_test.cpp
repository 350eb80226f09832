#include "orchestrator/app/online_key_watch.hpp"

#include "tests/support/catch.hpp"

using namespace tayga::orch;

namespace {

constexpr std::int64_t kHour = 3600 * 1000;
constexpr std::int64_t kEnd = 1'000 * kHour;

}  // namespace

TEST_CASE("nothing is said while the online key has more than three days left") {
  OnlineKeyWatch watch{kEnd};
  CHECK_FALSE(watch.poll_notice(kEnd - 72 * kHour));
  CHECK(watch.trouble(kEnd - 1).empty());
}

TEST_CASE("the last three days of the online key are warned of once an hour") {
  OnlineKeyWatch watch{kEnd};
  const auto first = watch.poll_notice(kEnd - 72 * kHour + 1);
  REQUIRE(first);
  CHECK_FALSE(first->expired);
  CHECK(first->hours_left == 71);
  CHECK_FALSE(watch.poll_notice(kEnd - 71 * kHour));
  CHECK(watch.poll_notice(kEnd - 71 * kHour + 1));
}

TEST_CASE("an expired online key is said at once, then once an hour, and is a trouble") {
  OnlineKeyWatch watch{kEnd};
  REQUIRE(watch.poll_notice(kEnd - 1));
  const auto expired = watch.poll_notice(kEnd);
  REQUIRE(expired);
  CHECK(expired->expired);
  CHECK_FALSE(watch.poll_notice(kEnd + kHour - 1));
  CHECK(watch.poll_notice(kEnd + kHour));
  CHECK(watch.has_expired(kEnd));
  CHECK(watch.trouble(kEnd).find("--renew-online-key") != std::string::npos);
}

TEST_CASE("a clock set back does not silence the warning") {
  OnlineKeyWatch watch{kEnd};
  REQUIRE(watch.poll_notice(kEnd + 5 * kHour));
  CHECK(watch.poll_notice(kEnd - kHour));
}
