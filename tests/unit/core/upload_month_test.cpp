#include "daemon/core/upload_month.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <algorithm>

namespace tayga::relay {
namespace {

constexpr TimePoint kStart{Duration{1h}};
constexpr std::uint64_t kQuota = 1'000'000'000;

LocalTime at(int year, unsigned month, unsigned day, int hour = 12) {
  using namespace std::chrono;
  return local_days{std::chrono::year{year} / std::chrono::month{month} / std::chrono::day{day}} +
         hours{hour};
}

}  // namespace

TEST_CASE("the count starts again on the reset day, in a short month on its last day") {
  UploadMonth month{31, 0, std::nullopt};
  TimePoint now = kStart;
  const auto pass_to = [&](LocalTime from, LocalTime to) {
    now += std::chrono::duration_cast<Duration>(to - from);
    month.on_clock(to, now);
  };
  month.on_clock(at(2026, 1, 31), now);
  month.on_sent(1000);
  pass_to(at(2026, 1, 31), at(2026, 2, 27));
  CHECK(month.used_bytes() == 1000);
  CHECK(month.next_reset() == std::chrono::year{2026} / 2 / 28);
  pass_to(at(2026, 2, 27), at(2026, 2, 28, 0));
  CHECK(month.used_bytes() == 0);
  month.on_sent(7);
  pass_to(at(2026, 2, 28, 0), at(2026, 3, 30));
  CHECK(month.used_bytes() == 7);
  CHECK(month.next_reset() == std::chrono::year{2026} / 3 / 31);
  pass_to(at(2026, 3, 30), at(2026, 3, 31, 0));
  CHECK(month.used_bytes() == 0);
}

TEST_CASE("a clock that jumps back does not give the month again") {
  UploadMonth month{1, kQuota, std::nullopt};
  month.on_clock(at(2026, 3, 1, 0), kStart);
  month.on_sent(500);
  month.on_clock(at(2026, 2, 28, 23), kStart + 1s);
  CHECK(month.used_bytes() == 500);
  month.on_clock(at(2026, 3, 1, 0), kStart + 1h + 1s);  // crossed once more
  CHECK(month.used_bytes() == 500);
  month.on_clock(at(1970, 1, 1), kStart + 2h);
  month.on_clock(at(2026, 3, 2), kStart + 3h);
  CHECK(month.used_bytes() == 500);
}

TEST_CASE("a router that begins in 1970 and then hears the time keeps its count") {
  UploadMonth month{1, kQuota, MonthRecord{2026 * 12 + 2, 123'456}};
  month.on_clock(at(1970, 1, 1), kStart);
  CHECK(month.used_bytes() == 123'456);
  month.on_clock(at(2026, 3, 20), kStart + 30s);
  CHECK(month.used_bytes() == 123'456);
  month.on_clock(at(2026, 4, 1), kStart + 60s);
  CHECK(month.used_bytes() == 0);
}

TEST_CASE("a clock that was years ahead is believed again when a month ends under it") {
  UploadMonth month{1, kQuota, MonthRecord{2099 * 12, 900}};
  TimePoint now = kStart;
  month.on_clock(at(2026, 3, 31, 23), now);
  CHECK(month.used_bytes() == 900);
  month.on_clock(at(2026, 4, 1, 0), now += 1h);
  CHECK(month.used_bytes() == 0);
  CHECK(month.next_reset() == std::chrono::year{2026} / 5 / 1);
}

TEST_CASE("media ends short of the quota, and what is left is for control frames") {
  UploadMonth month{1, kQuota, std::nullopt};
  month.on_clock(at(2026, 3, 2), kStart);
  CHECK(month.left_bytes() == kQuota / 50 * 49);
  month.on_sent(static_cast<std::int64_t>(kQuota / 50 * 49) - 1);
  CHECK_FALSE(month.exhausted());
  month.on_sent(1);
  CHECK(month.exhausted());
  CHECK(month.left_bytes() == 0);
}

TEST_CASE("what could not be written is not sent, and is asked for again later") {
  UploadMonth month{1, kQuota, std::nullopt};
  month.on_clock(at(2026, 3, 2), kStart);
  CHECK(month.awaits_save());
  const auto save = month.poll_save(kStart);
  REQUIRE(save);
  CHECK_FALSE(month.poll_save(kStart));  // one at a time
  month.on_save_failed(kStart, 30s);
  CHECK(month.awaits_save());
  CHECK_FALSE(month.poll_save(kStart + 29s));
  const auto again = month.poll_save(kStart + 30s);
  REQUIRE(again);
  month.on_saved(*again);
  CHECK_FALSE(month.awaits_save());
}

TEST_CASE("at a steady rate the count is written about once a minute") {
  UploadMonth month{1, 500'000'000'000, std::nullopt};
  TimePoint now = kStart;
  month.on_clock(at(2026, 3, 2), now);
  unsigned writes_late = 0;
  for (int second = 0; second < 3600; ++second, now += 1s) {
    if (const auto save = month.poll_save(now)) {
      month.on_saved(*save);
      writes_late += second > 600 ? 1 : 0;
    }
    month.on_sent(12'500'000);  // 100 Mbit/s
    REQUIRE_FALSE(month.awaits_save());
  }
  CHECK(writes_late <= 51);  // in 50 minutes
  CHECK(writes_late > 0);
}

TEST_CASE("crashes at any instant cost a block and never a byte over the quota") {
  TAYGA_SEEDED_RANDOM(random, 11);
  for (int run = 0; run < 50; ++run) {
    const std::uint64_t quota = random.between(100'000'000, 3'000'000'000);
    std::optional<MonthRecord> disk;
    std::uint64_t sent = 0;  // in truth
    TimePoint now = kStart;
    unsigned crashes = 0;
    bool done = false;
    while (!done) {
      UploadMonth month{15, quota, disk};
      month.on_clock(at(2026, 3, 20), now);
      std::optional<MonthRecord> writing;
      const std::uint64_t lifetime = random.between(1, 3000);
      for (std::uint64_t step = 0; step < lifetime && !done; ++step, now += 1s) {
        if (!writing) writing = month.poll_save(now);
        if (writing && random.one_in(3)) {
          disk = writing;
          month.on_saved(*std::exchange(writing, std::nullopt));
        }
        if (!month.exhausted() && !month.awaits_save()) {
          const std::uint64_t frame = random.between(1, 64 * 1024);
          month.on_sent(static_cast<std::int64_t>(frame));
          sent += frame;
        }
        const std::uint64_t control = random.between(0, 200);
        month.on_sent(static_cast<std::int64_t>(control));
        sent += control;
        REQUIRE(sent <= quota);
        done = month.exhausted() && month.left_bytes() == 0;
      }
      // A write under way may or may not have reached the disk.
      if (writing && random.one_in(2)) disk = writing;
      if (++crashes > 2000) done = true;
      if (disk) REQUIRE(disk->bytes <= quota);
    }
    CHECK(sent <= quota);
    // Few crashes waste little: each at most a sixteenth, in the usual case a thousandth.
    CHECK(sent > 0);
  }
}

TEST_CASE("an orderly end is counted exactly") {
  UploadMonth month{1, kQuota, std::nullopt};
  month.on_clock(at(2026, 3, 2), kStart);
  const auto save = month.poll_save(kStart);
  REQUIRE(save);
  month.on_saved(*save);
  month.on_sent(4711);
  CHECK(month.final_record() == MonthRecord{2026 * 12 + 2, 4711});
}

}  // namespace tayga::relay
