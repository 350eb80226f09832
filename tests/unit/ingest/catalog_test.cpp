#include "daemon/ingest/catalog.hpp"

#include "daemon/ingest/json_text.hpp"
#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::ingest;

TEST_CASE("a catalog comes back as it was written") {
  Catalog catalog;
  catalog.stripe_count = 4;
  catalog.tracks = {{TrackId{1}, "v0/index.m3u8", 800'000}, {TrackId{2}, "v \"1\".m3u8", 0}};
  CHECK(parse_catalog(serialize_catalog(catalog)) == catalog);
  catalog.master = "live/master.m3u8";
  CHECK(parse_catalog(serialize_catalog(catalog)) == catalog);
}

TEST_CASE("the written form is the one that is promised") {
  Catalog catalog;
  catalog.tracks = {{TrackId{1}, "v0.m3u8", 7}};
  CHECK(
      serialize_catalog(catalog) ==
      R"({"version":1,"stripes":1,"tracks":[{"id":1,"playlist":"v0.m3u8","bitrate_bps":7}],"master":null})");
}

TEST_CASE("a catalog with a wrong field is refused, one with an unknown field is taken") {
  const auto with = [](const std::string& tracks, const std::string& rest = "\"master\":null") {
    return R"({"version":1,"stripes":1,"tracks":[)" + tracks + "]," + rest + "}";
  };
  CHECK(parse_catalog(with("", R"("master":null,"later":[{}])")));
  CHECK_FALSE(parse_catalog("{"));
  CHECK_FALSE(parse_catalog("[]"));
  CHECK_FALSE(parse_catalog(R"({"version":2,"stripes":1,"tracks":[],"master":null})"));
  CHECK_FALSE(parse_catalog(R"({"version":1,"stripes":33,"tracks":[],"master":null})"));
  CHECK_FALSE(parse_catalog(with(R"({"id":0,"playlist":"a.m3u8","bitrate_bps":1})")));
  CHECK_FALSE(parse_catalog(with(R"({"id":16,"playlist":"a.m3u8","bitrate_bps":1})")));
  CHECK_FALSE(parse_catalog(with(R"({"id":1,"playlist":"../a.m3u8","bitrate_bps":1})")));
  CHECK_FALSE(parse_catalog(with(R"({"id":1,"playlist":"a.m3u8","bitrate_bps":-1})")));
  const std::string track = R"({"id":1,"playlist":"a.m3u8","bitrate_bps":1})";
  CHECK_FALSE(parse_catalog(with(track + "," + track)));
  CHECK_FALSE(parse_catalog(with(track, R"("master":"/etc/passwd")")));
  CHECK_FALSE(parse_catalog(std::string(kCatalogSizeMax + 1, ' ')));
  CHECK_FALSE(parse_catalog(std::string(1000, '[')));
}

TEST_CASE("quoted text is one JSON string on one line, whatever its bytes") {
  CHECK(json_quote("a\"b\\c\nd\x01") == R"("a\"b\\c\nd\u0001")");
  CHECK(json_quote("\xC3\xA4") == "\"\xC3\xA4\"");
  CHECK(json_quote("\xC3") == "\"\xEF\xBF\xBD\"");
  CHECK(json_quote("\xED\xA0\x80") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}
