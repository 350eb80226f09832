#pragma once

#include "common/base/result.hpp"
#include "common/http/headers.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tayga::http {

enum class Method : std::uint8_t { get, head, put, post, delete_, options, patch };

std::string_view to_string(Method method) noexcept;

struct QueryParameter {
  std::string name;
  std::string value;
  friend bool operator==(const QueryParameter&, const QueryParameter&) = default;
};

/// A request target taken apart and decoded once, so that nobody decodes twice.
struct Target {
  std::string path;  ///< begins with '/'; or "*" for OPTIONS
  std::vector<QueryParameter> query;
  friend bool operator==(const Target&, const Target&) = default;
};

/// Splits and percent-decodes a target in origin form ("/a?b=c"), absolute form ("http://h/a") or
/// "*". Error: bad_target for a bad escape, a control character, an encoded slash, or a segment
/// that is
/// "." or ".." after decoding.
Result<Target> parse_target(std::string_view target);

/// What a client asked for, without its body.
struct Request {
  Method method = Method::get;
  std::string target;  ///< as received
  std::string path;    ///< decoded, free of dot segments
  std::vector<QueryParameter> query;
  Headers headers;
  boost::asio::ip::tcp::endpoint remote;
  unsigned version = 11;  ///< 10 or 11
  bool keep_alive = true;

  /// The first parameter of that name.
  [[nodiscard]] std::optional<std::string_view> query_value(std::string_view name) const noexcept;
};

}  // namespace tayga::http
