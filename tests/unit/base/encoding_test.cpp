#include "common/base/encoding.hpp"

#include "tests/support/catch.hpp"

using namespace tayga;

namespace {

Bytes bytes_of(std::string_view text) {
  const ByteView view = as_bytes(text);
  return {view.begin(), view.end()};
}

}  // namespace

TEST_CASE("hex is two lower-case digits for each byte and is read in either case") {
  CHECK(to_hex(as_bytes(std::string_view{"\x00\xff\x1a", 3})) == "00ff1a");
  CHECK(to_hex({}).empty());
  CHECK(from_hex("00FF1a") == bytes_of(std::string_view{"\x00\xff\x1a", 3}));
  CHECK(from_hex("") == Bytes{});
  for (const char* bad : {"0", "0g", "0x00", "00 0"}) {
    CAPTURE(bad);
    CHECK_FALSE(from_hex(bad).has_value());
  }
}

TEST_CASE("base32 is RFC 4648 in lower case without padding") {
  // RFC 4648 section 10.
  const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                   {"f", "my"},
                                                                   {"fo", "mzxq"},
                                                                   {"foo", "mzxw6"},
                                                                   {"foob", "mzxw6yq"},
                                                                   {"fooba", "mzxw6ytb"},
                                                                   {"foobar", "mzxw6ytboi"}};
  for (const auto& [text, encoded] : vectors) {
    CAPTURE(text);
    CHECK(to_base32(as_bytes(text)) == encoded);
    CHECK(from_base32(encoded) == bytes_of(text));
  }
  CHECK(from_base32("MZXW6YTBOI") == bytes_of("foobar"));
}

TEST_CASE("base32 of every length comes back, and 32 bytes are 52 characters") {
  Bytes bytes;
  for (int i = 0; i < 70; ++i) {
    CHECK(from_base32(to_base32(bytes)) == bytes);
    bytes.push_back(static_cast<std::byte>(i * 37 + 200));
  }
  CHECK(to_base32(ByteView{bytes}.first(32)).size() == 52);
}

TEST_CASE("base32 has one spelling: other characters, lengths and spare bits are refused") {
  for (const char* bad : {"a", "aaa", "aaaaaa", "m1", "m8", "my======", "m y", "mz", "mzxr"}) {
    CAPTURE(bad);
    CHECK_FALSE(from_base32(bad).has_value());
  }
}
