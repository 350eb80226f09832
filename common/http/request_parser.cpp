#include "common/http/request_parser.hpp"

#include "common/base/check.hpp"
#include "common/http/errors.hpp"

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace tayga::http {
namespace {

namespace beast = boost::beast;

std::optional<Method> to_method(beast::http::verb verb) noexcept {
  switch (verb) {
    case beast::http::verb::get:
      return Method::get;
    case beast::http::verb::head:
      return Method::head;
    case beast::http::verb::put:
      return Method::put;
    case beast::http::verb::post:
      return Method::post;
    case beast::http::verb::delete_:
      return Method::delete_;
    case beast::http::verb::options:
      return Method::options;
    case beast::http::verb::patch:
      return Method::patch;
    default:
      return std::nullopt;  // Beast's enum grows; everything else is refused alike
  }
}

HttpErrc to_errc(const beast::error_code& error) noexcept {
  if (error == beast::http::error::header_limit) return HttpErrc::header_too_large;
  if (error == beast::http::error::bad_version) return HttpErrc::unknown_version;
  return HttpErrc::bad_request;
}

std::string_view view(beast::string_view text) noexcept {
  return {text.data(), text.size()};
}

/// RFC 9112 section 3.2: exactly one Host in HTTP/1.1.
bool has_right_hosts(const Request& request) noexcept {
  const std::size_t hosts = request.headers.count("Host");
  return hosts == 1 || (hosts == 0 && request.version == 10);
}

}  // namespace

struct RequestParser::State {
  beast::http::request_parser<beast::http::empty_body> parser;
  std::size_t blank_size = 0;  // a line break before the request line, which RFC 9112 2.2 allows
  std::size_t head_size = 0;
  std::size_t head_size_max = 0;

  Result<BodyFraming> framing(const Request& request) const;
  Result<ParsedHead> take_head() const;
};

Result<BodyFraming> RequestParser::State::framing(const Request& request) const {
  BodyFraming out;
  out.expects_continue =
      request.version == 11 &&
      equal_ignoring_case(request.headers.get("Expect").value_or(""), "100-continue");
  const auto coding = request.headers.get("Transfer-Encoding");
  if (!coding) {
    out.content_length = parser.content_length().value_or(0);
    return out;
  }
  if (request.version == 10) return HttpErrc::bad_request;
  if (!equal_ignoring_case(*coding, "chunked")) return HttpErrc::unknown_coding;
  if (request.headers.count("Transfer-Encoding") != 1 || !parser.chunked()) {
    return HttpErrc::bad_request;
  }
  out.chunked = true;
  return out;
}

Result<ParsedHead> RequestParser::State::take_head() const {
  const auto& message = parser.get();
  ParsedHead out;
  Request& request = out.request;
  request.version = message.version();
  request.keep_alive = parser.keep_alive();
  request.target = view(message.target());
  for (const auto& field : message) {
    request.headers.add(std::string{view(field.name_string())}, std::string{view(field.value())});
  }
  if (!has_right_hosts(request)) return HttpErrc::bad_request;
  const auto method = to_method(message.method());
  if (!method) return HttpErrc::unknown_method;
  request.method = *method;
  auto target = parse_target(request.target);
  if (!target) return target.error();
  request.path = std::move(target->path);
  request.query = std::move(target->query);
  const auto body = framing(request);
  if (!body) return body.error();
  out.framing = *body;
  return out;
}

RequestParser::RequestParser(std::size_t header_size_max) : state_{std::make_unique<State>()} {
  TAYGA_CHECK(header_size_max >= 64);
  state_->head_size_max = header_size_max;
  state_->parser.header_limit(static_cast<std::uint32_t>(header_size_max));
  state_->parser.body_limit(boost::none);
  state_->parser.skip(true);  // bodies are BodyDecoder's
}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

Result<std::optional<ParsedHead>> RequestParser::parse(ByteView received) {
  State& state = *state_;
  const std::string_view text = as_text(received);
  if (state.blank_size == 0 && text.starts_with("\r")) {
    if (text.size() < 2) return std::optional<ParsedHead>{};
    if (text[1] != '\n') return HttpErrc::bad_request;
    state.blank_size = 2;
  }
  // Beast keeps its place when it has taken a whole request line or nothing: feed it what it lacks.
  while (!state.parser.is_header_done()) {
    const ByteView rest = received.subspan(state.blank_size + state.head_size);
    beast::error_code error;
    const std::size_t used = state.parser.put({rest.data(), rest.size()}, error);
    state.head_size += used;
    if (error == beast::http::error::need_more) {
      // Beast's own limit counts only what it has not consumed yet.
      if (received.size() >= state.head_size_max) return HttpErrc::header_too_large;
      return std::optional<ParsedHead>{};
    }
    if (error) return to_errc(error);
  }
  state.head_size += state.blank_size;
  if (state.head_size > state.head_size_max) return HttpErrc::header_too_large;
  auto head = state.take_head();
  if (!head) return head.error();
  return std::optional<ParsedHead>{std::move(*head)};
}

std::size_t RequestParser::head_size() const noexcept {
  return state_->head_size;
}

}  // namespace tayga::http
