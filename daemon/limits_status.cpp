#include "daemon/limits_status.hpp"

#include "common/base/units.hpp"

#include <cstdio>
#include <string>

namespace tayga {
namespace {

namespace json = boost::json;

std::string date_text(const std::chrono::year_month_day& date) {
  char text[32];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return text;
}

std::string time_text(relay::LocalTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::hh_mm_ss clock{time - day};
  char text[16];
  std::snprintf(text, sizeof text, " %02d:%02d", static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()));
  return date_text(std::chrono::year_month_day{day}) + text;
}

const char* name_of(relay::UploadBlock block) {
  switch (block) {
    case relay::UploadBlock::none:
      return "none";
    case relay::UploadBlock::metered:
      return "metered";
    case relay::UploadBlock::schedule:
      return "schedule";
    case relay::UploadBlock::quota:
      return "quota";
    case relay::UploadBlock::disk:
      return "disk";
    case relay::UploadBlock::courtesy:
      return "courtesy";
  }
  return "none";
}

std::string reason_of(const relay::UploadBudget& budget) {
  const auto next = budget.next_change();
  switch (budget.blocked()) {
    case relay::UploadBlock::none:
      return "";
    case relay::UploadBlock::metered:
      return "nothing is sent to others: this network is metered (limits.metered)";
    case relay::UploadBlock::schedule:
      return "nothing is sent to others at this time (limits.schedule)" +
             (next ? "; it opens at " + time_text(*next) : std::string{});
    case relay::UploadBlock::quota:
      return "nothing is sent to others: the month's " + format_size(budget.month().quota_bytes()) +
             " are used up (limits.monthly_upload); the count starts again on " +
             date_text(budget.month().next_reset());
    case relay::UploadBlock::disk:
      return "nothing is sent to others until the month's count can be written to the state "
             "directory: a crash could break limits.monthly_upload";
    case relay::UploadBlock::courtesy:
      return "nothing is sent to others: the household needs its uplink";
  }
  return "";
}

}  // namespace

json::object limits_json(const relay::UploadBudget& budget, bool paused, TimePoint now) {
  const relay::UploadLimits& limits = budget.limits();
  const relay::UploadMonth& month = budget.month();
  const relay::UploadBudget::Counters counters = budget.counters(now);
  const auto next = budget.next_change();
  return {
      {"upload_bps", limits.rate_bps},
      {"upload_now_bps", budget.rate_bps()},
      {"upload_per_peer_bps", limits.session_bps},
      {"uplink_bps", limits.uplink_bps},
      {"courtesy_permille", budget.courtesy_permille()},
      {"metered", limits.metered},
      {"schedule",
       {{"always", limits.schedule.empty()},
        {"next_change", next ? json::value(time_text(*next)) : json::value(nullptr)}}},
      {"month",
       {{"limit_bytes", month.quota_bytes()},
        {"used_bytes", month.used_bytes()},
        {"left_bytes",
         month.quota_bytes() == 0 ? json::value(nullptr) : json::value(month.left_bytes())},
        {"next_reset", date_text(month.next_reset())}}},
      {"media_bytes", counters.media_bytes},
      {"control_bytes", counters.control_bytes},
      {"blocked_ms", counters.blocked.count() / 1000},
      {"waiting_sessions", budget.waiting()},
      {"children_sent_away", paused},
      {"blocked_by", name_of(budget.blocked())},
      {"reason", reason_of(budget)},
  };
}

}  // namespace tayga
