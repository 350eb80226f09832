#include "orchestrator/app/print_view.hpp"

#include "tests/support/catch.hpp"

using tayga::orch::to_human;

TEST_CASE("nodes are printed as aligned columns") {
  const std::string out =
      to_human("node.ls",
               R"({"nodes":[{"id":"abc","name":"box","roles":["relay","viewer"],"connected":true,)"
               R"("usable_uplink_bps":8000000,"endpoints":["192.0.2.1:7410"]}]})");
  CHECK(out ==
        "ID   NAME  ROLES         STATE      UPLINK       ENDPOINT\n"
        "abc  box   relay,viewer  connected  8.00 Mbit/s  192.0.2.1:7410\n");
}

TEST_CASE("an empty list says what to do about it") {
  CHECK(to_human("stream.ls", R"({"streams":[]})") ==
        "no stream; add one with `stream add NAME`\n");
}

TEST_CASE("a new stream's ingest key is printed with where to publish and watch") {
  const std::string out = to_human(
      "stream.add",
      R"({"name":"tv","ingest_key":"k","ingest_url":"http://g/i","playback_url":"http://n/p"})");
  CHECK(out.find("ingest key   k ") != std::string::npos);
  CHECK(out.find("publish to   http://g/i") != std::string::npos);
  CHECK(out.find("watch at     http://n/p") != std::string::npos);
}

TEST_CASE("an answer that is no object is printed as it is") {
  CHECK(to_human("node.ls", "[1]") == "[1]\n");
  CHECK(to_human("node.ls", "oops") == "oops\n");
}
