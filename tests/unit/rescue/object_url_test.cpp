#include "daemon/rescue/origin_rescue.hpp"
#include "tests/support/catch.hpp"

using tayga::rescue::object_url;

TEST_CASE("an object lies at the origin where its path says, from the playlist's directory") {
  CHECK(object_url("http://o.example:81/live/master.m3u8", "v0/s 1.ts") ==
        "http://o.example:81/live/v0/s%201.ts");
  CHECK(object_url("https://o.example", "s.ts") == "https://o.example/s.ts");
}

TEST_CASE("the playlist's query is not that of the objects beside it") {
  CHECK(object_url("https://o.example/a/m.m3u8?token=1", "s.ts") == "https://o.example/a/s.ts");
}

TEST_CASE("a path never becomes more of a URL than its path") {
  CHECK(object_url("http://o.example/m.m3u8", "a?b#c%2e") == "http://o.example/a%3Fb%23c%252e");
  CHECK(object_url("http://o.example/a/m.m3u8", "x:y").starts_with("http://o.example/a/x"));
  CHECK(object_url("http://o.example/a/m.m3u8", "../s.ts").empty());
  CHECK(object_url("http://o.example/a/m.m3u8", "/s.ts").empty());
}

TEST_CASE("what the origin cannot have has no URL") {
  CHECK(object_url("http://o.example/m.m3u8", "_ext/0011.ts").empty());
  CHECK(object_url("http://o.example/m.m3u8", ".tayga/catalog.json").empty());
  CHECK(object_url("", "s.ts").empty());
  CHECK(object_url("file:///etc/m.m3u8", "passwd").empty());
  CHECK(object_url("ftp://o.example/m.m3u8", "s.ts").empty());
  CHECK(object_url("http://user:secret@o.example/m.m3u8", "s.ts").empty());
}
