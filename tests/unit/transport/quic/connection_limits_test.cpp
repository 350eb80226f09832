#include "common/transport/quic/connection_table.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/quic_net.hpp"
#include "tests/support/seeded_random.hpp"

#include <algorithm>
#include <vector>

namespace tayga::transport::quic {
namespace {

using test::QuicEndpoint;
using test::QuicNet;
using Options = ConnectionTable::Options;

/// A server, and a client whose packets are caught, to be sent on from anywhere.
struct Spoofer {
  explicit Spoofer(const Options& options = {}) : server{net.add(options)} {
    net.filter = [this](const QuicNet::Packet& packet) {
      if (packet.from == client.address) caught.push_back(packet.bytes);
      if (packet.from == server.address) answers.push_back(packet.bytes);
      return false;
    };
  }
  /// The first packet of a new connection.
  Bytes make_initial() {
    caught.clear();
    const auto connection = client.dial(server);
    net.settle();
    REQUIRE_FALSE(caught.empty());
    return caught.front();
  }
  /// From the `n`-th of as many networks as one likes.
  static UdpAddress source(unsigned n) { return QuicNet::make_address((n + 1) * 256 + 1, 4000); }
  void send(unsigned source_number, ByteView packet) {
    net.inject(server, source(source_number), packet);
    net.settle();
  }

