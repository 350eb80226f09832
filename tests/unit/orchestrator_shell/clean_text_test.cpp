#include "orchestrator/rpc/clean_text.hpp"

#include "tests/support/catch.hpp"

using tayga::orch::clean_text;

TEST_CASE("a stranger's label keeps its letters") {
  CHECK(clean_text("relay-1 Köln 東京 🚀", 64) == "relay-1 Köln 東京 🚀");
}

TEST_CASE("control, line-breaking and direction-changing characters are removed from a label") {
  CHECK(clean_text("a\x1b[31mb\r\nc\x7f", 64) == "a[31mbc");
  CHECK(clean_text("abc\xE2\x80\xAE"
                   "def\xE2\x80\xA8\xEF\xBB\xBF",
                   64) == "abcdef");
  CHECK(clean_text("\xC2\x85x", 64) == "x");
}

TEST_CASE("bytes that are no UTF-8 become replacement characters") {
  const std::string r = "\xEF\xBF\xBD";
  CHECK(clean_text("a\xFFz", 64) == "a" + r + "z");
  CHECK(clean_text("\xC0\xAF", 64) == r + r);          // overlong '/'
  CHECK(clean_text("\xED\xA0\x80", 64) == r + r + r);  // surrogate
  CHECK(clean_text("\xF4\x90\x80\x80", 64) == r + r + r + r);
  CHECK(clean_text("x\xE6\x9D", 64) == "x" + r + r);  // cut off
}

TEST_CASE("a long label is cut between characters") {
  CHECK(clean_text("äöü", 5) == "äö");
  CHECK(clean_text("abcdef", 3) == "abc");
  CHECK(clean_text("", 3).empty());
}
