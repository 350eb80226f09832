#pragma once

#include "common/base/time.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace tayga::relay {

/// What the clock on the wall shows, in the time zone of the machine. The shell works it out.
using LocalTime = std::chrono::local_time<std::chrono::seconds>;

/// When media may be sent to others: windows of a week on the clock on the wall, so that one from
/// 22:00 to 07:00 is an hour shorter or longer in the night when summer time begins or ends.
///
/// A value; without windows it is always open.
class UploadSchedule {
 public:
  /// Adds "mon-fri 22:00-07:00", "sat,sun 00:00-24:00" or, for every day, "22:00-07:00". A window
  /// past midnight belongs to the day on which it begins. False: the text is no such window.
  [[nodiscard]] bool add(std::string_view text);

  [[nodiscard]] bool is_open(LocalTime at) const noexcept;
  /// The next minute at which is_open() changes; nullopt = it never does.
  [[nodiscard]] std::optional<LocalTime> next_change(LocalTime at) const noexcept;
  [[nodiscard]] bool empty() const noexcept { return windows_.empty(); }

 private:
  struct Window {
    std::uint8_t days = 0;    ///< bit 0 = Sunday
    std::uint16_t begin = 0;  ///< minutes from midnight
    std::uint16_t end = 0;    ///< not included; up to 24:00
    friend bool operator==(const Window&, const Window&) = default;
  };
  static std::optional<Window> parse(std::string_view text);

  std::vector<Window> windows_;

 public:
  friend bool operator==(const UploadSchedule&, const UploadSchedule&) = default;
};

}  // namespace tayga::relay
