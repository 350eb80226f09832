#include "tests/support/link_emulator.hpp"

#include "common/async/clock.hpp"
#include "tests/support/catch.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/write.hpp>
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace tayga::test {
namespace {

using async::Clock;
using boost::asio::ip::tcp;
using boost::asio::ip::udp;

constexpr TimePoint kStart{Duration{1'000'000}};

std::vector<TimePoint> arrivals_of(LinkModel& model, unsigned packets, Duration spacing) {
  std::vector<TimePoint> arrivals;
  for (unsigned i = 0; i < packets; ++i) {
    const PacketFate fate = model.on_packet(1000, kStart + i * spacing);
    for (std::size_t k = 0; k < fate.count; ++k) arrivals.push_back(fate.arrivals[k].at);
  }
  return arrivals;
}

bool readable(int fd, std::chrono::milliseconds limit) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, static_cast<int>(limit.count())) == 1;
}

/// A server and a client with the emulator in between.
struct UdpFixture {
  explicit UdpFixture(const LinkShape& to_server = {}, const LinkShape& to_client = {})
      : server{io, udp::endpoint{boost::asio::ip::address_v4::loopback(), 0}},
        client{io, udp::endpoint{boost::asio::ip::address_v4::loopback(), 0}},
        emulator{{{server.local_endpoint().address(), server.local_endpoint().port()},
                  to_server,
                  to_client,
                  7}} {
    client.connect({emulator.endpoint().address, emulator.endpoint().port});
  }
  /// Empty: nothing came in time.
  std::string receive(udp::socket& socket, std::chrono::milliseconds limit = 2000ms) {
    if (!readable(socket.native_handle(), limit)) return {};
    std::array<char, 2048> buffer{};
    const std::size_t size = socket.receive_from(boost::asio::buffer(buffer), last_sender);
    return {buffer.data(), size};
  }
  void send(const std::string& text) { client.send(boost::asio::buffer(text)); }

  boost::asio::io_context io;
  udp::socket server;
  udp::socket client;
  UdpLinkEmulator emulator;
  udp::endpoint last_sender;
};

TEST_CASE("a link delays every packet by its one-way delay") {
  LinkModel model{{.delay = 25ms}, 1};
  CHECK(arrivals_of(model, 3, 1ms) ==
        std::vector<TimePoint>{kStart + 25ms, kStart + 26ms, kStart + 27ms});
}

TEST_CASE("jitter spreads packets but keeps their order") {
  LinkModel model{{.delay = 5ms, .jitter = 20ms}, 1};
  const auto arrivals = arrivals_of(model, 1000, 1ms);
  CHECK(std::is_sorted(arrivals.begin(), arrivals.end()));
  CHECK(std::set(arrivals.begin(), arrivals.end()).size() > 50);
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    CHECK(arrivals[i] - (kStart + i * 1ms) >= Duration{5ms});
    CHECK(arrivals[i] - (kStart + i * 1ms) <= Duration{25ms});
  }
}

TEST_CASE("reordered packets come behind later ones") {
  LinkModel model{{.delay = 5ms, .reorder = 0.1, .reorder_delay = 10ms}, 1};
  const auto arrivals = arrivals_of(model, 1000, 1ms);
  std::size_t late = 0;
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    if (arrivals[i] - (kStart + i * 1ms) == Duration{15ms}) ++late;
  }
  CHECK(late > 60);
  CHECK(late < 140);
}

