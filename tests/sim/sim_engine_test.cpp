// The engine's own parts: chance, order of events, paths, percentiles, the command line.
#include "tests/sim/draws.hpp"
#include "tests/sim/event_queue.hpp"
#include "tests/sim/fifo.hpp"
#include "tests/sim/id_table.hpp"
#include "tests/sim/network_model.hpp"
#include "tests/sim/path.hpp"
#include "tests/sim/peer_wire.hpp"
#include "tests/sim/percentiles.hpp"
#include "tests/sim/sim_cli.hpp"
#include "tests/support/catch.hpp"

#include <array>
#include <set>
#include <string>
#include <vector>

using namespace tayga;
using namespace tayga::sim;

namespace {

std::optional<SimCommand> parse(std::vector<const char*> words, std::string& error) {
  return parse_command(words, error);
}

}  // namespace

TEST_CASE("what one entity draws does not depend on what another one drew") {
  Draws alone{7, 3, Purpose::loss};
  const std::uint64_t first = alone.next();
  Draws other{7, 4, Purpose::loss};
  for (int i = 0; i < 100; ++i) static_cast<void>(other.next());
  Draws again{7, 3, Purpose::loss};
  CHECK(again.next() == first);
  Draws purpose{7, 3, Purpose::jitter};
  CHECK(purpose.next() != first);
  Draws seed{8, 3, Purpose::loss};
  CHECK(seed.next() != first);
}

TEST_CASE("a message arrives as the production codec reads it, or not at all") {
  PeerWire wire;
  relay::Fetch fetch;
  fetch.track = TrackId{1};
  fetch.ranges = {{SliceSeq{5}, SliceSeq{5 + 299}}};
  relay::PeerMessage message{fetch};
  REQUIRE(wire.pass(message).has_value());
  CHECK(std::get<relay::Fetch>(message).ranges.size() == 2);  // no range is longer than 256

  message = relay::Subscribe{};
  CHECK_FALSE(wire.pass(message).has_value());  // of no stripe
  CHECK(message == relay::PeerMessage{relay::Subscribe{}});
  for (std::uint64_t i = 0; i < PeerWire::kHeadsAlways + PeerWire::kHeadsOneIn; ++i) {
    relay::Head head;
    head.tracks.resize(1);
    message = head;
    REQUIRE(wire.pass(message).has_value());
    CHECK(std::get<relay::Head>(message) == head);
  }
}

TEST_CASE("draws stay in their range and reach all of it") {
  Draws draws{1, 1, Purpose::fault};
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(draws.below(7));
  CHECK(seen == std::set<std::uint64_t>{0, 1, 2, 3, 4, 5, 6});
  for (int i = 0; i < 1000; ++i) {
    const Duration drawn = draws.between(3us, 5us);
    CHECK((drawn >= 3us && drawn <= 5us));
  }
}

TEST_CASE("events come by time, and those of one moment in the order of their scheduling") {
  EventQueue queue;
  Draws draws{1, 2, Purpose::fault};
  for (std::uint32_t i = 0; i < 2000; ++i) {
    queue.push(TimePoint{Duration{static_cast<Duration::rep>(draws.below(50))}}, Event::Kind::call,
               i);
  }
  Event last{TimePoint{}, 0, Event::Kind::call, 0};
  std::size_t count = 0;
  while (!queue.empty()) {
    const Event next = queue.pop();
    if (count > 0 && next.at == last.at) CHECK(next.subject > last.subject);
    CHECK(next.at >= last.at);
    last = next;
    ++count;
  }
  CHECK(count == 2000);
}

TEST_CASE("a symmetric NAT gets through only to who lets in any port") {
  using enum NatClass;
  for (const NatClass other : {open, cone, port_restricted}) {
    CHECK(gets_through(other, open));
    CHECK(gets_through(other, cone));
    CHECK(gets_through(other, port_restricted));
  }
  CHECK(gets_through(symmetric, open));
  CHECK(gets_through(cone, symmetric));
  CHECK_FALSE(gets_through(symmetric, port_restricted));
  CHECK_FALSE(gets_through(port_restricted, symmetric));
  CHECK_FALSE(gets_through(symmetric, symmetric));
}

TEST_CASE("households are behind NATs, gateways, volunteers and a laboratory are not") {
  SimOptions options;
  options.nodes = 1000;
  const NetworkModel world{options, options.nodes + 1};
  std::array<unsigned, 4> households{};
  unsigned blocked = 0;
  for (NodeIndex node = 0; node <= options.nodes; ++node) {
    if (node == 0 || options.is_relay(node)) {
      CHECK(world.nat(node) == NatClass::open);
    } else {
      ++households[static_cast<std::size_t>(world.nat(node))];
    }
    CHECK(world.can_connect(0, node));
    if (node > 0) blocked += world.can_connect(node, node % options.nodes + 1) ? 0U : 1U;
  }
  for (const unsigned count : households) CHECK(count > 40);
  CHECK(blocked > 15);
  CHECK(blocked < 100);

  options.lab_rtt = 1ms;
  const NetworkModel laboratory{options, options.nodes + 1};
  for (NodeIndex node = 0; node <= options.nodes; ++node) {
    CHECK(laboratory.nat(node) == NatClass::open);
  }
}

