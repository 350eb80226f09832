#include "daemon/upload_month_file.hpp"

#include "daemon/limits_status.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary_folder.hpp"

#include <boost/json/serialize.hpp>

#include <fstream>
#include <string>

namespace tayga {
namespace {

using Loaded = std::variant<std::optional<relay::MonthRecord>, UploadMonthError>;

bool is_record(const Loaded& loaded, const std::optional<relay::MonthRecord>& expected) {
  const auto* record = std::get_if<std::optional<relay::MonthRecord>>(&loaded);
  return record != nullptr && *record == expected;
}

relay::LocalTime noon() {
  using namespace std::chrono;
  return local_days{year{2026} / 3 / 2} + hours{12};
}

std::string reason_of(const relay::UploadLimits& limits,
                      std::optional<relay::MonthRecord> stored = std::nullopt) {
  relay::UploadBudget budget{limits, stored};
  budget.on_clock(noon(), TimePoint{1h});
  return std::string{limits_json(budget, true, TimePoint{1h}).at("reason").as_string()};
}

}  // namespace

TEST_CASE("the month's count is read back as it was written") {
  const test::TemporaryFolder folder;
  const auto path = upload_month_path(folder.path());
  CHECK(is_record(load_upload_month(path), std::nullopt));
  for (const std::uint64_t bytes :
       {std::uint64_t{0}, std::uint64_t{123'456'789'012}, ~std::uint64_t{0}}) {
    const relay::MonthRecord record{2026 * 12 + 11, bytes};
    REQUIRE_FALSE(save_upload_month(path, record));
    CHECK(is_record(load_upload_month(path), record));
  }
}

TEST_CASE("a damaged count is an error with its remedy and not a fresh month") {
  const test::TemporaryFolder folder;
  const auto path = upload_month_path(folder.path());
  for (const char* text :
       {"", "tayga-upload-month 1 2026-03 12", "tayga-upload-month 2 2026-03 12\n",
        "tayga-upload-month 1 2026-13 12\n", "tayga-upload-month 1 2026-03 -1\n",
        "tayga-upload-month 1 2026-03 12\nx", "tayga-upload-month 1 2026-03 99999999999999999999\n",
        "tayga-upload-month 1 2026-00 1\n", "tayga-upload-month 1 0-1 1\n"}) {
    CAPTURE(text);
    std::ofstream{path, std::ios::trunc} << text;
    const Loaded loaded = load_upload_month(path);
    const auto* error = std::get_if<UploadMonthError>(&loaded);
    REQUIRE(error != nullptr);
    CHECK(error->message.find(path.native()) != std::string::npos);
    CHECK(error->message.find("remove the file") != std::string::npos);
  }
}

TEST_CASE("a count that cannot be written says where and why, and leaves the former one") {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "missing" / "upload-month";
  const auto error = save_upload_month(path, {2026 * 12, 1});
  REQUIRE(error);
  CHECK(error->message.find("missing") != std::string::npos);
  CHECK(error->message.find("state directory") != std::string::npos);
}

TEST_CASE("limits say in words why nothing is sent") {
  CHECK(reason_of({}).empty());
  relay::UploadLimits limits;
  limits.metered = true;
  CHECK(reason_of(limits).find("limits.metered") != std::string::npos);
  limits = {};
  REQUIRE(limits.schedule.add("22:00-07:00"));
  CHECK(reason_of(limits).find("opens at 2026-03-02 22:00") != std::string::npos);
  limits = {};
  limits.monthly_bytes = 500'000'000'000;
  const std::string used = reason_of(limits, relay::MonthRecord{2026 * 12 + 2, 495'000'000'000});
  CHECK(used.find("500 GB are used up") != std::string::npos);
  CHECK(used.find("2026-04-01") != std::string::npos);
  // Nothing is on disk of this month yet: nothing may be sent.
  CHECK(reason_of(limits).find("state directory") != std::string::npos);
}

TEST_CASE("limits tell what is used of each") {
  relay::UploadLimits limits;
  limits.rate_bps = 20'000'000;
  limits.monthly_bytes = 1'000'000'000;
  relay::UploadBudget budget{limits, relay::MonthRecord{2026 * 12 + 2, 80'000'000}};
  budget.on_clock(noon(), TimePoint{1h});
  const boost::json::object told = limits_json(budget, false, TimePoint{1h});
  CHECK(told.at("upload_bps").to_number<std::uint64_t>() == 20'000'000);
  const boost::json::object& month = told.at("month").as_object();
  CHECK(month.at("used_bytes").to_number<std::uint64_t>() == 80'000'000);
  CHECK(month.at("left_bytes").to_number<std::uint64_t>() == 900'000'000);
  CHECK(month.at("next_reset").as_string() == "2026-04-01");
  CHECK(told.at("schedule").as_object().at("always").as_bool());
}

}  // namespace tayga
