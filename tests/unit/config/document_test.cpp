#include "common/config/document.hpp"

#include "common/config/nearest_key.hpp"
#include "common/config/unit_text.hpp"
#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::config;

TEST_CASE("a document keeps where its keys and values stand") {
  const Document document = parse_document("a = 1\n\n[s]\n  bc =  \"x\"\n");
  REQUIRE(document.problem.empty());
  const Entry* const a = find(document.root, "a");
  REQUIRE(a != nullptr);
  CHECK(a->key_place == Place{1, 1});
  CHECK(a->node.place == Place{1, 5});
  const Entry* const s = find(document.root, "s");
  REQUIRE(s != nullptr);
  REQUIRE(s->node.table() != nullptr);
  const Entry* const bc = find(*s->node.table(), "bc");
  REQUIRE(bc != nullptr);
  CHECK(bc->key_place == Place{4, 3});
  CHECK(bc->node.place == Place{4, 9});
  CHECK(find(document.root, "none") == nullptr);
}

TEST_CASE("values are described in TOML's words") {
  const Document document = parse_document(
      "a = \"x\\n\\u0001\"\nb = -7\nc = true\nd = 1.5\ne = [1]\nf = {}\ng = 2026-01-02\nh = "
      "10:00:00\n");
  REQUIRE(document.problem.empty());
  std::string all;
  for (const Entry& entry : document.root) all += entry.key + "=" + describe(entry.node) + ";";
  CHECK(all == "a=\"x\\n\\u0001\";b=-7;c=true;d=a fraction;e=a list;f=a table;g=a date;h=a time;");
}

TEST_CASE("what is not TOML is refused with its place, however deep or large") {
  CHECK(parse_document("a = 1\nb = = 2\n").problem.find("line 2, column 5: ") == 0);
  CHECK(parse_document("a = 1\na = 2\n").problem.find("line 2, ") == 0);
  CHECK_FALSE(parse_document("a = " + std::string(100'000, '[')).problem.empty());
  CHECK_FALSE(parse_document("a = \"\xff\xfe\"").problem.empty());
  CHECK_FALSE(parse_document("[[ = \"x\"\nb ne\"\n").problem.empty());
  CHECK(parse_document(std::string(kDocumentSizeMax + 1, '\n')).problem ==
        "the file is larger than 1 MiB");
}

TEST_CASE("a character beyond ASCII is told with its place, unless quoted or in a comment") {
  const std::string stray =
      ": a character beyond ASCII stands outside quotes; put the text into quotes";
  CHECK(parse_document("a = 1\na \xc3\x86 = 1").problem == "line 2, column 3" + stray);
  CHECK(parse_document("a = \"x\\\"\" \xc3\x86").problem == "line 1, column 11" + stray);
  CHECK(parse_document("a = '\\' \xc3\x86").problem == "line 1, column 9" + stray);
  const Document good = parse_document(
      "\xef\xbb\xbf# \xc3\x86\n\"\xc3\x86\" = \"\\\"\xc3\x86\"\nb = '\\' # '\xc3\x86\n"
      "c = \"\"\"\n\"\xc3\x86\"\"\"\"\nd = '''\xc3\x86'''''\ne = \"\"\nf = ''\n");
  CHECK(good.problem.empty());
  CHECK(good.root.size() == 6);
}

TEST_CASE("the edit distance counts added, dropped, changed and swapped letters") {
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "abc") == 0);
  CHECK(edit_distance("upload_cpa", "upload_cap") == 1);
  CHECK(edit_distance("listne", "listen") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("the nearest key is found only when it is near") {
  const std::vector<std::string> keys{"listen", "list", "cache_limit"};
  CHECK(nearest_key("listne", keys) == "listen");
  CHECK(nearest_key("cachelimit", keys) == "cache_limit");
  CHECK(nearest_key("lst", keys) == "list");
  CHECK(nearest_key("zebra", keys) == std::nullopt);
  CHECK(nearest_key(std::string(100'000, 'a'), keys) == std::nullopt);
  CHECK(nearest_key("x", std::vector<std::string>{}) == std::nullopt);
}

TEST_CASE("unit texts are exact") {
  CHECK(rate_text(10'000'000) == "10mbit");
  CHECK(rate_text(1'500) == "1500bit");
  CHECK(rate_text(0) == "0bit");
  CHECK(size_text(500'000'000'000) == "500G");
  CHECK(size_text(24ULL << 20U) == "24MiB");
  CHECK(size_text(1'000'001) == "1000001B");
  CHECK(duration_text(30s) == "30s");
  CHECK(duration_text(1500ms) == "1500ms");
  CHECK(duration_text(0s) == "0s");
  CHECK(duration_text(48h) == "2d");
}