TEST_CASE("losses and duplicates come at the rate asked for, the same with the same seed") {
  LinkModel model{{.loss = 0.05, .duplicate = 0.02}, 3};
  LinkModel twin{{.loss = 0.05, .duplicate = 0.02}, 3};
  const auto arrivals = arrivals_of(model, 100'000, 10us);
  CHECK(arrivals.size() > 96'500);
  CHECK(arrivals.size() < 97'300);
  CHECK(arrivals == arrivals_of(twin, 100'000, 10us));
}

TEST_CASE("Gilbert losses come in bursts") {
  LinkModel model{{.burst_loss = GilbertLoss{.to_bad = 0.01, .to_good = 0.2}}, 5};
  unsigned bursts = 0;
  unsigned lost = 0;
  bool was_lost = false;
  for (unsigned i = 0; i < 100'000; ++i) {
    const bool is_lost = model.on_packet(100, kStart).count == 0;
    lost += is_lost ? 1U : 0U;
    bursts += is_lost && !was_lost ? 1U : 0U;
    was_lost = is_lost;
  }
  CHECK(lost > 4000);  // 0.01 / 0.21 of all
  CHECK(lost < 5500);
  CHECK(static_cast<double>(lost) / bursts > 4);  // 1 / 0.2 packets each
}

TEST_CASE("a rate spaces packets, and its queue drops what would wait too long") {
  LinkModel model{{.rate_bps = 8'000'000, .queue = 10ms}, 1};  // 1 ms a packet
  const auto arrivals = arrivals_of(model, 100, 0us);
  REQUIRE(arrivals.size() == 11);
  for (std::size_t i = 0; i < arrivals.size(); ++i) CHECK(arrivals[i] == kStart + (i + 1) * 1ms);
}

TEST_CASE("packets beyond the MTU do not pass") {
  LinkModel model{{.mtu = 1280}, 1};
  CHECK(model.on_packet(1281, kStart).count == 0);
  CHECK(model.on_packet(1280, kStart).count == 1);
}

TEST_CASE("a corrupted packet has one flipped bit") {
  UdpFixture net{{.corrupt = 1}};
  const std::string sent(100, 'a');
  net.send(sent);
  const std::string received = net.receive(net.server);
  REQUIRE(received.size() == sent.size());
  int flipped = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    flipped += __builtin_popcount(static_cast<unsigned>(sent[i] ^ received[i]));
  }
  CHECK(flipped == 1);
}

TEST_CASE("datagrams pass both ways with the delay of each way") {
  UdpFixture net{{.delay = 20ms}, {.delay = 30ms}};
  const TimePoint begin = Clock::now();
  net.send("ping");
  REQUIRE(net.receive(net.server) == "ping");
  CHECK(Clock::now() - begin >= Duration{20ms});
  const std::string pong = "pong";
  net.server.send_to(boost::asio::buffer(pong), net.last_sender);
  REQUIRE(net.receive(net.client) == "pong");
  CHECK(Clock::now() - begin >= Duration{50ms});
}

TEST_CASE("a rebound client reaches the server from another port and still gets its answers") {
  UdpFixture net;
  net.send("one");
  REQUIRE(net.receive(net.server) == "one");
  const udp::endpoint before = net.last_sender;
  net.emulator.rebind();
  net.send("two");
  REQUIRE(net.receive(net.server) == "two");
  CHECK(net.last_sender != before);
  const std::string text = "to the old port";
  net.server.send_to(boost::asio::buffer(text), before);
  const std::string answer = "to the new port";
  net.server.send_to(boost::asio::buffer(answer), net.last_sender);
  CHECK(net.receive(net.client) == answer);
}

TEST_CASE("nothing passes a blackhole until it opens") {
  UdpFixture net;
  net.emulator.set_path(PathState::blackhole);
  net.send("lost");
  CHECK(net.receive(net.server, 50ms).empty());
  net.emulator.set_path(PathState::open);
  net.send("kept");
  CHECK(net.receive(net.server) == "kept");
  CHECK(net.emulator.counters().dropped == 1);
}

TEST_CASE("a blackhole may swallow one way and leave the other open") {
  UdpFixture net;
  net.send("known");
  REQUIRE(net.receive(net.server) == "known");
  const udp::endpoint client = net.last_sender;
  const std::string answer = "answer";
  for (const Direction shut : {Direction::to_server, Direction::to_client}) {
    net.emulator.set_path(shut, PathState::blackhole);
    net.send("question");
    CHECK(net.receive(net.server, 50ms) == (shut == Direction::to_server ? "" : "question"));
    net.server.send_to(boost::asio::buffer(answer), client);
    CHECK(net.receive(net.client, 50ms) == (shut == Direction::to_client ? "" : "answer"));
    net.emulator.set_path(shut, PathState::open);
  }
  CHECK(net.emulator.counters().dropped == 2);
}

struct TcpFixture {
  explicit TcpFixture(const LinkShape& to_server = {}, const LinkShape& to_client = {})
      : acceptor{io, tcp::endpoint{boost::asio::ip::address_v4::loopback(), 0}},
        emulator{{{acceptor.local_endpoint().address(), acceptor.local_endpoint().port()},
                  to_server,
                  to_client,
                  7}},
        client{io},
        server{io} {
    client.connect({emulator.endpoint().address, emulator.endpoint().port});
    acceptor.accept(server);
  }
  boost::asio::io_context io;
  tcp::acceptor acceptor;
  TcpLinkEmulator emulator;
  tcp::socket client;
  tcp::socket server;
};

std::string read_to_end(tcp::socket& socket) {
  std::string all;
  std::array<char, 65'536> buffer{};
  boost::system::error_code ec;
  while (!ec) all.append(buffer.data(), socket.read_some(boost::asio::buffer(buffer), ec));
  return all;
}

TEST_CASE("a TCP connection passes its bytes and its end, delayed and at the rate") {
  TcpFixture net{{.delay = 20ms, .rate_bps = 40'000'000}};
  std::string sent(1'000'000, 'x');
  std::iota(sent.begin(), sent.end(), '\0');
  std::string received;
  std::thread reader{[&] { received = read_to_end(net.server); }};
  const TimePoint begin = Clock::now();
  boost::asio::write(net.client, boost::asio::buffer(sent));
  net.client.shutdown(tcp::socket::shutdown_send);
  reader.join();
  CHECK(received == sent);
  CHECK(Clock::now() - begin >= Duration{220ms});  // 8 Mbit at 40 Mbit/s, and the delay
}

TEST_CASE("a stalled TCP connection moves nothing and goes on afterwards") {
  TcpFixture net;
  net.emulator.set_path(PathState::blackhole);
  const std::string text = "late";
  boost::asio::write(net.client, boost::asio::buffer(text));
  CHECK_FALSE(readable(net.server.native_handle(), 50ms));
  net.emulator.set_path(PathState::open);
  net.client.shutdown(tcp::socket::shutdown_send);
  CHECK(read_to_end(net.server) == text);
}

TEST_CASE("a TCP connection may stall one way and go on the other") {
  TcpFixture net;
  const std::string text = "late";
  const std::string answer = "answer";
  net.emulator.set_path(Direction::to_server, PathState::blackhole);
  boost::asio::write(net.client, boost::asio::buffer(text));
  boost::asio::write(net.server, boost::asio::buffer(answer));
  REQUIRE(readable(net.client.native_handle(), 2000ms));
  CHECK_FALSE(readable(net.server.native_handle(), 50ms));
  net.emulator.set_path(Direction::to_server, PathState::open);
  net.client.shutdown(tcp::socket::shutdown_send);
  CHECK(read_to_end(net.server) == text);
}

TEST_CASE("a reset cuts both ends of a TCP connection") {
  TcpFixture net;
  const std::string text = "x";
  boost::asio::write(net.client, boost::asio::buffer(text));
  REQUIRE(readable(net.server.native_handle(), 2000ms));
  net.emulator.reset_all();
  std::array<char, 16> buffer{};
  boost::system::error_code ec;
  (void)net.client.read_some(boost::asio::buffer(buffer), ec);
  CHECK(ec);
}

}  // namespace
}  // namespace tayga::test
