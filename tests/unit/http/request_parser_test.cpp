#include "common/http/request_parser.hpp"

#include "common/http/errors.hpp"
#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::http;

namespace {

Result<ParsedHead> parse_whole(std::string_view text, std::size_t header_size_max = 8192) {
  RequestParser parser{header_size_max};
  auto head = parser.parse(as_bytes(text));
  if (!head) return head.error();
  REQUIRE(head->has_value());
  return std::move(**head);
}

error_code error_of(std::string_view text) {
  return parse_whole(text).error();
}

}  // namespace

TEST_CASE("a request head is parsed from any cut of its bytes") {
  const std::string text =
      "PUT /in/a%20b?k=v HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nX-A:  b c \r\n"
      "Expect: 100-continue\r\n\r\n";
  const std::string more = text + "body";
  for (std::size_t step = 1; step <= more.size(); ++step) {
    RequestParser parser{8192};
    std::optional<ParsedHead> head;
    for (std::size_t seen = step; !head; seen = std::min(seen + step, more.size())) {
      auto parsed = parser.parse(as_bytes(more).first(seen));
      REQUIRE(parsed.has_value());
      head = std::move(*parsed);
    }
    CHECK(parser.head_size() == text.size());
    CHECK(head->request.method == Method::put);
    CHECK(head->request.target == "/in/a%20b?k=v");
    CHECK(head->request.path == "/in/a b");
    CHECK(head->request.query_value("k") == "v");
    CHECK(head->request.headers.get("x-a") == "b c");
    CHECK(head->request.keep_alive);
    CHECK(head->framing == BodyFraming{false, 12, true});
  }
}

TEST_CASE("the connection stays open as the version and the Connection field say") {
  CHECK(parse_whole("GET / HTTP/1.1\r\nHost: h\r\n\r\n")->request.keep_alive);
  CHECK_FALSE(
      parse_whole("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")->request.keep_alive);
  CHECK_FALSE(parse_whole("GET / HTTP/1.0\r\n\r\n")->request.keep_alive);
  CHECK(parse_whole("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")->request.keep_alive);
  CHECK(parse_whole("GET / HTTP/1.0\r\n\r\n")->request.version == 10);
}

TEST_CASE("one line break before the request line is forgiven") {
  RequestParser parser{8192};
  const std::string text = "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n";
  CHECK_FALSE(parser.parse(as_bytes("\r")).value().has_value());
  CHECK(parser.parse(as_bytes(text)).value().has_value());
  CHECK(parser.head_size() == text.size());
  CHECK(error_of("\rGET / HTTP/1.1\r\nHost: h\r\n\r\n") == make_error_code(HttpErrc::bad_request));
}

TEST_CASE("a head that two parsers could read differently is refused") {
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n";
  for (const std::string& bad : {
           std::string{"GET / HTTP/1.1\r\n\r\n"},
           get + "Host: h\r\n\r\n",
           get + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
           get + "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
           get + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
           get + "Content-Length: -1\r\n\r\n",
           get + "Content-Length: 99999999999999999999\r\n\r\n",
           get + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
           get + "A b: c\r\n\r\n",
           get + "A : c\r\n\r\n",
           get + "A: b\nC: d\r\n\r\n",
           std::string{"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
           std::string{"GET  / HTTP/1.1\r\nHost: h\r\n\r\n"},
           std::string{"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"},
           std::string{"G\x01T / HTTP/1.1\r\nHost: h\r\n\r\n"},
       }) {
    CAPTURE(bad);
    CHECK(parse_whole(bad).has_error());
  }
}

TEST_CASE("what is well formed but not ours is told apart") {
  CHECK(error_of("BREW / HTTP/1.1\r\nHost: h\r\n\r\n") ==
        make_error_code(HttpErrc::unknown_method));
  CHECK(error_of("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n") ==
        make_error_code(HttpErrc::unknown_method));
  CHECK(error_of("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n") ==
        make_error_code(HttpErrc::unknown_coding));
  CHECK(error_of("GET / HTTP/2.0\r\nHost: h\r\n\r\n") ==
        make_error_code(HttpErrc::unknown_version));
  CHECK(error_of("GET /../x HTTP/1.1\r\nHost: h\r\n\r\n") == make_error_code(HttpErrc::bad_target));
}

TEST_CASE("a head is bounded whether it comes whole, in pieces, or never ends") {
  const std::string begin = "GET / HTTP/1.1\r\nHost: h\r\n";
  std::string whole = begin;
  while (whole.size() < 1024) whole += "A: 0123456789\r\n";
  whole += "\r\n";
  CHECK(parse_whole(whole, 4096).has_value());
  CHECK(parse_whole(whole, 512).error() == make_error_code(HttpErrc::header_too_large));

  RequestParser parser{512};
  error_code error;
  std::size_t seen = 0;
  while (!error && seen < whole.size()) error = parser.parse(as_bytes(whole).first(++seen)).error();
  CHECK(error == make_error_code(HttpErrc::header_too_large));
  CHECK(seen <= 512);

  const std::string endless = "GET /" + std::string(600, 'a');
  CHECK(parse_whole(endless, 512).error() == make_error_code(HttpErrc::header_too_large));
}
