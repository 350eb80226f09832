#include "daemon/core/upload_schedule.hpp"

#include "tests/support/catch.hpp"

namespace tayga::relay {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

/// Monday, 2 March 2026, and so many days later.
LocalTime at(int days, int hour, int minute) {
  using namespace std::chrono;
  return local_days{year{2026} / 3 / 2} + std::chrono::days{days} + hours{hour} + minutes{minute};
}

UploadSchedule schedule(std::initializer_list<std::string_view> windows) {
  UploadSchedule made;
  for (const std::string_view window : windows) REQUIRE(made.add(window));
  return made;
}

}  // namespace

TEST_CASE("without a schedule it is always open") {
  const UploadSchedule always;
  CHECK(always.is_open(at(0, 0, 0)));
  CHECK(always.next_change(at(0, 0, 0)) == std::nullopt);
}

TEST_CASE("a window past midnight belongs to the day on which it begins") {
  const UploadSchedule nights = schedule({"mon-fri 22:00-07:00"});
  CHECK_FALSE(nights.is_open(at(0, 6, 59)));  // Monday morning: Sunday's night is not lent
  CHECK_FALSE(nights.is_open(at(0, 21, 59)));
  CHECK(nights.is_open(at(0, 22, 0)));
  CHECK(nights.is_open(at(1, 6, 59)));
  CHECK_FALSE(nights.is_open(at(1, 7, 0)));
  CHECK(nights.is_open(at(5, 3, 0)));  // Saturday morning, of Friday's night
  CHECK_FALSE(nights.is_open(at(5, 22, 0)));
  CHECK_FALSE(nights.is_open(at(6, 3, 0)));
}

TEST_CASE("several windows add up, and 24:00 is the end of a day") {
  const UploadSchedule lent = schedule({"mon-fri 22:00-07:00", "sat,sun 00:00-24:00"});
  CHECK(lent.is_open(at(4, 23, 59)));
  CHECK(lent.is_open(at(5, 0, 0)));
  CHECK(lent.is_open(at(6, 23, 59)));
  CHECK_FALSE(lent.is_open(at(7, 0, 0)));
  CHECK(lent.next_change(at(5, 12, 0)) == at(7, 0, 0));
  CHECK(lent.next_change(at(0, 12, 30)) == at(0, 22, 0));
}

TEST_CASE("days may be a list, go round the end of the week, or be left out") {
  const UploadSchedule around = schedule({"Sat-Mon 10:00-11:00"});
  CHECK(around.is_open(at(0, 10, 0)));
  CHECK_FALSE(around.is_open(at(1, 10, 0)));
  CHECK(around.is_open(at(5, 10, 0)));
  CHECK(around.is_open(at(6, 10, 59)));
  const UploadSchedule daily = schedule({"22:00-07:00"});
  for (int day = 0; day < 7; ++day) {
    CHECK(daily.is_open(at(day, 0, 0)));
    CHECK_FALSE(daily.is_open(at(day, 12, 0)));
  }
}

TEST_CASE("the clock on the wall decides in the nights when summer time begins and ends") {
  const UploadSchedule early = schedule({"sun 01:30-03:30"});
  // 29 March 2026, Europe: 01:59 is followed by 03:00. 25 October: 02:59 by 02:00.
  CHECK(early.is_open(at(27, 1, 59)));
  CHECK(early.is_open(at(27, 3, 0)));
  CHECK_FALSE(early.is_open(at(27, 3, 30)));
  const int october = 237;
  CHECK(early.is_open(at(october, 2, 59)));
  CHECK(early.is_open(at(october, 2, 0)));
}

TEST_CASE("a text that is no window is refused") {
  for (const char* text :
       {"", "mon", "mon-fri", "22:00", "22:00-", "mon 22:00-22:00", "mon 24:00-07:00",
        "mon 22:00-25:00", "mon 22:60-23:00", "mon 9:00-10:00", "moon 09:00-10:00",
        "mon- 09:00-10:00", ",mon 09:00-10:00", "mon,, tue 09:00-10:00", "mon 09:00-10:00x",
        "mon09:00-10:00", "mon 0900-1000", "mon -1:00-10:00", "mon 09:00 10:00"}) {
    CAPTURE(text);
    UploadSchedule made;
    CHECK_FALSE(made.add(text));
    CHECK(made.empty());
  }
}

}  // namespace tayga::relay
