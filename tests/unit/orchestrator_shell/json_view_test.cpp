#include "orchestrator/http/json_view.hpp"

#include "common/base/encoding.hpp"
#include "tests/support/catch.hpp"

#include <boost/json.hpp>

using namespace tayga;
using namespace tayga::orch;

namespace json = boost::json;

namespace {

NodeId node(std::uint8_t fill) {
  NodeId id;
  id.bytes.fill(static_cast<std::byte>(fill));
  return id;
}

World::Snapshot three_nodes() {
  World::Snapshot world;
  for (std::uint8_t i = 1; i <= 3; ++i) {
    World::NodeStatus status;
    status.record.id = node(i);
    status.record.name = "n" + std::to_string(i) + "\"<";
    status.record.endpoints = {{"2001:db8::1", 7410}};
    world.nodes.push_back(std::move(status));
  }
  return world;
}

}  // namespace

TEST_CASE("a page's size is 1 to 1000 and its token a number") {
  CHECK(parse_page({}, {})->size == 100);
  CHECK(parse_page("7", "20")->begin == 20);
  CHECK(parse_page("1000", {}));
  for (const char* bad : {"0", "1001", "-1", "x", "", "1x"}) CHECK_FALSE(parse_page(bad, {}));
  CHECK_FALSE(parse_page({}, "abc"));
}

TEST_CASE("a list is given in pages until no token comes") {
  const World::Snapshot world = three_nodes();
  const json::value first = json::parse(nodes_json(world, {0, 2}));
  CHECK(first.at("nodes").as_array().size() == 2);
  CHECK(first.at("next_page_token").as_string() == "2");
  const json::value last = json::parse(nodes_json(world, {2, 2}));
  CHECK(last.at("nodes").as_array().size() == 1);
  CHECK_FALSE(last.as_object().contains("next_page_token"));
  CHECK(json::parse(nodes_json(world, {99, 2})).at("nodes").as_array().empty());
}

TEST_CASE("a link is shown with its standby, and a stream with how many there are") {
  World::Snapshot world = three_nodes();
  World::StreamStatus stream;
  stream.record.name = "tv";
  stream.upstream[node(2)] = {{TrackId{1}, StripeIndex{0}, node(1)},
                              {TrackId{1}, StripeIndex{1}, node(1)}};
  stream.standby[node(2)] = {{TrackId{1}, StripeIndex{1}, node(3)}};
  world.streams.push_back(std::move(stream));
  const json::value all = json::parse(links_json(world, kWholeList));
  const json::array& links = all.at("links").as_array();
  CHECK_FALSE(links.at(0).as_object().contains("standby"));
  CHECK(links.at(1).at("standby").as_string() == to_string(node(3)).c_str());
  const json::value streams = json::parse(streams_json(world, kWholeList));
  CHECK(streams.at("streams").as_array().at(0).at("standbys").to_number<int>() == 1);
}

TEST_CASE("a node is shown with its id in base32 and its texts escaped") {
  const json::value all = json::parse(nodes_json(three_nodes(), kWholeList));
  const json::value& first = all.at("nodes").as_array().at(0);
  CHECK(first.at("id").as_string() == to_string(node(1)).c_str());
  CHECK(first.at("name").as_string() == "n1\"<");
  CHECK(first.at("endpoints").as_array().at(0).as_string() == "[2001:db8::1]:7410");
}

TEST_CASE("a link carries what its parent reports of it") {
  World::Snapshot world = three_nodes();
  LinkState report;
  report.peer = node(2);
  report.rtt_us = 900;
  world.nodes[0].telemetry.links = {report};
  World::StreamStatus stream;
  stream.record.name = "tv";
  stream.upstream[node(2)] = {{TrackId{1}, StripeIndex{3}, node(1)}};
  stream.upstream[node(3)] = {{TrackId{1}, StripeIndex{3}, node(2)}};
  world.streams.push_back(stream);
  const json::value all = json::parse(links_json(world, kWholeList));
  const json::array& links = all.at("links").as_array();
  REQUIRE(links.size() == 2);
  CHECK(links[0].at("stream").as_string() == "tv");
  CHECK(links[0].at("rtt_us").as_int64() == 900);
  CHECK(links[0].at("stripe").as_int64() == 3);
  CHECK_FALSE(links[1].as_object().contains("rtt_us"));
}

TEST_CASE("balances come with the ledger's totals") {
  const std::vector<Balance> balances{{node(1), 10, 0, 1}, {node(2), 0, 10, 1}};
  const json::value all = json::parse(balances_json(balances, {1, 10, 3}, {0, 1}));
  CHECK(all.at("totals").at("bytes").as_int64() == 10);
  CHECK(all.at("balances").as_array().size() == 1);
  CHECK(all.at("next_page_token").as_string() == "1");
}

TEST_CASE("a problem names its status and its detail") {
  const json::value problem = json::parse(problem_json(404, "Not Found", "no \"x\""));
  CHECK(problem.at("status").as_int64() == 404);
  CHECK(problem.at("title").as_string() == "Not Found");
  CHECK(problem.at("detail").as_string() == "no \"x\"");
}
