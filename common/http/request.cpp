#include "common/http/request.hpp"

#include "common/http/errors.hpp"

namespace tayga::http {
namespace {

enum class Plus { literal, space };

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// nullopt on a broken escape or a character that no file name or parameter of ours has.
std::optional<std::string> percent_decode(std::string_view text, Plus plus) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (text.size() - i < 3) return std::nullopt;
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high << 4 | low);
      i += 2;
    } else if (c == '+' && plus == Plus::space) {
      c = ' ';
    }
    const auto u = static_cast<unsigned char>(c);
    if (u < ' ' || u == 0x7f) return std::nullopt;
    out.push_back(c);
  }
  return out;
}

/// An encoded slash would let one segment pass as two behind a check, so it is refused.
Result<std::string> decode_path(std::string_view raw) {
  std::string path;
  while (!raw.empty()) {
    raw.remove_prefix(1);  // the slash
    const std::string_view segment = raw.substr(0, raw.find('/'));
    const auto decoded = percent_decode(segment, Plus::literal);
    if (!decoded || decoded->find('/') != std::string::npos) return HttpErrc::bad_target;
    if (*decoded == "." || *decoded == "..") return HttpErrc::bad_target;
    path += '/';
    path += *decoded;
    raw.remove_prefix(segment.size());
  }
  return path;
}

Result<std::vector<QueryParameter>> decode_query(std::string_view raw) {
  std::vector<QueryParameter> out;
  while (!raw.empty()) {
    const std::string_view pair = raw.substr(0, raw.find('&'));
    raw.remove_prefix(std::min(raw.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    const auto name = percent_decode(pair.substr(0, equals), Plus::space);
    const auto value = equals == std::string_view::npos
                           ? std::string{}
                           : percent_decode(pair.substr(equals + 1), Plus::space);
    if (!name || !value) return HttpErrc::bad_target;
    out.push_back(QueryParameter{*name, *value});
  }
  return out;
}

/// "http://host:1/a?b" -> "/a?b"; other forms unchanged.
std::string_view strip_authority(std::string_view target) noexcept {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!equal_ignoring_case(target.substr(0, scheme.size()), scheme)) continue;
    const std::string_view rest = target.substr(scheme.size());
    const auto slash = rest.find('/');
    return slash == std::string_view::npos ? std::string_view{"/"} : rest.substr(slash);
  }
  return target;
}

}  // namespace

std::string_view to_string(Method method) noexcept {
  switch (method) {
    case Method::get:
      return "GET";
    case Method::head:
      return "HEAD";
    case Method::put:
      return "PUT";
    case Method::post:
      return "POST";
    case Method::delete_:
      return "DELETE";
    case Method::options:
      return "OPTIONS";
    case Method::patch:
      return "PATCH";
  }
  return "";
}

Result<Target> parse_target(std::string_view target) {
  if (target == "*") return Target{"*", {}};
  target = strip_authority(target);
  if (target.empty() || target.front() != '/') return HttpErrc::bad_target;
  target = target.substr(0, target.find('#'));
  const auto mark = target.find('?');
  auto path = decode_path(target.substr(0, mark));
  if (!path) return path.error();
  if (mark == std::string_view::npos) return Target{std::move(*path), {}};
  auto query = decode_query(target.substr(mark + 1));
  if (!query) return query.error();
  return Target{std::move(*path), std::move(*query)};
}

std::optional<std::string_view> Request::query_value(std::string_view name) const noexcept {
  for (const QueryParameter& parameter : query) {
    if (parameter.name == name) return parameter.value;
  }
  return std::nullopt;
}

}  // namespace tayga::http
