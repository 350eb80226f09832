#include "common/http/body_decoder.hpp"

#include "common/http/errors.hpp"
#include "tests/support/catch.hpp"

#include <array>
#include <string>

using namespace tayga;
using namespace tayga::http;

namespace {

struct Outcome {
  std::string body;
  std::size_t consumed = 0;
  bool done = false;
  error_code error;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

constexpr BodyFraming kChunked{true, 0, false};

/// Offers at most `in_max` bytes at a time and room for `out_max`.
Outcome decode(const BodyFraming& framing, std::string_view text, std::size_t in_max,
               std::size_t out_max) {
  BodyDecoder decoder{framing};
  Outcome out;
  std::array<std::byte, 64> room{};
  while (!decoder.done() && out.consumed < text.size()) {
    const auto in =
        as_bytes(text).subspan(out.consumed, std::min(in_max, text.size() - out.consumed));
    const auto step = decoder.decode(in, std::span{room}.first(out_max));
    if (!step) {
      out.error = step.error();
      break;
    }
    REQUIRE(step->consumed > 0);
    out.consumed += step->consumed;
    out.body += as_text(ByteView{room}.first(step->produced));
  }
  out.done = decoder.done();
  return out;
}

void check_all_splits(const BodyFraming& framing, std::string_view text, const Outcome& expected) {
  for (std::size_t in_max = 1; in_max <= text.size(); ++in_max) {
    for (const std::size_t out_max : {1U, 3U, 64U}) {
      CAPTURE(text, in_max, out_max);
      CHECK(decode(framing, text, in_max, out_max) == expected);
    }
  }
}

}  // namespace

TEST_CASE("a body of known length ends at that length, however it is cut") {
  check_all_splits(BodyFraming{false, 5, false}, "helloGET /", {"hello", 5, true, {}});
  CHECK(BodyDecoder{BodyFraming{}}.done());
}

TEST_CASE("a chunked body is joined, however it is cut, and stops before the next request") {
  check_all_splits(kChunked, "5\r\nhello\r\n0\r\n\r\nGET /", {"hello", 15, true, {}});
  check_all_splits(kChunked, "0\r\n\r\n", {"", 5, true, {}});
  const std::string extended = "1;a=b\r\nx\r\n0A \r\n0123456789\r\n000;q\r\nT: v\r\nU: w\r\n\r\n";
  check_all_splits(kChunked, extended, {"x0123456789", extended.size(), true, {}});
}

TEST_CASE("a chunk's size line must be hexadecimal digits and end in CR LF") {
  const error_code bad = HttpErrc::bad_body;
  for (const char* text : {"\r\n", "g\r\n", "-1\r\n", "5\nhello", "5\rxhello", ";a\r\n", " 5\r\n",
                           "10000000000000000\r\n", "5a\x01\r\n", "5\r\nhelloXX", "5\r\nhello\rX",
                           "0\r\n\rX", "0\r\nT\x01: v\r\n", "0\r\nT: v\rX"}) {
    CAPTURE(text);
    CHECK(decode(kChunked, text, 64, 64).error == bad);
    CHECK(decode(kChunked, text, 1, 64).error == bad);
  }
  CHECK(decode(kChunked, "ffffffffffffffff\r\nab", 64, 64) == Outcome{"ab", 20, false, {}});
}

TEST_CASE("extensions and trailers are bounded") {
  const error_code bad = HttpErrc::bad_body;
  const std::string long_extension = "1;" + std::string(kChunkLineSizeMax, 'a');
  CHECK(decode(kChunked, long_extension, 64, 64).error == bad);
  const std::string long_zeros(kChunkLineSizeMax + 1, '0');
  CHECK(decode(kChunked, long_zeros, 64, 64).error == bad);
  std::string many_trailers = "0\r\n";
  while (many_trailers.size() < 2 * kTrailersSizeMax) many_trailers += "A: b\r\n";
  CHECK(decode(kChunked, many_trailers, 64, 64).error == bad);
}
