#pragma once

#include "common/base/result.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

/// The control protocol: one JSON object per line, a request and then its answer.
///   {"command":"status","args":{}}  ->  {"ok":true,"result":...}
///                                       {"ok":false,"error":{"code":"...","message":"..."}}
namespace tayga::admin {

inline constexpr std::size_t kRequestSizeMax = 64 * 1024;
inline constexpr std::size_t kAnswerSizeMax = 8 * 1024 * 1024;
inline constexpr std::size_t kDepthMax = 16;

struct Request {
  std::string command;
  boost::json::object args;  ///< empty when the request has none
};

/// Why a command failed, for programs and for people.
struct Failure {
  std::string code;  ///< snake_case, such as "unknown_command"
  std::string message;
  friend bool operator==(const Failure&, const Failure&) = default;
};

using Answer = std::variant<boost::json::value, Failure>;

/// Use it instead of `Answer{json::value{object}}`, whose braces would wrap the object in an array.
inline Answer success(boost::json::value result) {
  return Answer(std::in_place_index<0>, std::move(result));
}

/// Reads a line without its end. Error: AdminErrc::protocol.
Result<Request> parse_request(std::string_view line);
Result<Answer> parse_answer(std::string_view line);

/// With the line break at the end.
std::string serialize(const Request& request);
/// An answer larger than kAnswerSizeMax becomes the failure "answer_too_large".
std::string serialize(const Answer& answer);

}  // namespace tayga::admin
