#include "common/base/units.hpp"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <span>

namespace tayga {
namespace {

struct Unit {
  std::string_view name;  // lower case
  double factor;
};

constexpr std::array kRateUnits{Unit{"", 1},        Unit{"bit", 1},      Unit{"kbit", 1e3},
                                Unit{"mbit", 1e6},  Unit{"gbit", 1e9},   Unit{"tbit", 1e12}};
constexpr std::array kSizeUnits{
    Unit{"", 1},           Unit{"b", 1},           Unit{"k", 1e3},
    Unit{"m", 1e6},        Unit{"g", 1e9},         Unit{"t", 1e12},
    Unit{"kb", 1e3},       Unit{"mb", 1e6},        Unit{"gb", 1e9},
    Unit{"tb", 1e12},      Unit{"kib", 1024.0},    Unit{"mib", 1048576.0},
    Unit{"gib", 1073741824.0}, Unit{"tib", 1099511627776.0}};
constexpr std::array kDurationUnits{Unit{"us", 1},   Unit{"ms", 1e3},    Unit{"s", 1e6},
                                    Unit{"m", 60e6}, Unit{"min", 60e6},  Unit{"h", 3600e6},
                                    Unit{"d", 86400e6}};

error_code invalid() {
  return boost::system::errc::make_error_code(boost::system::errc::invalid_argument);
}

std::string lower(std::string_view text) {
  std::string out{text};
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

Result<std::uint64_t> parse_with_units(std::string_view text, std::span<const Unit> units) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, ec] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (ec != std::errc{} || !std::isfinite(number) || number < 0) return invalid();
  const char* unit_begin = rest;
  while (unit_begin != end && *unit_begin == ' ') ++unit_begin;
  const std::string name =
      lower({unit_begin, static_cast<std::size_t>(end - unit_begin)});
  for (const Unit& unit : units) {
    if (name != unit.name) continue;
    const double value = number * unit.factor;
    if (value >= static_cast<double>(std::numeric_limits<std::int64_t>::max())) return invalid();
    return static_cast<std::uint64_t>(std::llround(value));
  }
  return invalid();
}

std::string format_scaled(double value, std::span<const std::string_view> names) {
  std::size_t i = 0;
  while (value >= 1000 && i + 1 < names.size()) {
    value /= 1000;
    ++i;
  }
  std::array<char, 48> out{};
  const int decimals = i == 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  std::snprintf(out.data(), out.size(), "%.*f ", decimals, value);
  return std::string{out.data()} + std::string{names[i]};
}

}  // namespace

Result<std::uint64_t> parse_rate_bps(std::string_view text) {
  return parse_with_units(text, kRateUnits);
}

Result<std::uint64_t> parse_size_bytes(std::string_view text) {
  return parse_with_units(text, kSizeUnits);
}

Result<Duration> parse_duration(std::string_view text) {
  const auto us = parse_with_units(text, kDurationUnits);
  if (!us) return us.error();
  return Duration{static_cast<Duration::rep>(*us)};
}

std::string format_rate(std::uint64_t bps) {
  constexpr std::array<std::string_view, 5> kNames{"bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"};
  return format_scaled(static_cast<double>(bps), kNames);
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 6> kNames{"B", "kB", "MB", "GB", "TB", "PB"};
  return format_scaled(static_cast<double>(bytes), kNames);
}

std::string format_duration(Duration duration) {
  const auto us = duration.count();
  std::array<char, 64> out{};
  if (us < 1'000) {
    std::snprintf(out.data(), out.size(), "%lld us", static_cast<long long>(us));
  } else if (us < 1'000'000) {
    std::snprintf(out.data(), out.size(), "%.3g ms", static_cast<double>(us) / 1e3);
  } else if (us < 60'000'000) {
    std::snprintf(out.data(), out.size(), "%.3g s", static_cast<double>(us) / 1e6);
  } else {
    const auto minutes = us / 60'000'000;
    if (minutes < 60) {
      std::snprintf(out.data(), out.size(), "%lld min %lld s", static_cast<long long>(minutes),
                    static_cast<long long>(us / 1'000'000 % 60));
    } else if (minutes < 60 * 24) {
      std::snprintf(out.data(), out.size(), "%lld h %lld min", static_cast<long long>(minutes / 60),
                    static_cast<long long>(minutes % 60));
    } else {
      std::snprintf(out.data(), out.size(), "%lld d %lld h",
                    static_cast<long long>(minutes / (60 * 24)),
                    static_cast<long long>(minutes / 60 % 24));
    }
  }
  return out.data();
}

}  // namespace tayga
