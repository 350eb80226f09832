#include "common/transport/quic/connection_table.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/quic_net.hpp"

#include <array>
#include <vector>

namespace tayga::transport::quic {
namespace {

using test::numbered_control;
using test::numbered_media;
using test::QuicEndpoint;
using test::QuicNet;
using test::QuicPair;
using wire::FrameType;

constexpr Duration kRoundTrip = 20ms;

/// Frames in both directions, after whatever happened.
void expect_alive(QuicPair& pair, Duration limit = 5s) {
  const std::size_t near = pair.near_events.frames.size();
  const std::size_t far = pair.far_events.frames.size();
  pair.near->send_control(numbered_control(1));
  pair.far->send_control(numbered_control(2));
  CHECK(pair.net.run_until(
      [&] { return pair.near_events.frames.size() > near && pair.far_events.frames.size() > far; },
      limit));
  CHECK_FALSE(pair.near_events.closed);
  CHECK_FALSE(pair.far_events.closed);
}

/// A dialer outside of any table, to hand it a ticket of one's choice.
class LoneDialer final : public ConnectionOwner, private PacketSink {
 public:
  LoneDialer(QuicNet& net, QuicEndpoint& server) : net_{net}, server_{server} {
    net.filter = [this](const QuicNet::Packet& packet) {
      if (packet.to == address_) arrived_.push_back(packet.bytes);
      return false;
    };
  }
  ~LoneDialer() {
    finish();
    net_.filter = nullptr;
  }

  /// Runs the handshake to its end, good or bad.
  void dial(const NodeId& expected, ByteView with) {
    finish();
    const Connection::Setup setup{
        &options_, this, credentials_, {address_, server_.address}, net_.now()};
    connection = Connection::dial(setup, {expected, with});
    for (int i = 0; i < 50 && !connection->is_finished(); ++i) {
      connection->write(*this, net_.now());
      net_.run_for(1ms);
      for (const Bytes& packet : std::exchange(arrived_, {})) {
        connection->on_packet({address_, server_.address}, packet, net_.now());
      }
    }
  }
  void finish() {
    if (!connection) return;
    connection->abandon();
    connection->write(*this, net_.now());
    connection.reset();
  }

  std::shared_ptr<Connection> connection;
  Bytes ticket;

 private:
  ConnectionId make_connection_id() override {
    ConnectionId id;
    id.size = kConnectionIdSize;
    id.bytes[0] = ++ids_;
    return id;
  }
  void add_id(const ConnectionId&, Connection&) override {}
  void remove_id(const ConnectionId&) override {}
  void make_reset_token(const ConnectionId&, std::uint8_t* token) override {
    std::fill_n(token, NGTCP2_STATELESS_RESET_TOKENLEN, std::uint8_t{1});
  }
  void wants_write(Connection&) override {}
  Duration flush_delay() override { return Duration{0}; }
  void on_established(Connection&) override {}
  void on_ticket(const NodeId&, Bytes given) override { ticket = std::move(given); }
  void on_finished(Connection&, Bytes) override {}

  std::span<std::uint8_t> reserve(std::size_t size) override { return {buffer_.data(), size}; }
  void commit(std::size_t size, const UdpPath&) override {
    net_.inject(server_, address_, std::as_bytes(std::span{buffer_}.first(size)));
  }
  [[nodiscard]] bool blocked() const noexcept override { return false; }

