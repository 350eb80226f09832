#include "common/http/range.hpp"

#include "common/http/errors.hpp"
#include "common/http/headers.hpp"

#include <algorithm>
#include <charconv>

namespace tayga::http {
namespace {

/// nullopt unless `text` is digits alone.
std::optional<std::uint64_t> parse_number(std::string_view text) noexcept {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, ec] = std::from_chars(text.data(), end, value);
  if (ec != std::errc{} || rest != end) return std::nullopt;
  return value;
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<std::optional<ByteRange>> parse_range(std::optional<std::string_view> field,
                                             std::uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  constexpr std::optional<ByteRange> kWhole;
  if (!field || !equal_ignoring_case(field->substr(0, kUnit.size()), kUnit)) return kWhole;
  const std::string_view spec = trim(field->substr(kUnit.size()));
  const auto dash = spec.find('-');
  if (dash == std::string_view::npos || spec.find(',') != std::string_view::npos) return kWhole;
  const auto first = parse_number(spec.substr(0, dash));
  const auto last = parse_number(spec.substr(dash + 1));
  if (dash == 0) {  // "-n": the last n bytes
    if (!last) return kWhole;
    if (*last == 0 || size == 0) return HttpErrc::not_satisfiable;
    return std::optional{ByteRange{size - std::min(*last, size), size - 1}};
  }
  const bool open = dash + 1 == spec.size();
  if (!first || (!open && !last) || (!open && *last < *first)) return kWhole;
  if (*first >= size) return HttpErrc::not_satisfiable;
  return std::optional{ByteRange{*first, open ? size - 1 : std::min(*last, size - 1)}};
}

std::string range_field(const ByteRange& range) {
  const std::string last = range.last == ByteRange::kOpenEnd ? "" : std::to_string(range.last);
  return "bytes=" + std::to_string(range.first) + "-" + last;
}

std::string content_range(const ByteRange& range, std::uint64_t size) {
  return "bytes " + std::to_string(range.first) + "-" + std::to_string(range.last) + "/" +
         std::to_string(size);
}

std::string content_range_unsatisfied(std::uint64_t size) {
  return "bytes */" + std::to_string(size);
}

std::optional<ContentRange> parse_content_range(std::string_view field) noexcept {
  constexpr std::string_view kUnit = "bytes ";
  if (!equal_ignoring_case(field.substr(0, kUnit.size()), kUnit)) return std::nullopt;
  const std::string_view spec = trim(field.substr(kUnit.size()));
  const auto slash = spec.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view span = spec.substr(0, slash);
  ContentRange out;
  if (const std::string_view whole = spec.substr(slash + 1); whole != "*") {
    out.size = parse_number(whole);
    if (!out.size) return std::nullopt;
  }
  if (span == "*") return out.size ? std::optional{out} : std::nullopt;
  const auto dash = span.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_number(span.substr(0, dash));
  const auto last = parse_number(span.substr(dash + 1));
  if (!first || !last || *last < *first || *last == ByteRange::kOpenEnd) return std::nullopt;
  if (out.size && *last >= *out.size) return std::nullopt;
  out.range = ByteRange{*first, *last};
  return out;
}

}  // namespace tayga::http
