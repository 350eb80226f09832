#include "orchestrator/rpc/clean_text.hpp"

#include <cstdint>
#include <optional>

namespace tayga::orch {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct CodePoint {
  std::uint32_t value;
  std::size_t size;
};

/// Decodes one code point of well-formed UTF-8 (Unicode 15, table 3-7); nullopt otherwise.
std::optional<CodePoint> decode(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return CodePoint{lead, 1};
  const std::size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < size) return std::nullopt;
  std::uint32_t value = lead & (0xFFU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return std::nullopt;
    value = value << 6 | (byte(i) & 0x3FU);
  }
  const bool overlong = (size == 3 && value < 0x800) || (size == 4 && value < 0x10000);
  if (overlong || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return std::nullopt;
  return CodePoint{value, size};
}

bool is_unwanted(std::uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0)  // C0, C1
         || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E)  // zero width, bidi, breaks
         || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

}  // namespace

std::string clean_text(std::string_view text, std::size_t size_max) {
  std::string out;
  while (!text.empty()) {
    const auto point = decode(text);
    const std::size_t taken = point ? point->size : 1;
    const std::string_view kept = point ? text.substr(0, taken) : kReplacement;
    text.remove_prefix(taken);
    if (point && is_unwanted(point->value)) continue;
    if (out.size() + kept.size() > size_max) break;
    out += kept;
  }
  return out;
}

}  // namespace tayga::orch