  QuicNet& net_;
  QuicEndpoint& server_;
  const UdpAddress address_ = QuicNet::make_address(99);
  const ConnectionOptions options_;
  const std::shared_ptr<const Credentials> credentials_ =
      make_credentials(crypto::SigningKey::generate(), std::array<std::byte, kTicketKeySize>{});
  std::vector<Bytes> arrived_;
  std::array<std::uint8_t, kUdpPayloadMax> buffer_{};
  std::uint8_t ids_ = 0;
};

}  // namespace

TEST_CASE("a second connection to the same peer is up in one round trip, its key still proven") {
  QuicPair pair;
  TimePoint began = pair.net.now();
  REQUIRE(pair.connect());
  CHECK(pair.net.now() - began >= 2 * kRoundTrip);
  pair.start();
  pair.net.run_for(1s);
  pair.near->close("again");
  pair.net.run_for(1s);

  began = pair.net.now();
  const auto again = pair.client.dial(pair.server);
  REQUIRE(pair.net.run_until([&] { return again->is_established(); }));
  CHECK(pair.net.now() - began <= kRoundTrip + 1ms);
  CHECK(again->resumed());
  CHECK(again->peer() == pair.server.id());

  // What the dialer says now arrives half a round trip later: it is up on both sides by then.
  test::QuicRecorder near;
  test::QuicRecorder far;
  again->start(near);
  again->send_control(numbered_control(7));
  REQUIRE(pair.net.run_until([&] { return pair.server.accepted.size() == 2; }));
  pair.server.accepted[1]->start(far);
  REQUIRE(pair.net.run_until([&] { return !far.frames.empty(); }));
  CHECK(pair.net.now() - began <= kRoundTrip * 3 / 2 + 1ms);
  CHECK(pair.server.accepted[1]->peer() == pair.client.id());
  CHECK(pair.server.accepted[1]->resumed());
}

TEST_CASE("a ticket does not stand in for another peer's key") {
  const std::array<std::byte, kTicketKeySize> shared_key{};
  QuicNet net;
  QuicEndpoint& first = net.add({}, crypto::SigningKey::generate(), shared_key);
  QuicEndpoint& second = net.add({}, crypto::SigningKey::generate(), shared_key);
  Bytes ticket;
  {
    LoneDialer dialer{net, first};
    dialer.dial(first.id(), {});
    REQUIRE(dialer.connection->is_established());
    ticket = dialer.ticket;
    REQUIRE_FALSE(ticket.empty());
    dialer.dial(first.id(), ticket);
    REQUIRE(dialer.connection->is_established());
    CHECK(dialer.connection->resumed());
  }
  SECTION("from the peer that gave it, dialed as another") {
    LoneDialer dialer{net, first};
    dialer.dial(second.id(), ticket);
    CHECK_FALSE(dialer.connection->is_established());
    CHECK(dialer.connection->is_finished());
  }
  SECTION("from one that can read it") {
    LoneDialer dialer{net, second};
    dialer.dial(second.id(), ticket);
    CHECK_FALSE(dialer.connection->is_established());
  }
  SECTION("a broken ticket is no ticket") {
    ticket.resize(ticket.size() / 2);
    LoneDialer dialer{net, first};
    dialer.dial(first.id(), ticket);
    CHECK(dialer.connection->is_established());
    CHECK_FALSE(dialer.connection->resumed());
  }
}

TEST_CASE("a server with other ticket secrets makes a whole handshake out of an old ticket") {
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.start();
  pair.net.run_for(1s);
  pair.near->close("again");
  pair.net.run_for(1s);
  std::array<std::byte, kTicketKeySize> other_key{};
  other_key.fill(std::byte{9});
  QuicEndpoint& reborn =
      pair.net.add({}, crypto::SigningKey::from_seed(pair.server.key.seed()), other_key);
  const auto again = pair.client.dial(reborn);
  REQUIRE(pair.net.run_until([&] { return again->is_established(); }));
  CHECK_FALSE(again->resumed());
  CHECK(again->peer() == pair.server.id());
}

TEST_CASE("a session survives that its dialer is seen at another address") {
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.start();
  for (int i = 1; i <= 3; ++i) {
    const UdpAddress seen = QuicNet::make_address(50 + static_cast<unsigned>(i), 4000);
    pair.net.translate(pair.client.address, seen);
    expect_alive(pair);
    pair.net.run_for(2s);
    CHECK(pair.far->remote_endpoint() == seen.endpoint());
    CHECK(pair.server.balance(seen).excess_max <= 0);
  }
  for (std::uint32_t i = 0; i < 500; ++i) pair.far_events.media.push_back(numbered_media(i));
  pair.far->notify_media();
  CHECK(pair.net.run_until(
      [&] { return numbers_of(pair.near_events, FrameType::chunk).size() == 500; }));
}

TEST_CASE("an address that only one packet came from gets no more than three times that packet") {
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.start();
  for (std::uint32_t i = 0; i < 2000; ++i) pair.far_events.media.push_back(numbered_media(i));
  pair.far->notify_media();
  pair.net.run_for(50ms);
  // A man in the middle sends one of the dialer's packets on from an address of his choice.
  const UdpAddress victim = QuicNet::make_address(66, 4000);
  bool diverted = false;
  pair.net.filter = [&](const QuicNet::Packet& packet) {
    if (diverted || !(packet.from == pair.client.address)) return true;
    diverted = true;
    pair.net.inject_later(pair.server, victim, packet.bytes);
    return false;
  };
  CHECK(pair.net.run_until([&] { return pair.near_events.frames.size() == 2000; }));
  CHECK(diverted);
  CHECK(pair.server.balance(victim).received > 0);
  CHECK(pair.server.balance(victim).excess_max <= 0);
  expect_alive(pair);
}

TEST_CASE("a peer that comes from another address with every packet harms nobody but itself") {
  for (const Duration pause : {0ms, 150ms, 1500ms, 4100ms}) {
    QuicPair pair;
    REQUIRE(pair.connect());
    pair.start();
    unsigned sent = 0;
    pair.net.filter = [&](const QuicNet::Packet& packet) {
      if (!(packet.from == pair.client.address)) return true;
      const UdpAddress from = QuicNet::make_address(60 + sent++ % 3, 4000);
      pair.net.translate(pair.client.address, from);  // so that answers find it
      pair.net.inject_later(pair.server, from, packet.bytes);
      return false;
    };
    for (std::uint32_t i = 0; i < 40 && !pair.near_events.closed; ++i) {
      pair.near->send_control(numbered_control(i));
      pair.far_events.media.push_back(numbered_media(i));
      pair.far->notify_media();
      pair.net.run_for(20ms + pause);
    }
    CAPTURE(pause.count(), sent);
    CHECK(pair.far_events.frames.size() > 0);
  }
}

TEST_CASE("a dialer moves to another local address of its own, and frames flow on") {
  QuicPair pair;
  REQUIRE(pair.connect());
  CHECK_FALSE(pair.far->migrate(QuicNet::make_address(70), pair.net.now()));  // only dialers do
  pair.start();
  pair.net.run_for(1s);
  const UdpAddress other = QuicNet::make_address(71, 5000);
  pair.net.attach(pair.client, other);
  for (std::uint32_t i = 0; i < 100; ++i) pair.far_events.media.push_back(numbered_media(i));
  pair.far->notify_media();
  REQUIRE(pair.client.table->migrate_dialed(other, pair.net.now()) == 1);
  CHECK(pair.client.table->migrate_dialed(QuicNet::make_address(72), pair.net.now()) == 0);
  expect_alive(pair);
  pair.net.run_for(1s);
  CHECK(pair.far->remote_endpoint() == other.endpoint());
}

TEST_CASE("a peer that lost its state says so, and the session ends at once") {
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.start();
  pair.net.run_for(1s);
  pair.server.restart();
  const TimePoint began = pair.net.now();
  pair.near->send_control(numbered_control(1));
  for (std::uint32_t i = 0; i < 20; ++i) pair.near_events.media.push_back(numbered_media(i));
  pair.near->notify_media();
  REQUIRE(pair.net.run_until([&] { return pair.near_events.closed.has_value(); }));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::reset);
  CHECK(pair.net.now() - began <= 2 * kRoundTrip);
  CHECK(pair.server.table->counters().resets_sent >= 1);
}

}  // namespace tayga::transport::quic
