#include "daemon/core/upload_schedule.hpp"

#include <array>
#include <cctype>

namespace tayga::relay {
namespace {

constexpr unsigned kDayMinutes = 24 * 60;
constexpr unsigned kWeekMinutes = 7 * kDayMinutes;
constexpr std::uint8_t kEveryDay = 0x7f;
constexpr std::array<std::string_view, 7> kDayNames{"sun", "mon", "tue", "wed",
                                                    "thu", "fri", "sat"};

std::string_view trim(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<unsigned> parse_day(std::string_view text) noexcept {
  text = trim(text);
  for (unsigned day = 0; day < kDayNames.size(); ++day) {
    if (text.size() != kDayNames[day].size()) continue;
    bool same = true;
    for (std::size_t i = 0; i < text.size(); ++i) {
      same &= std::tolower(static_cast<unsigned char>(text[i])) == kDayNames[day][i];
    }
    if (same) return day;
  }
  return std::nullopt;
}

/// "mon-fri,sun"; "fri-mon" goes round the end of the week.
std::optional<std::uint8_t> parse_days(std::string_view text) noexcept {
  unsigned days = 0;
  for (;;) {
    const auto comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const auto dash = part.find('-');
    const auto first = parse_day(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_day(part.substr(dash + 1));
    if (!first || !last) return std::nullopt;
    for (unsigned day = *first;; day = (day + 1) % 7) {
      days |= 1U << day;
      if (day == *last) break;
    }
    if (comma == std::string_view::npos) return static_cast<std::uint8_t>(days);
    text.remove_prefix(comma + 1);
  }
}

/// "07:00" in minutes; 24:00 is the end of the day.
std::optional<std::uint16_t> parse_clock(std::string_view text) noexcept {
  text = trim(text);
  const auto digit = [&](std::size_t i) { return text[i] >= '0' && text[i] <= '9'; };
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  if (!digit(0) || !digit(1) || !digit(3) || !digit(4)) return std::nullopt;
  const auto value = [&](std::size_t i) { return static_cast<unsigned>(text[i] - '0'); };
  const unsigned hours = value(0) * 10 + value(1);
  const unsigned minutes = value(3) * 10 + value(4);
  if (minutes > 59 || hours * 60 + minutes > kDayMinutes) return std::nullopt;
  return static_cast<std::uint16_t>(hours * 60 + minutes);
}

/// Minutes since Sunday, 00:00.
unsigned minute_of_week(LocalTime at) noexcept {
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const auto minutes = std::chrono::duration_cast<std::chrono::minutes>(at - day).count();
  return std::chrono::weekday{day}.c_encoding() * kDayMinutes + static_cast<unsigned>(minutes);
}

}  // namespace

std::optional<UploadSchedule::Window> UploadSchedule::parse(std::string_view text) {
  text = trim(text);
  Window window;
  window.days = kEveryDay;
  if (!text.empty() && std::isalpha(static_cast<unsigned char>(text.front())) != 0) {
    const auto space = text.find_last_of(" \t", text.find(':'));
    if (space == std::string_view::npos) return std::nullopt;
    const auto days = parse_days(text.substr(0, space));
    if (!days) return std::nullopt;
    window.days = *days;
    text.remove_prefix(space + 1);
  }
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto begin = parse_clock(text.substr(0, dash));
  const auto end = parse_clock(text.substr(dash + 1));
  // Equal ones could mean all day or never: "00:00-24:00" says the former.
  if (!begin || !end || *begin == *end || *begin == kDayMinutes) return std::nullopt;
  window.begin = *begin;
  window.end = *end;
  return window;
}

bool UploadSchedule::add(std::string_view text) {
  const auto window = parse(text);
  if (window) windows_.push_back(*window);
  return window.has_value();
}

bool UploadSchedule::is_open(LocalTime at) const noexcept {
  if (windows_.empty()) return true;
  const unsigned minute = minute_of_week(at);
  const unsigned day = minute / kDayMinutes;
  const unsigned clock = minute % kDayMinutes;
  for (const Window& window : windows_) {
    const bool today = (window.days >> day & 1U) != 0;
    const bool yesterday = (window.days >> (day + 6) % 7 & 1U) != 0;
    if (window.begin < window.end) {
      if (today && clock >= window.begin && clock < window.end) return true;
    } else if ((today && clock >= window.begin) || (yesterday && clock < window.end)) {
      return true;
    }
  }
  return false;
}

std::optional<LocalTime> UploadSchedule::next_change(LocalTime at) const noexcept {
  const bool open = is_open(at);
  LocalTime minute = std::chrono::floor<std::chrono::minutes>(at);
  for (unsigned i = 0; i < kWeekMinutes; ++i) {
    minute += std::chrono::minutes{1};
    if (is_open(minute) != open) return minute;
  }
  return std::nullopt;
}

}  // namespace tayga::relay
