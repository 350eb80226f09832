#include "common/metrics/names.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace tayga::metrics {
namespace {

bool is_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_letter_or_digit(char c) noexcept {
  return is_letter(c) || (c >= '0' && c <= '9');
}

enum class Quotes { keep, escape };

std::string escape(std::string_view text, Quotes quotes) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || (c == '"' && quotes == Quotes::escape)) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

bool is_metric_name(std::string_view name) noexcept {
  if (name.empty() || !(is_letter(name.front()) || name.front() == ':')) return false;
  return std::ranges::all_of(name, [](char c) { return is_letter_or_digit(c) || c == ':'; });
}

bool is_label_name(std::string_view name) noexcept {
  if (name.empty() || !is_letter(name.front()) || name.starts_with("__") || name == "le") {
    return false;
  }
  return std::ranges::all_of(name, is_letter_or_digit);
}

std::string escape_label_value(std::string_view text) {
  return escape(text, Quotes::escape);
}

std::string escape_help(std::string_view text) {
  return escape(text, Quotes::keep);
}

std::string format_value(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return {digits.data(), end};
}

}  // namespace tayga::metrics