  QuicNet net;
  QuicEndpoint& server;
  QuicEndpoint& client = net.add();
  std::vector<Bytes> caught;
  std::vector<Bytes> answers;
};

enum class LongType { initial = 0, retry = 3 };

bool is_long(const Bytes& packet, LongType type) {
  const auto first = std::to_integer<unsigned>(packet.at(0));
  return (first & 0x80U) != 0 && ((first >> 4U) & 3U) == static_cast<unsigned>(type);
}

/// The source connection id of a packet with a long header.
Bytes source_id(const Bytes& packet) {
  const std::size_t dcid_size = std::to_integer<std::size_t>(packet.at(5));
  const std::size_t at = 6 + dcid_size;
  const std::size_t size = std::to_integer<std::size_t>(packet.at(at));
  const auto begin = packet.begin() + static_cast<std::ptrdiff_t>(at + 1);
  return {begin, begin + static_cast<std::ptrdiff_t>(size)};
}

}  // namespace

TEST_CASE("half-open handshakes are bounded in all and per network, and end at their timeout") {
  Options options;
  options.half_open_max = 10;
  options.half_open_per_prefix_max = 3;
  options.retry_above = 1000;
  Spoofer spoofer{options};
  for (int i = 0; i < 5; ++i) spoofer.send(0, spoofer.make_initial());
  CHECK(spoofer.server.table->half_open() == 3);
  for (unsigned i = 1; i < 20; ++i) spoofer.send(i, spoofer.make_initial());
  CHECK(spoofer.server.table->half_open() == 10);
  CHECK(spoofer.server.table->size() == 10);
  CHECK(spoofer.server.table->counters().handshakes_refused == 24 - 10);
  spoofer.net.run_for(options.connection.handshake_timeout + 1s);
  CHECK(spoofer.server.table->half_open() == 0);
  CHECK(spoofer.server.table->size() == 0);
  CHECK(spoofer.server.accepted.empty());
}

TEST_CASE("above the threshold strangers prove their address first; one who does gets in") {
  Options options;
  options.retry_above = 4;
  Spoofer spoofer{options};
  for (unsigned i = 0; i < 4; ++i) spoofer.send(i, spoofer.make_initial());
  CHECK(spoofer.server.table->counters().retries_sent == 0);
  for (unsigned i = 4; i < 104; ++i) spoofer.send(i, spoofer.make_initial());
  CHECK(spoofer.server.table->half_open() == 4);
  CHECK(spoofer.server.table->counters().retries_sent == 100);
  CHECK(is_long(spoofer.answers.back(), LongType::retry));

  spoofer.net.filter = nullptr;
  const auto honest = spoofer.client.dial(spoofer.server);
  REQUIRE(spoofer.net.run_until([&] { return honest->is_established(); }, 4s));
  CHECK(spoofer.server.table->counters().retries_sent > 100);
  REQUIRE(spoofer.net.run_until([&] { return spoofer.server.accepted.size() == 1; }));
  CHECK(spoofer.server.accepted[0]->peer() == spoofer.client.id());
}

TEST_CASE("a retry token is refused from elsewhere, when changed, and the second time") {
  Options options;
  options.retry_above = 0;
  QuicNet net;
  QuicEndpoint& server = net.add(options);
  QuicEndpoint& client = net.add();
  Bytes second;  // the client's Initial with the token
  net.filter = [&](const QuicNet::Packet& packet) {
    const bool from_client = packet.from == client.address;
    if (from_client && server.table->counters().retries_sent > 0 && second.empty()) {
      second = packet.bytes;
    }
    return !from_client || second.empty();
  };
  const auto connection = client.dial(server);
  REQUIRE(net.run_until([&] { return !second.empty(); }, 1s));
  REQUIRE(is_long(second, LongType::initial));

  const auto refused = [&] { return server.table->counters().tokens_refused; };
  net.inject(server, QuicNet::make_address(7, 1), second);
  CHECK(refused() == 1);
  // The token follows both ids and its own size.
  const std::size_t token_at = 6 + kConnectionIdSize + 1 + kConnectionIdSize + 2;
  Bytes changed = second;
  changed[token_at + 20] ^= std::byte{1};
  net.inject(server, client.address, changed);
  CHECK(refused() == 2);
  CHECK(server.table->size() == 0);

  net.inject(server, client.address, second);
  CHECK(refused() == 2);
  CHECK(server.table->half_open() == 1);
  net.run_for(options.connection.handshake_timeout + 5s);
  CHECK(server.table->size() == 0);
  net.inject(server, client.address, second);
  CHECK(refused() == 3);
  CHECK(server.table->size() == 0);
}

TEST_CASE("an address that never answers gets at most three times what came from it") {
  Options options;
  options.retry_above = 1000;
  SECTION("a handshake that nobody goes on with") {}
  SECTION("a retry") {
    options.retry_above = 0;
  }
  SECTION("a refusal") {
    options.sessions_max = 0;
  }
  Spoofer spoofer{options};
  spoofer.send(0, spoofer.make_initial());
  spoofer.net.run_for(20s);
  const QuicEndpoint::Balance& balance = spoofer.server.balance(Spoofer::source(0));
  CHECK(balance.sent > 0);
  CHECK(balance.excess_max <= 0);
}

TEST_CASE("a farewell to an address that never answered keeps to that as well, repeats included") {
  Options options;
  options.retry_above = 1000;
  Spoofer spoofer{options};
  const Bytes initial = spoofer.make_initial();
  spoofer.send(0, initial);
  REQUIRE_FALSE(spoofer.answers.empty());
  const Bytes id = source_id(spoofer.answers.front());
  spoofer.server.table->close_all(spoofer.net.now());
  CHECK(spoofer.server.table->size() == 0);
  Bytes tiny(22, std::byte{0x40});
  std::copy(id.begin(), id.end(), tiny.begin() + 1);
  for (int i = 0; i < 300; ++i) {
    spoofer.send(0, tiny);
    if (i % 50 == 0) spoofer.send(0, initial);
  }
  CHECK(spoofer.server.balance(Spoofer::source(0)).excess_max <= 0);
  // Somebody else's small packets do not buy more either.
  for (int i = 0; i < 300; ++i) spoofer.send(1, tiny);
  CHECK(spoofer.server.balance(Spoofer::source(0)).excess_max <= 0);
}

TEST_CASE("a closed handshake is not begun anew by the same packet while its farewell is known") {
  Options options;
  options.retry_above = 1000;
  Spoofer spoofer{options};
  const Bytes initial = spoofer.make_initial();
  spoofer.send(0, initial);
  spoofer.server.table->close_all(spoofer.net.now());
  spoofer.send(0, initial);
  CHECK(spoofer.server.table->size() == 0);
}

TEST_CASE("an unknown version is answered with ours, in less than came; a small packet is not") {
  Spoofer spoofer;
  Bytes packet(1200);
  packet[0] = std::byte{0xc0};
  packet[1] = packet[2] = packet[3] = packet[4] = std::byte{0x1a};
  packet[5] = std::byte{20};  // connection ids of 20 bytes each
  packet[26] = std::byte{20};
  spoofer.send(0, packet);
  REQUIRE(spoofer.answers.size() == 1);
  CHECK(std::equal(spoofer.answers[0].begin() + 1, spoofer.answers[0].begin() + 5,
                   Bytes(4).begin()));  // version 0: a negotiation
  CHECK(spoofer.server.balance(Spoofer::source(0)).excess_max <= 0);
  packet.resize(1199);
  spoofer.send(1, packet);
  CHECK(spoofer.answers.size() == 1);
}

TEST_CASE("a stateless reset is smaller than what it answers, so two of them never play ball") {
  TAYGA_SEEDED_RANDOM(random, 6);
  Spoofer spoofer;
  for (std::size_t size = 1; size < 200; ++size) {
    Bytes packet = random.bytes(size);
    packet[0] = (packet[0] & std::byte{0x3f}) | std::byte{0x40};
    spoofer.answers.clear();
    spoofer.send(static_cast<unsigned>(size), packet);
    for (const Bytes& answer : spoofer.answers) CHECK(answer.size() < size);
    if (size > 60) CHECK(spoofer.answers.size() == 1);
  }
}

TEST_CASE("strangers get only so many answers a second") {
  Options options;
  options.retry_above = 0;
  Spoofer spoofer{options};
  const Bytes initial = spoofer.make_initial();
  for (unsigned i = 0; i < 10'000; ++i) spoofer.send(i, initial);
  CHECK(spoofer.server.table->counters().retries_sent >= 1000);
  CHECK(spoofer.server.table->counters().retries_sent <= 4000);
  CHECK(spoofer.server.table->size() == 0);
}

TEST_CASE("random packets, and real ones cut or changed, leave no connection behind for ever") {
  TAYGA_SEEDED_RANDOM(random, 8);
  Spoofer spoofer;
  const Bytes initial = spoofer.make_initial();
  for (unsigned i = 0; i < 5000; ++i) {
    Bytes packet = random.one_in(2) ? initial : random.bytes(random.between(1, 1500));
    if (random.one_in(3)) packet.resize(random.between(1, packet.size()));
    for (std::size_t flips = random.index(4); flips > 0; --flips) {
      packet[random.index(packet.size())] ^= static_cast<std::byte>(random.next());
    }
    spoofer.send(static_cast<unsigned>(random.index(50)), packet);
  }
  CHECK(spoofer.server.table->half_open() <= 256);
  spoofer.net.run_for(30s);
  CHECK(spoofer.server.table->size() == 0);
  CHECK(spoofer.server.accepted.empty());
}

TEST_CASE("no more than sessions_max sessions, also when their handshakes end together") {
  Options options;
  options.sessions_max = 2;
  QuicNet net;
  QuicEndpoint& server = net.add(options);
  QuicEndpoint& client = net.add();
  std::vector<std::shared_ptr<Connection>> dialed;
  for (int i = 0; i < 5; ++i) dialed.push_back(client.dial(server));
  net.run_for(2s);
  CHECK(server.accepted.size() == 2);
  CHECK(server.table->session_count() == 2);
  const auto alive =
      std::count_if(dialed.begin(), dialed.end(), [](const auto& c) { return !c->is_finished(); });
  CHECK(alive == 2);

  const auto late = client.dial(server);
  REQUIRE(net.run_until([&] { return late->is_finished(); }, 1s));
  CHECK_FALSE(late->is_established());
  server.accepted[0]->abandon();
  net.run_for(1s);
  const auto next = client.dial(server);
  CHECK(net.run_until([&] { return next->is_established(); }, 2s));
  CHECK(server.accepted.size() == 3);
}

TEST_CASE("one network makes only so many handshakes a second") {
  Options options;
  options.sessions_max = 8;
  options.handshakes_per_prefix = 5;
  options.half_open_per_prefix_max = 1000;
  options.half_open_max = 1000;
  options.retry_above = 1000;
  Spoofer spoofer{options};
  for (int i = 0; i < 200; ++i) spoofer.send(0, spoofer.make_initial());
  CHECK(spoofer.server.table->size() == 64);  // what may come at once
  spoofer.send(1, spoofer.make_initial());
  CHECK(spoofer.server.table->size() == 65);
}

TEST_CASE("every id of a worker's connections names the worker, and others' packets go to them") {
  Options options;
  options.worker = 1;
  options.worker_count = 3;
  options.half_open_per_prefix_max = 64;
  QuicNet net;
  QuicEndpoint& server = net.add(options);
  QuicEndpoint& client = net.add();
  for (int i = 0; i < 40; ++i) {
    (void)client.dial(server);
    net.run_for(50ms);
  }
  CHECK(server.accepted.size() >= 2);
  CHECK(server.accepted.size() <= 30);
  CHECK_FALSE(server.handed_over.empty());
  for (const auto& connection : server.accepted) {
    for (const ConnectionId& id : connection->ids()) CHECK(id.bytes[0] % 3 == 1);
  }
  for (const auto& [worker, packet] : server.handed_over) {
    CHECK(worker == std::to_integer<unsigned>(packet.at(6)) % 3);
    CHECK(worker != 1);
  }
  const std::size_t before = server.handed_over.size();
  CHECK(server.table->counters().handed_over == before);

  Bytes packet(40, std::byte{0x41});
  packet[1] = std::byte{6 + 2};
  net.inject(server, client.address, packet);
  REQUIRE(server.handed_over.size() == before + 1);
  CHECK(server.handed_over.back().first == 2);
  packet[1] = std::byte{6 + 1};
  net.inject(server, client.address, packet);
  CHECK(server.handed_over.size() == before + 1);
}

}  // namespace tayga::transport::quic
