#include "daemon/ingest/uri.hpp"

#include "tests/support/catch.hpp"

using namespace tayga::ingest;

TEST_CASE("a reference resolves against a playlist's path as RFC 3986 says") {
  CHECK(resolve_path("index.m3u8", "seg_1.ts") == "seg_1.ts");
  CHECK(resolve_path("v0/index.m3u8", "seg_1.ts") == "v0/seg_1.ts");
  CHECK(resolve_path("v0/index.m3u8", "./a/../seg_1.ts") == "v0/seg_1.ts");
  CHECK(resolve_path("v0/index.m3u8", "../audio/seg%201.ts?token=a/b#t") == "audio/seg 1.ts");
}

TEST_CASE("a reference that is no object of the stream has no path") {
  CHECK_FALSE(resolve_path("index.m3u8", "../seg.ts"));
  CHECK_FALSE(resolve_path("v0/index.m3u8", "/seg.ts"));
  CHECK_FALSE(resolve_path("v0/index.m3u8", "//host/seg.ts"));
  CHECK_FALSE(resolve_path("v0/index.m3u8", "https://host/seg.ts"));
  CHECK_FALSE(resolve_path("v0/index.m3u8", "data:video/mp2t;base64,AAAA"));
  CHECK_FALSE(resolve_path("v0/index.m3u8", ""));
  CHECK_FALSE(resolve_path("v0/index.m3u8", "a%2Fb.ts"));
  CHECK_FALSE(resolve_path("v0/index.m3u8", "%2e%2e/b.ts"));
  CHECK_FALSE(resolve_path("v0/index.m3u8", "a%zz.ts"));
  CHECK_FALSE(resolve_path("v0/index.m3u8", "a//b.ts"));
}

TEST_CASE("a URL resolves against the URL of its playlist") {
  const auto base = parse_http_url("HTTP://Example.com:8080/live/v0/index.m3u8?t=1#x");
  REQUIRE(base);
  CHECK(*base == HttpUrl{"http", "example.com:8080", "/live/v0/index.m3u8", "t=1"});
  const auto resolved = [&](std::string_view reference) {
    const auto url = resolve_url(*base, reference);
    return url ? to_string(*url) : std::string{"none"};
  };
  CHECK(resolved("s.ts") == "http://example.com:8080/live/v0/s.ts");
  CHECK(resolved("../s.ts?a=b") == "http://example.com:8080/live/s.ts?a=b");
  CHECK(resolved("/s.ts") == "http://example.com:8080/s.ts");
  CHECK(resolved("//cdn/s.ts") == "http://cdn/s.ts");
  CHECK(resolved("https://cdn/s.ts") == "https://cdn/s.ts");
  CHECK(resolved("?q=2") == "http://example.com:8080/live/v0/index.m3u8?q=2");
  CHECK(resolved("../../../../s.ts") == "http://example.com:8080/s.ts");
  CHECK(resolved("skd://key") == "none");
}

TEST_CASE("only http and https URLs without user information are taken") {
  CHECK_FALSE(parse_http_url("ftp://host/a"));
  CHECK_FALSE(parse_http_url("http://user:secret@host/a"));
  CHECK_FALSE(parse_http_url("http:///a"));
  CHECK_FALSE(parse_http_url("host/a"));
  CHECK_FALSE(parse_http_url("http://host/a b"));
  CHECK(to_string(*parse_http_url("https://host")) == "https://host/");
}

TEST_CASE("a reference made for a path resolves to it again") {
  const char* const bases[] = {"m.m3u8", "v0/m.m3u8", "a/b/m.m3u8"};
  const char* const paths[] = {"s.ts", "v0/s.ts", "a/s.ts", "_ext/0 1%.ts", "x:y.ts", "a/b/c/s.ts"};
  for (const auto* base : bases) {
    for (const auto* path : paths) {
      CHECK(resolve_path(base, make_reference(base, path)) == path);
    }
  }
  CHECK(make_reference("v0/m.m3u8", "_ext/s.ts") == "../_ext/s.ts");
  CHECK(make_reference("v0/m.m3u8", "v0/s.ts") == "s.ts");
}
