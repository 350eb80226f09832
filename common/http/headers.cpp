#include "common/http/headers.hpp"

#include <algorithm>

namespace tayga::http {
namespace {

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// token68 of RFC 9110 section 11.2.
bool is_token68(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view{"-._~+/="}.find(c) != std::string_view::npos;
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, {}, lower, lower);
}

void Headers::add(std::string name, std::string value) {
  list_.push_back(Header{std::move(name), std::move(value)});
}

void Headers::set(std::string name, std::string value) {
  std::erase_if(list_, [&](const Header& h) { return equal_ignoring_case(h.name, name); });
  add(std::move(name), std::move(value));
}

std::optional<std::string_view> Headers::get(std::string_view name) const noexcept {
  for (const Header& header : list_) {
    if (equal_ignoring_case(header.name, name)) return header.value;
  }
  return std::nullopt;
}

bool Headers::contains(std::string_view name) const noexcept {
  return get(name).has_value();
}

std::size_t Headers::count(std::string_view name) const noexcept {
  const auto same = [&](const Header& h) { return equal_ignoring_case(h.name, name); };
  return static_cast<std::size_t>(std::ranges::count_if(list_, same));
}

std::optional<std::string_view> bearer_token(const Headers& headers) noexcept {
  constexpr std::string_view kScheme = "bearer";
  const auto field = headers.get("Authorization");
  if (!field || field->size() <= kScheme.size()) return std::nullopt;
  if (!equal_ignoring_case(field->substr(0, kScheme.size()), kScheme)) return std::nullopt;
  std::string_view token = field->substr(kScheme.size());
  if (token.front() != ' ') return std::nullopt;
  while (!token.empty() && token.front() == ' ') token.remove_prefix(1);
  while (!token.empty() && token.back() == ' ') token.remove_suffix(1);
  if (token.empty() || !std::ranges::all_of(token, is_token68)) return std::nullopt;
  return token;
}

}  // namespace tayga::http
