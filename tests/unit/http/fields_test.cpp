#include "common/http/errors.hpp"
#include "common/http/headers.hpp"
#include "common/http/mime.hpp"
#include "common/http/range.hpp"
#include "common/http/request.hpp"
#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::http;

namespace {

Target target(std::string path, std::vector<QueryParameter> query = {}) {
  return Target{std::move(path), std::move(query)};
}

std::optional<ByteRange> range(std::uint64_t first, std::uint64_t last) {
  return ByteRange{first, last};
}

std::optional<std::string_view> token_of(std::string value) {
  static Headers headers;
  headers = {};
  headers.add("authorization", std::move(value));
  return bearer_token(headers);
}

}  // namespace

TEST_CASE("a request target is decoded once into its path and parameters") {
  CHECK(parse_target("/live/a%20b/x.m3u8").value() == target("/live/a b/x.m3u8"));
  CHECK(parse_target("/?a=1&b=x+y%2B&c&&=d").value() ==
        target("/", {{"a", "1"}, {"b", "x y+"}, {"c", ""}, {"", "d"}}));
  CHECK(parse_target("/p?CMCD=bl%3D2000%2Cbs").value() == target("/p", {{"CMCD", "bl=2000,bs"}}));
  CHECK(parse_target("http://host:1/a?b=c").value() == target("/a", {{"b", "c"}}));
  CHECK(parse_target("http://host").value() == target("/"));
  CHECK(parse_target("*").value() == target("*"));
  CHECK(parse_target("/a+b//c/").value() == target("/a+b//c/"));
}

TEST_CASE("a request target that leaves its folder or hides a byte is refused") {
  for (const char* bad :
       {"", "a", "/..", "/../x", "/a/./b", "/a/%2e%2E/b", "/%2e", "/a%2fb", "/a%00", "/a%0ab", "/%",
        "/%4", "/%zz", "/a?x=%", "/a?x=%0d%0a", "/a/.."}) {
    CAPTURE(bad);
    CHECK(parse_target(bad).error() == make_error_code(HttpErrc::bad_target));
  }
  CHECK(parse_target("/.../..a/a..").value() == target("/.../..a/a.."));
}

TEST_CASE("field names are compared without case and keep their order") {
  Headers headers{{"Host", "a"}, {"X-A", "1"}, {"x-a", "2"}};
  CHECK(headers.get("HOST") == "a");
  CHECK(headers.get("x-A") == "1");
  CHECK(headers.count("X-a") == 2);
  CHECK_FALSE(headers.contains("X"));
  headers.set("X-A", "3");
  CHECK(headers == Headers{{"Host", "a"}, {"X-A", "3"}});
}

TEST_CASE("a bearer token is one token68 behind its scheme") {
  CHECK(token_of("Bearer abc-._~+/9=") == "abc-._~+/9=");
  CHECK(token_of("bearer   k ") == "k");
  for (const char* bad :
       {"", "Bearer", "Bearer ", "Basic abc", "Bearerabc", "Bearer a b", "Bearer a,"}) {
    CAPTURE(bad);
    CHECK_FALSE(token_of(bad).has_value());
  }
  CHECK_FALSE(bearer_token(Headers{}).has_value());
}

TEST_CASE("a range names a part of the file") {
  CHECK(parse_range("bytes=0-9", 100).value() == range(0, 9));
  CHECK(parse_range("bytes=90-", 100).value() == range(90, 99));
  CHECK(parse_range("Bytes= 90-900 ", 100).value() == range(90, 99));
  CHECK(parse_range("bytes=-1", 100).value() == range(99, 99));
  CHECK(parse_range("bytes=-900", 100).value() == range(0, 99));
  CHECK(range(90, 99)->size() == 10);
  CHECK(content_range({90, 99}, 100) == "bytes 90-99/100");
}

TEST_CASE("a range that is absent, malformed, of another unit or not single means the whole file") {
  CHECK(parse_range(std::nullopt, 100).value() == std::nullopt);
  for (const char* whole :
       {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=9-1", "lines=0-1", "bytes=0-1,5-6",
        "bytes=0x1-2", "bytes=+1-2", "bytes=1--2", "bytes=99999999999999999999-"}) {
    CAPTURE(whole);
    CHECK(parse_range(whole, 100).value() == std::nullopt);
  }
}

TEST_CASE("a range outside the file is not satisfiable") {
  for (const char* outside : {"bytes=100-", "bytes=100-200", "bytes=-0"}) {
    CAPTURE(outside);
    CHECK(parse_range(outside, 100).error() == make_error_code(HttpErrc::not_satisfiable));
  }
  CHECK(parse_range("bytes=0-", 0).error() == make_error_code(HttpErrc::not_satisfiable));
  CHECK(parse_range("bytes=-5", 0).error() == make_error_code(HttpErrc::not_satisfiable));
  CHECK(content_range_unsatisfied(100) == "bytes */100");
  CHECK(http_status(HttpErrc::not_satisfiable) == 416);
}

TEST_CASE("a range is written as a request field") {
  CHECK(range_field({0, 9}) == "bytes=0-9");
  CHECK(range_field({5, ByteRange::kOpenEnd}) == "bytes=5-");
}

TEST_CASE("a content range says which bytes came, and of how many") {
  CHECK(parse_content_range("bytes 90-99/100") == ContentRange{ByteRange{90, 99}, 100});
  CHECK(parse_content_range("Bytes  0-0/1 ") == ContentRange{ByteRange{0, 0}, 1});
  CHECK(parse_content_range("bytes 0-9/*") == ContentRange{ByteRange{0, 9}, std::nullopt});
  CHECK(parse_content_range("bytes */100") == ContentRange{std::nullopt, 100});
}

TEST_CASE("a content range that is malformed or contradicts itself says nothing") {
  for (const char* bad :
       {"", "bytes", "bytes ", "bytes=0-9/10", "items 0-9/10", "bytes 0-9", "bytes 9-0/10",
        "bytes 0-10/10", "bytes -9/10", "bytes 0-/10", "bytes */*", "bytes 0-9/", "bytes 0-9/x",
        "bytes 0-18446744073709551615/*", "bytes 0-99999999999999999999/*", "bytes 0-9,20-29/30"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_content_range(bad).has_value());
  }
}

TEST_CASE("media files have the types that players ask for") {
  CHECK(mime_type("/live/x/master.m3u8") == "application/vnd.apple.mpegurl");
  CHECK(mime_type("seg-1.TS") == "video/mp2t");
  CHECK(mime_type("a.b/init.mp4") == "video/mp4");
  CHECK(mime_type("s.m4s") == "video/iso.segment");
  CHECK(mime_type("s.cmfa") == "audio/mp4");
  CHECK(mime_type("s.mpd") == "application/dash+xml");
  CHECK(mime_type("s.vtt") == "text/vtt");
  CHECK(mime_type("a.ts/none") == "application/octet-stream");
  CHECK(mime_type("ts") == "application/octet-stream");
  CHECK(mime_type("") == "application/octet-stream");
}
