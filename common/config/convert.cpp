#include "common/config/convert.hpp"

#include "common/base/units.hpp"
#include "common/config/nearest_key.hpp"
#include "common/config/unit_text.hpp"

#include <charconv>
#include <limits>
#include <type_traits>

namespace tayga::config {
namespace {

constexpr std::string_view kWantString = "write a string in double quotes";
constexpr std::string_view kWantBool = "write true or false";
constexpr std::string_view kWantRate = "write a rate such as \"10mbit\"";
constexpr std::string_view kWantSize = "write a size such as \"500G\" or \"64MiB\"";
constexpr std::string_view kWantDuration = "write a time such as \"30s\" or \"250ms\"";
constexpr std::string_view kWantStrings = "write a list of strings such as [\"a\", \"b\"]";

/// `"10mbit"` of a file is converted as the same text of a flag.
template <class As>
Converted<typename As::Value> from_string_node(const As& as, const Node& node,
                                               std::string_view want) {
  const auto* text = std::get_if<std::string>(&node.value);
  if (text == nullptr) return Wanted{std::string{want}};
  return as.from(*text);
}

template <class As>
bool has_upper_end(const As& as) {
  using Value = typename As::Value;
  if constexpr (std::is_same_v<Value, Duration>) {
    return as.range.max < Duration::max();
  } else {
    return as.range.max < static_cast<Value>(std::numeric_limits<std::int64_t>::max());
  }
}

/// "write a value from 1 to 9", "write a value of at least 1".
template <class As>
std::string want_in_range(const As& as, std::string_view what) {
  const std::string begin = "write " + std::string{what};
  if (!has_upper_end(as)) return begin + " of at least " + As::to_toml(as.range.min);
  return begin + " from " + As::to_toml(as.range.min) + " to " + As::to_toml(as.range.max);
}

template <class As>
Converted<typename As::Value> in_range(const As& as, typename As::Value value) {
  if (value >= as.range.min && value <= as.range.max) return value;
  return Wanted{want_in_range(as, "a value")};
}

std::string_view trim(std::string_view text) noexcept {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

}  // namespace

Converted<std::string> AsString::from(const Node& node) {
  return from_string_node(AsString{}, node, kWantString);
}
Converted<std::string> AsString::from(std::string_view text) {
  return std::string{text};
}
std::string AsString::to_toml(const std::string& value) {
  return quoted(value);
}

Converted<bool> AsBool::from(const Node& node) {
  if (const auto* flag = std::get_if<bool>(&node.value)) return *flag;
  return Wanted{std::string{kWantBool}};
}
Converted<bool> AsBool::from(std::string_view text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  return Wanted{std::string{kWantBool}};
}
std::string AsBool::to_toml(const bool& value) {
  return value ? "true" : "false";
}

Converted<std::int64_t> AsInteger::checked(std::int64_t value) const {
  if (value >= range.min && value <= range.max) return value;
  return Wanted{want_in_range(*this, "a whole number")};
}
Converted<std::int64_t> AsInteger::from(const Node& node) const {
  if (const auto* integer = std::get_if<std::int64_t>(&node.value)) return checked(*integer);
  return Wanted{want_in_range(*this, "a whole number")};
}
Converted<std::int64_t> AsInteger::from(std::string_view text) const {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, ec] = std::from_chars(text.data(), end, value);
  if (ec == std::errc{} && rest == end) return checked(value);
  return Wanted{want_in_range(*this, "a whole number")};
}
std::string AsInteger::to_toml(const std::int64_t& value) {
  return std::to_string(value);
}

Converted<std::string> AsChoice::from(const Node& node) const {
  return from_string_node(*this, node, kWantString);
}
Converted<std::string> AsChoice::from(std::string_view text) const {
  std::string all;
  for (const std::string& word : words) {
    if (word == text) return word;
    all += all.empty() ? "" : &word == &words.back() ? " or " : ", ";
    all += quoted(word);
  }
  std::string want = "write " + all;
  if (const auto near = nearest_key(text, words)) want += "; did you mean " + quoted(*near) + "?";
  return Wanted{std::move(want)};
}
std::string AsChoice::to_toml(const std::string& value) {
  return quoted(value);
}

Converted<std::uint64_t> AsRate::from(const Node& node) const {
  return from_string_node(*this, node, kWantRate);
}
Converted<std::uint64_t> AsRate::from(std::string_view text) const {
  const auto value = parse_rate_bps(text);
  if (!value) return Wanted{std::string{kWantRate}};
  return in_range(*this, *value);
}
std::string AsRate::to_toml(const std::uint64_t& value) {
  return quoted(rate_text(value));
}

Converted<std::uint64_t> AsSize::from(const Node& node) const {
  return from_string_node(*this, node, kWantSize);
}
Converted<std::uint64_t> AsSize::from(std::string_view text) const {
  const auto value = parse_size_bytes(text);
  if (!value) return Wanted{std::string{kWantSize}};
  return in_range(*this, *value);
}
std::string AsSize::to_toml(const std::uint64_t& value) {
  return quoted(size_text(value));
}

Converted<Duration> AsDuration::from(const Node& node) const {
  return from_string_node(*this, node, kWantDuration);
}
Converted<Duration> AsDuration::from(std::string_view text) const {
  const auto value = parse_duration(text);
  if (!value) return Wanted{std::string{kWantDuration}};
  return in_range(*this, *value);
}
std::string AsDuration::to_toml(const Duration& value) {
  return quoted(duration_text(value));
}

Converted<std::vector<std::string>> AsStrings::from(const Node& node) {
  const Node::List* const list = node.list();
  if (list == nullptr) return Wanted{std::string{kWantStrings}};
  std::vector<std::string> out;
  for (const Node& item : *list) {
    const auto* text = std::get_if<std::string>(&item.value);
    if (text == nullptr) return Wanted{std::string{kWantStrings}};
    out.push_back(*text);
  }
  return out;
}
Converted<std::vector<std::string>> AsStrings::from(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), item.size() + 1));
    if (const auto word = trim(item); !word.empty()) out.emplace_back(word);
  }
  return out;
}
std::string AsStrings::to_toml(const std::vector<std::string>& value) {
  std::string out;
  for (const std::string& item : value) out += (out.empty() ? "" : ", ") + quoted(item);
  return "[" + out + "]";
}

}  // namespace tayga::config
