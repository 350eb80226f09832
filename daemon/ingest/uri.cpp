#include "daemon/ingest/uri.hpp"

#include "common/media/slice.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace tayga::ingest {
namespace {

bool is_alpha(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
char to_lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
std::string to_lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(), [](char c) { return to_lower(c); });
  return out;
}
int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

std::string_view without_fragment(std::string_view reference) noexcept {
  return reference.substr(0, reference.find('#'));
}

struct PathAndQuery {
  std::string_view path;
  std::string_view query;
};
PathAndQuery split_query(std::string_view text) noexcept {
  const std::size_t mark = text.find('?');
  if (mark == std::string_view::npos) return {text, {}};
  return {text.substr(0, mark), text.substr(mark + 1)};
}

std::vector<std::string_view> split_segments(std::string_view path) {
  std::vector<std::string_view> segments;
  for (;;) {
    const std::size_t slash = path.find('/');
    segments.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

/// RFC 3986 section 5.2.4 for a path that begins with '/'.
std::string remove_dot_segments(std::string_view path) {
  std::vector<std::string_view> kept;
  const std::vector<std::string_view> segments = split_segments(path.substr(1));
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const bool last = i + 1 == segments.size();
    if (segments[i] == "..") {
      if (!kept.empty()) kept.pop_back();
      if (last) kept.emplace_back();
    } else if (segments[i] == ".") {
      if (last) kept.emplace_back();
    } else {
      kept.push_back(segments[i]);
    }
  }
  std::string out;
  for (const std::string_view segment : kept) {
    out += '/';
    out += segment;
  }
  return out.empty() ? "/" : out;
}

std::string_view directory_of(std::string_view path) noexcept {
  return path.substr(0, path.rfind('/') + 1);  // npos + 1 is an empty directory
}

}  // namespace

bool has_scheme(std::string_view reference) noexcept {
  if (reference.empty() || !is_alpha(reference.front())) return false;
  for (const char c : reference) {
    if (c == ':') return true;
    if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.') return false;
  }
  return false;
}

std::optional<HttpUrl> parse_http_url(std::string_view text) {
  text = without_fragment(text);
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos) return std::nullopt;
  HttpUrl url;
  url.scheme = to_lower(text.substr(0, colon));
  if (url.scheme != "http" && url.scheme != "https") return std::nullopt;
  text.remove_prefix(colon + 3);
  const std::size_t end = std::min(text.find_first_of("/?"), text.size());
  url.authority = to_lower(text.substr(0, end));
  if (url.authority.empty() || url.authority.front() == ':') return std::nullopt;
  if (url.authority.find('@') != std::string::npos) return std::nullopt;
  const bool printable = std::ranges::all_of(text, [](char c) { return c > 0x20 && c != 0x7F; });
  if (!printable) return std::nullopt;
  const PathAndQuery rest = split_query(text.substr(end));
  url.path = remove_dot_segments(rest.path.empty() ? "/" : rest.path);
  url.query = rest.query;
  return url;
}

std::string to_string(const HttpUrl& url) {
  std::string out = url.scheme + "://" + url.authority + url.path;
  if (!url.query.empty()) out += '?' + url.query;
  return out;
}

bool same_origin(const HttpUrl& a, const HttpUrl& b) noexcept {
  return a.scheme == b.scheme && a.authority == b.authority;
}

std::optional<HttpUrl> resolve_url(const HttpUrl& base, std::string_view reference) {
  reference = without_fragment(reference);
  if (has_scheme(reference)) return parse_http_url(reference);
  if (reference.starts_with("//")) {
    return parse_http_url(base.scheme + ":" + std::string{reference});
  }
  const PathAndQuery parts = split_query(reference);
  std::string path = base.path;
  if (parts.path.starts_with('/')) {
    path = parts.path;
  } else if (!parts.path.empty()) {
    path = std::string{directory_of(base.path)} + std::string{parts.path};
  }
  const bool keeps_query = parts.path.empty() && parts.query.empty();
  std::string text = base.scheme + "://" + base.authority + path;
  const std::string_view query = keeps_query ? std::string_view{base.query} : parts.query;
  if (!query.empty()) text += '?' + std::string{query};
  return parse_http_url(text);
}

std::optional<std::string> resolve_path(std::string_view base_path, std::string_view reference) {
  reference = split_query(without_fragment(reference)).path;
  if (reference.empty() || reference.front() == '/' || has_scheme(reference)) return std::nullopt;
  std::vector<std::string> kept;
  const std::string_view directory = directory_of(base_path);
  if (!directory.empty()) {
    for (const auto segment : split_segments(directory.substr(0, directory.size() - 1))) {
      kept.emplace_back(segment);
    }
  }
  for (const std::string_view segment : split_segments(reference)) {
    if (segment == ".") continue;
    if (segment == "..") {
      if (kept.empty()) return std::nullopt;
      kept.pop_back();
      continue;
    }
    auto decoded = percent_decode(segment);
    if (!decoded || decoded->find('/') != std::string::npos) return std::nullopt;
    kept.push_back(std::move(*decoded));
  }
  std::string out;
  for (const std::string& segment : kept) {
    if (!out.empty()) out += '/';
    out += segment;
  }
  if (!media::is_safe_path(out)) return std::nullopt;
  return out;
}

std::string make_reference(std::string_view base_path, std::string_view path) {
  std::string_view from = directory_of(base_path);
  for (;;) {  // drop the directories that both share
    const std::size_t slash = from.find('/');
    if (slash == std::string_view::npos) break;
    if (path.substr(0, slash + 1) != from.substr(0, slash + 1)) break;
    from.remove_prefix(slash + 1);
    path.remove_prefix(slash + 1);
  }
  std::string out;
  for (auto up = std::ranges::count(from, '/'); up > 0; --up) out += "../";
  const std::string encoded = percent_encode_path(path);
  if (out.empty() && has_scheme(encoded)) out = "./";  // "a:b.ts" would read as a scheme
  return out + encoded;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

std::string percent_encode_path(std::string_view text) {
  constexpr std::string_view kPlain = "-._~!$&'()*+,;=:@/";  // RFC 3986 pchar and '/'
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_alpha(c) || is_digit(c) || kPlain.find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    const auto value = static_cast<std::uint8_t>(c);
    out += '%';
    out += kHex[value >> 4];
    out += kHex[value & 0xF];
  }
  return out;
}

}  // namespace tayga::ingest
