#include "common/config/unit_text.hpp"

#include <array>
#include <span>
#include <string_view>

namespace tayga::config {
namespace {

struct Unit {
  std::uint64_t factor;
  std::string_view name;
};

/// The first unit that divides the value wins, so list the largest first and end with factor 1.
std::string exact_text(std::uint64_t value, std::span<const Unit> units) {
  for (const Unit& unit : units) {
    if (value % unit.factor != 0 || (value == 0 && unit.factor != 1)) continue;
    return std::to_string(value / unit.factor) + std::string{unit.name};
  }
  return std::to_string(value);
}

}  // namespace

std::string rate_text(std::uint64_t bps) {
  constexpr std::array kUnits{Unit{1'000'000'000, "gbit"}, Unit{1'000'000, "mbit"},
                              Unit{1'000, "kbit"}, Unit{1, "bit"}};
  return exact_text(bps, kUnits);
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array kUnits{Unit{1'000'000'000'000, "T"},
                              Unit{1ULL << 30U, "GiB"},
                              Unit{1'000'000'000, "G"},
                              Unit{1ULL << 20U, "MiB"},
                              Unit{1'000'000, "M"},
                              Unit{1ULL << 10U, "KiB"},
                              Unit{1'000, "K"},
                              Unit{1, "B"}};
  return exact_text(bytes, kUnits);
}

std::string duration_text(Duration duration) {
  constexpr std::array kUnits{Unit{86'400'000'000, "d"}, Unit{3'600'000'000, "h"},
                              Unit{60'000'000, "m"},     Unit{1'000'000, "s"},
                              Unit{1'000, "ms"},         Unit{1, "us"}};
  if (duration == Duration::zero()) return "0s";
  return exact_text(static_cast<std::uint64_t>(duration.count()), kUnits);
}

}  // namespace tayga::config
