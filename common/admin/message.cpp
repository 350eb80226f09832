#include "common/admin/message.hpp"

#include "common/admin/errors.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace tayga::admin {
namespace {

namespace json = boost::json;

Result<json::object> parse_object(std::string_view line) {
  json::parse_options options;
  options.max_depth = kDepthMax;
  error_code error;
  json::value value = json::parse({line.data(), line.size()}, error, {}, options);
  if (error || !value.is_object()) return AdminErrc::protocol;
  return std::move(value.get_object());
}

std::string to_line(const json::object& object) {
  return json::serialize(object) + '\n';
}

std::string text_or_empty(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains({key.data(), key.size()});
  if (value == nullptr || !value->is_string()) return {};
  const json::string& text = value->get_string();
  return {text.data(), text.size()};
}

json::object failure_object(const Failure& failure) {
  json::object error;
  error["code"] = failure.code;
  error["message"] = failure.message;
  json::object out;
  out["ok"] = false;
  out["error"] = std::move(error);
  return out;
}

}  // namespace

Result<Request> parse_request(std::string_view line) {
  if (line.size() > kRequestSizeMax) return AdminErrc::protocol;
  auto object = parse_object(line);
  if (!object) return object.error();
  Request request;
  request.command = text_or_empty(*object, "command");
  if (request.command.empty()) return AdminErrc::protocol;
  if (json::value* args = object->if_contains("args")) {
    if (!args->is_object()) return AdminErrc::protocol;
    request.args = std::move(args->get_object());
  }
  return request;
}

Result<Answer> parse_answer(std::string_view line) {
  auto object = parse_object(line);
  if (!object) return object.error();
  const json::value* ok = object->if_contains("ok");
  if (ok == nullptr || !ok->is_bool()) return AdminErrc::protocol;
  if (ok->get_bool()) {
    json::value* result = object->if_contains("result");
    if (result == nullptr) return AdminErrc::protocol;
    return success(std::move(*result));
  }
  const json::value* error = object->if_contains("error");
  if (error == nullptr || !error->is_object()) return AdminErrc::protocol;
  const json::object& failure = error->get_object();
  return Answer{Failure{text_or_empty(failure, "code"), text_or_empty(failure, "message")}};
}

std::string serialize(const Request& request) {
  json::object out;
  out["command"] = request.command;
  out["args"] = request.args;
  return to_line(out);
}

std::string serialize(const Answer& answer) {
  if (const auto* failure = std::get_if<Failure>(&answer)) {
    return to_line(failure_object(*failure));
  }
  json::object out;
  out["ok"] = true;
  out["result"] = std::get<json::value>(answer);
  std::string line = to_line(out);
  if (line.size() <= kAnswerSizeMax) return line;
  return to_line(
      failure_object({"answer_too_large", "the answer is larger than 8 MiB; ask for less"}));
}

}  // namespace tayga::admin
