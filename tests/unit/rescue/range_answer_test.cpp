#include "daemon/rescue/range_answer.hpp"

#include "tests/support/catch.hpp"

#include <string>
#include <string_view>

using namespace tayga;
using namespace tayga::rescue;

namespace {

http::FetchHead partial(std::string content_range) {
  return {206, {{"Content-Range", std::move(content_range)}}};
}
http::FetchHead whole(std::string length) {
  return {200, {{"Content-Length", std::move(length)}}};
}

/// What the bytes of a body become: "OFFSET:TEXT".
std::string taken(RangeAnswer& answer, std::string_view body) {
  const RangeAnswer::Piece piece = answer.on_body(as_bytes(body));
  if (piece.bytes.empty()) return "";
  return std::to_string(piece.offset) + ":" + std::string{as_text(piece.bytes)};
}

}  // namespace

TEST_CASE("a part is asked for as a range, the whole object without one") {
  CHECK(RangeAnswer{Part{5, 5}}.range() == http::ByteRange{5, 9});
  CHECK(RangeAnswer{Part{5, 0}}.range() == http::ByteRange{5, http::ByteRange::kOpenEnd});
  CHECK(RangeAnswer{Part{0, 4}}.range() == http::ByteRange{0, 3});
  CHECK(RangeAnswer{Part{0, 0}}.range() == std::nullopt);
}

TEST_CASE("206 with the part that was asked for is taken as it comes") {
  RangeAnswer answer{Part{5, 5}};
  REQUIRE(answer.on_head(partial("bytes 5-9/20")));
  CHECK(taken(answer, "fg") == "5:fg");
  CHECK_FALSE(answer.is_complete());
  CHECK(taken(answer, "hij") == "7:hij");
  CHECK(answer.is_full());
  CHECK(answer.is_complete());
  CHECK(answer.size() == 20);
}

TEST_CASE("200 brings everything: what lies around the part is skipped") {
  RangeAnswer answer{Part{5, 3}};
  REQUIRE(answer.on_head(whole("10")));
  CHECK(taken(answer, "abc").empty());
  CHECK(taken(answer, "de").empty());
  CHECK(taken(answer, "f") == "5:f");
  CHECK(taken(answer, "ghij") == "6:gh");
  CHECK(answer.is_full());
  CHECK(taken(answer, "k").empty());
  CHECK(answer.is_complete());
  CHECK(answer.size() == 10);
}

TEST_CASE("one read may hold what is skipped, the part and more") {
  RangeAnswer answer{Part{2, 2}};
  REQUIRE(answer.on_head(whole("6")));
  CHECK(taken(answer, "abcdef") == "2:cd");
  CHECK(answer.is_complete());
}

TEST_CASE("to the end is complete when the size was said and reached") {
  RangeAnswer answer{Part{5, 0}};
  REQUIRE(answer.on_head(partial("bytes 5-9/10")));
  CHECK(taken(answer, "fghi") == "5:fghi");
  CHECK_FALSE(answer.is_complete());
  CHECK(taken(answer, "j") == "9:j");
  CHECK(answer.is_complete());
}

TEST_CASE("to the end of an answer of unknown length is complete when it ended") {
  RangeAnswer answer{Part{2, 0}};
  REQUIRE(answer.on_head({200, {}}));
  CHECK(taken(answer, "abcd") == "2:cd");
  CHECK_FALSE(answer.is_complete());
  CHECK(answer.size() == std::nullopt);
  answer.on_end();
  CHECK(answer.is_complete());
  CHECK(answer.size() == 4);
}

TEST_CASE("206 without a size never says that this was the end") {
  RangeAnswer answer{Part{5, 0}};
  REQUIRE(answer.on_head(partial("bytes 5-6/*")));
  CHECK(taken(answer, "fg") == "5:fg");
  answer.on_end();
  CHECK_FALSE(answer.is_complete());
  CHECK(answer.size() == std::nullopt);
}

TEST_CASE("less than was asked for is taken, and is not all") {
  RangeAnswer answer{Part{5, 10}};
  REQUIRE(answer.on_head(partial("bytes 5-9/10")));
  CHECK(taken(answer, "fghij") == "5:fghij");
  answer.on_end();
  CHECK_FALSE(answer.is_complete());
  CHECK(answer.size() == 10);
}

TEST_CASE("an answer of another part, or none that can be told, is of no use") {
  for (const char* other : {"bytes 4-9/20", "bytes 0-4/20", "bytes 5-10/20", "bytes */20", "x"}) {
    CAPTURE(other);
    CHECK_FALSE(RangeAnswer{Part{5, 5}}.on_head(partial(other)));
  }
  CHECK_FALSE(RangeAnswer{Part{5, 5}}.on_head({206, {}}));
  CHECK_FALSE(RangeAnswer{Part{5, 5}}.on_head({204, {}}));
  CHECK_FALSE(RangeAnswer{Part{5, 5}}.on_head(whole("4")));
}

TEST_CASE("an answer in a coding is of no use: its bytes are not the object's") {
  http::FetchHead head = whole("10");
  head.headers.add("Content-Encoding", "gzip");
  CHECK_FALSE(RangeAnswer{Part{0, 5}}.on_head(head));
  head.headers.set("Content-Encoding", "identity");
  CHECK(RangeAnswer{Part{0, 5}}.on_head(head));
}

TEST_CASE("416 says how large the object is") {
  RangeAnswer answer{Part{50, 0}};
  answer.on_unsatisfied({{"Content-Range", "bytes */20"}});
  CHECK(answer.size() == 20);
  CHECK_FALSE(answer.is_complete());
}
