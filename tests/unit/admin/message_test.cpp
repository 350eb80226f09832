#include "common/admin/message.hpp"

#include "common/admin/errors.hpp"
#include "tests/support/catch.hpp"

#include <boost/json/serialize.hpp>

using namespace tayga;
using namespace tayga::admin;
namespace json = boost::json;

TEST_CASE("a request is one line with a command and its arguments") {
  Request request;
  request.command = "stream add";
  request.args["name"] = "a\nb";
  const std::string line = serialize(request);
  CHECK(line == "{\"command\":\"stream add\",\"args\":{\"name\":\"a\\nb\"}}\n");
  const auto parsed = parse_request(line);
  REQUIRE(parsed.has_value());
  CHECK(parsed->command == "stream add");
  CHECK(parsed->args == request.args);
  CHECK(parse_request("{\"command\":\"x\"}")->args.empty());
}

TEST_CASE("an answer is a result or a failure") {
  const auto result = parse_answer(serialize(success(json::array{1, "b"})));
  REQUIRE(result.has_value());
  CHECK((std::get<json::value>(*result) == json::array{1, "b"}));
  const auto failure = parse_answer(serialize(Answer{Failure{"not_found", "no stream \"x\""}}));
  REQUIRE(failure.has_value());
  CHECK((std::get<Failure>(*failure) == Failure{"not_found", "no stream \"x\""}));
}

TEST_CASE("what is not of the protocol is refused, however deep or large") {
  const error_code bad = AdminErrc::protocol;
  for (const char* line : {"", "x", "[]", "{}", "{\"command\":1}", "{\"command\":\"\"}",
                           "{\"command\":\"a\",\"args\":[]}", "{\"command\":\"a\"} x"}) {
    CAPTURE(line);
    CHECK(parse_request(line).error() == bad);
  }
  CHECK(parse_request("{\"command\":\"a\",\"args\":" + std::string(10'000, '[')).error() == bad);
  CHECK(parse_request("{\"command\":\"" + std::string(kRequestSizeMax, 'a') + "\"}").error() ==
        bad);
  for (const char* line : {"", "{}", "{\"ok\":1}", "{\"ok\":true}", "{\"ok\":false}"}) {
    CAPTURE(line);
    CHECK(parse_answer(line).error() == bad);
  }
}

TEST_CASE("an answer beyond the maximum is replaced by a failure that says so") {
  const auto parsed = parse_answer(serialize(success(json::string(kAnswerSizeMax, 'a'))));
  REQUIRE(parsed.has_value());
  CHECK(std::get<Failure>(*parsed).code == "answer_too_large");
}
