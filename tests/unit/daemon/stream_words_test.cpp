#include "daemon/stream_words.hpp"

#include "tests/support/catch.hpp"

#include <boost/json/parse.hpp>

using tayga::describe_streams;

namespace {

const std::string kStripe = R"({"track":1,"stripe":0,"parent":"ab12cd34efgh","subscribed":true,
  "standby":"ef56ab78cdef","standby_ready":true,"suspected":false,"hops":2,"next_seq":120,
  "lateness_ms":45})";
const std::string kOrphan = R"({"track":1,"stripe":1,"parent":null,"subscribed":false,
  "standby":null,"standby_ready":false,"suspected":false,"hops":0,"next_seq":7,"lateness_ms":0})";
const std::string kSuspected = R"({"track":1,"stripe":2,"parent":"ab12cd34efgh","subscribed":true,
  "standby":"ef56ab78cdef","standby_ready":false,"suspected":true,"hops":1,"next_seq":7,
  "lateness_ms":1500})";
const std::string kRepair = R"({"lost":"ab12cd34efgh","parent":"ef56ab78cdef","reason":"silent",
  "gap_ms":84.2,"age_s":12})";

std::string described(const std::string& stripes, const std::string& repair, int gateway_bytes,
                      int repairs) {
  const std::string text =
      R"({"streams":[{"name":"tv","publishing":false,"playing":[1],"objects_complete":9,
      "objects_late":1,"objects_lost":0,"cached_bytes":1500,"gateway_bytes":)" +
      std::to_string(gateway_bytes) + R"(,"origin_bytes":0,"repairs":)" + std::to_string(repairs) +
      R"(,"last_repair":)" + repair + R"(,"stripes":[)" + stripes +
      R"(]}],"repair_gap_ms":{"p50":80,"p99":90,"max":95.5,"count":)" + std::to_string(repairs) +
      "}}";
  return describe_streams(boost::json::parse(text).as_object());
}

}  // namespace

TEST_CASE("a stripe is described by who sends it, and who stands by") {
  CHECK(described(kStripe, "null", 0, 0) ==
        "tv  played here; 9 objects whole, 1 late, 0 lost; 1.50 kB cached\n"
        "  track 1 stripe 0  from ab12cd34 (2 hops); standby ef56ab78 ready; next slice 120, "
        "45 ms behind the publisher\n");
}

TEST_CASE("a stripe without a parent or standby, and one with a suspect, say so") {
  const std::string text = described(kOrphan + "," + kSuspected, "null", 0, 0);
  CHECK_THAT(text, tayga::test::contains("stripe 1  no parent; no standby; next slice 7"));
  CHECK_THAT(text, tayga::test::contains("from ab12cd34 (1 hop), SUSPECTED; standby ef56ab78 not "
                                         "ready; next slice 7, 1.5 s behind"));
}

TEST_CASE("the last repair is told in words") {
  const std::string text = described(kStripe, kRepair, 0, 3);
  CHECK_THAT(text, tayga::test::contains("  last repair: 12 s ago, ab12cd34 fell silent, ef56ab78 "
                                         "took over after 84 ms; 3 repairs so far\n"));
  CHECK_THAT(text, tayga::test::contains(
                       "repairs of this node: 3, half within 80 ms, the longest 96 ms\n"));
}

TEST_CASE("what was rescued is told where anything was") {
  CHECK_THAT(described(kStripe, "null", 2'000'000, 0),
             tayga::test::contains("  rescued: 2.00 MB from the gateway, 0 B from the origin\n"));
}

TEST_CASE("a node without streams says so") {
  CHECK(describe_streams(boost::json::parse(R"({"streams":[]})").as_object()) == "no streams\n");
}

TEST_CASE("an answer of another version is refused by an exception") {
  const auto answer = boost::json::parse(R"({"streams":[{"name":"tv"}]})");
  CHECK_THROWS(describe_streams(answer.as_object()));
}