TEST_CASE("what travels arrives in its order, however much was under way") {
  Fifo<std::uint64_t> queue;
  Draws draws{1, 3, Purpose::fault};
  std::uint64_t pushed = 0;
  std::uint64_t popped = 0;
  for (int round = 0; round < 500; ++round) {
    for (std::uint64_t n = draws.below(40); n > 0; --n) queue.push(pushed++);
    for (std::uint64_t n = draws.below(40); n > 0 && !queue.empty(); --n) {
      CHECK(queue.front() == popped);
      CHECK(queue.pop() == popped);
      ++popped;
    }
  }
  while (!queue.empty()) CHECK(queue.pop() == popped++);
  CHECK(popped == pushed);
}

TEST_CASE("a node's number is found by its id") {
  constexpr NodeIndex kNodes = 300;
  IdTable table{kNodes};
  const auto id_of = [](NodeIndex node) {
    NodeId id;
    id.bytes[0] = static_cast<std::byte>(node & 0xff);  // all of them near each other
    id.bytes[1] = static_cast<std::byte>(node >> 8);
    return id;
  };
  for (NodeIndex node = 0; node < kNodes; ++node) table.add(id_of(node), node);
  for (NodeIndex node = 0; node < kNodes; ++node) CHECK(table.at(id_of(node)) == node);
}

TEST_CASE("a path loses as many packets as it was told, and each costs a recovery") {
  SimOptions options;
  options.jitter = Duration{0};
  options.loss_ppm = 50'000;
  Path path{options, 1, 20ms};
  std::size_t late = 0;
  for (int i = 0; i < 20'000; ++i) {
    const TimePoint left{i * 40ms};
    const TimePoint at = path.arrival({left, 1000, TimePoint{}});
    CHECK(at >= left + 20ms);
    if (at == left + 20ms) continue;
    CHECK(at >= left + 20ms + 45ms);
    ++late;
  }
  CHECK(late > 800);
  CHECK(late < 1200);
}

TEST_CASE("what is sent into a path that stalls arrives after it opened") {
  SimOptions options;
  options.jitter = Duration{0};
  Path path{options, 1, 20ms};
  CHECK(path.arrival({TimePoint{1s}, 1000, TimePoint{3s}}) >= TimePoint{3s + 20ms});
  CHECK(path.arrival({TimePoint{4s}, 1000, TimePoint{3s}}) == TimePoint{4s + 20ms});
}

TEST_CASE("percentiles are exact") {
  Percentiles values;
  CHECK(values.at(500) == Duration{0});
  for (int i = 100; i >= 1; --i) values.add(Duration{i});
  CHECK(values.at(500) == Duration{50});
  CHECK(values.at(990) == Duration{99});
  CHECK(values.max() == Duration{100});
}

TEST_CASE("the command line says what it does not know") {
  std::string error;
  CHECK_FALSE(parse({}, error).has_value());
  CHECK_FALSE(parse({"stedy"}, error).has_value());
  CHECK(error.find("no scenario is named \"stedy\"") != std::string::npos);
  CHECK_FALSE(parse({"steady", "--node", "5"}, error).has_value());
  CHECK(error.find("unknown flag \"--node\"") != std::string::npos);
  for (const char* nodes : {"", "0", "x", "5x", "-3", "1e9"}) {
    CHECK_FALSE(parse({"steady", "--nodes", nodes}, error).has_value());
  }
  CHECK_FALSE(parse({"steady", "--data", "/nowhere"}, error).has_value());
}

TEST_CASE("flags replace a scenario's defaults and are kept for the replay") {
  std::string error;
  const auto command =
      parse({"churn", "--nodes", "30", "--seed", "7", "--loss", "2.5", "--duration", "2min",
             "--bitrate", "800kbit", "--synthetic", "--json", "--seeds", "3"},
            error);
  REQUIRE(command.has_value());
  CHECK(command->options.nodes == 30);
  CHECK(command->options.seed == 7);
  CHECK(command->options.loss_ppm == 25'000);
  CHECK(command->options.duration == 2min);
  CHECK(command->options.bitrate_bps == 800'000);
  CHECK(command->options.data_dir.empty());
  CHECK(command->json);
  CHECK(command->seeds == 3);
  CHECK(command->arguments ==
        "churn --nodes 30 --loss 2.5 --duration 2min --bitrate 800kbit --synthetic");
}
