#include "common/transport/flood_guard.hpp"
#include "tests/integration/hostile_tls_peer.hpp"
#include "tests/integration/transport_peers.hpp"
#include "tests/support/resident_memory.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace tayga::transport {
namespace {

using wire::FrameType;

/// One node with a hostile peer, whose session it serves.
struct Attack {
  explicit Attack(const tls::TlsOptions& options = {}, const HostileTlsPeer::Options& how = {})
      : node{io, options}, at{node.listen()} {
    open(how);
  }
  void open(const HostileTlsPeer::Options& how = {}) {
    peer = std::make_unique<HostileTlsPeer>(at, how);
    REQUIRE(peer->handshake(io));
    REQUIRE(run_until(io, [&] { return !node.accepted.empty(); }));
    session = std::move(node.accepted.front());
    node.accepted.clear();
    events.emplace();
    session->start(*events);
  }
  /// Repeats `act`, the node running in between, until the session ends; what it returns is how
  /// often, or nullopt if that took more than `limit`.
  std::optional<std::uint32_t> repeat(std::uint32_t limit, const std::function<bool()>& act) {
    for (std::uint32_t i = 0; i < limit; ++i) {
      if (events->closed) return i;
      if (!act()) {  // its buffers are full, or it is closed
        if (!run_until(
                io, [&] { return events->closed.has_value(); }, 100ms)) {
          continue;
        }
      }
      io.restart();
      io.poll();
    }
    (void)run_until(
        io, [&] { return events->closed.has_value(); }, 200ms);
    return events->closed ? std::optional{limit} : std::nullopt;
  }
  void expect_flood_of(FloodGuard::Kind kind) {
    REQUIRE(events->closed);
    CHECK(events->closed->reason == CloseInfo::Reason::protocol);
    CHECK(events->closed->detail == std::string{"a flood of "} + to_string(kind));
    CHECK(peer->is_closed());
  }

  boost::asio::io_context io;
  Node node;
  Endpoint at;
  std::unique_ptr<HostileTlsPeer> peer;
  std::unique_ptr<Session> session;
  std::optional<Recorder> events;
};

std::uint32_t limit_of(FloodGuard::Kind kind) {
  return FloodGuard::kLimits[static_cast<std::size_t>(kind)];
}

Bytes frame_of(FrameType type, std::size_t size) {
  return wire::serialize_frame(type, Bytes(size, std::byte{0x42}));
}

/// True once every `period`: what keeps a session from being idle without being a flood.
class Every {
 public:
  explicit Every(std::chrono::milliseconds period) : period_{period} {}
  bool is_due() {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_) return false;
    next_ = now + period_;
    return true;
  }

 private:
  const std::chrono::milliseconds period_;
  std::chrono::steady_clock::time_point next_{};
};

/// Media for ever, of which the node keeps nothing.
struct Endless final : Recorder {
  std::optional<OutboundMedia> next_media() override {
    ++media_pulled;
    return OutboundMedia{{}, chunk};
  }
  const SharedBytes chunk = make_frame(FrameType::chunk, Bytes(4096));
};

}  // namespace

TEST_CASE("a peer that only changes its key is closed before it costs anything") {
  Attack attack;
  const auto count = attack.repeat(10'000, [&] { return attack.peer->update_key(); });
  REQUIRE(count);
  attack.expect_flood_of(FloodGuard::Kind::idle_record);
}

TEST_CASE("a key is changed now and then without harm, and data flows on under the new one") {
  Attack attack;
  const Bytes frame = frame_of(FrameType::control, 100);
  for (int i = 0; i < 20; ++i) {
    REQUIRE(attack.peer->update_key());
    REQUIRE(attack.peer->write(frame));
    attack.session->send_control(make_frame(FrameType::control, Bytes(100)));
  }
  REQUIRE(run_until(attack.io, [&] { return attack.events->frames.size() == 20; }));
  CHECK_FALSE(attack.events->closed);
}

TEST_CASE("a peer that puts empty records between its data is closed for a flood") {
  Attack attack;
  const Bytes frame = frame_of(FrameType::control, 100);
  std::size_t sent = 0;
  const auto count = attack.repeat(10'000, [&] {
    return attack.peer->write_record(sent++ % 8 == 0 ? ByteView{frame} : ByteView{});
  });
  REQUIRE(count);
  attack.expect_flood_of(FloodGuard::Kind::idle_record);
}

TEST_CASE("a peer that sends nothing but empty records is closed") {
  Attack attack;
  const auto count = attack.repeat(10'000, [&] { return attack.peer->write_record({}); });
  REQUIRE(count);
  CHECK(attack.events->closed->reason == CloseInfo::Reason::reset);  // OpenSSL takes 32 in a row
  CHECK(attack.peer->is_closed());
}

TEST_CASE("records in which data and frames are cut anywhere are no flood") {
  Attack attack;
  Bytes stream;
  for (int i = 0; i < 40; ++i) {
    const Bytes frame = frame_of(FrameType::control, 100 + static_cast<std::size_t>(i) * 97);
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  for (ByteView rest{stream}; !rest.empty();) {
    const std::size_t size = std::min<std::size_t>(rest.size(), 777);
    REQUIRE(attack.peer->write_record(rest.first(size)));
    rest = rest.subspan(size);
  }
  REQUIRE(run_until(attack.io, [&] { return attack.events->frames.size() == 40; }));
  CHECK_FALSE(attack.events->closed);
}

TEST_CASE("a peer that sends its frames byte by byte in records of their own is closed") {
  Attack attack;
  const Bytes frame = frame_of(FrameType::chunk, 60'000);
  std::size_t sent = 0;
  const auto count = attack.repeat(
      60'000, [&] { return attack.peer->write_record(ByteView{frame}.subspan(sent++, 1)); });
  REQUIRE(count);
  attack.expect_flood_of(FloodGuard::Kind::small_record);
}

TEST_CASE("a peer that sends tiny frames without end is closed") {
  const FrameType type = GENERATE(FrameType::control, FrameType::chunk);
  Attack attack;
  Bytes batch;  // many to a record, so that the records are not what it is closed for
  const Bytes frame = frame_of(type, 1);
  while (batch.size() < 10'000) batch.insert(batch.end(), frame.begin(), frame.end());
  const auto count = attack.repeat(10'000, [&] { return attack.peer->write(batch); });
  REQUIRE(count);
  const auto kind =
      type == FrameType::control ? FloodGuard::Kind::control_frame : FloodGuard::Kind::small_frame;
  attack.expect_flood_of(kind);
  CHECK(attack.events->frames.size() >= limit_of(kind));
  CHECK(attack.events->frames.size() <= 2 * limit_of(kind));
}

TEST_CASE("floods leave no memory behind") {
  tls::TlsOptions options;
  options.handshakes_per_prefix = 1000;
  Attack attack{options};
  std::size_t before = 0;
  for (int i = 0; i < 60; ++i) {
    if (i == 20) before = test::resident_bytes();
    const auto count = attack.repeat(10'000, [&] { return attack.peer->update_key(); });
    REQUIRE(count);
    attack.session.reset();
    attack.open();
  }
#ifndef __SANITIZE_ADDRESS__  // which keeps what is freed
  CHECK(test::resident_bytes() <= before + 2 * 1024 * 1024);
#else
  CHECK(test::resident_bytes() <= before + 256 * 1024 * 1024);
#endif
}

TEST_CASE("a peer that takes no media for stall_max is closed, whatever it sends meanwhile") {
  tls::TlsOptions options;
  options.stall_max = 400ms;
  Attack attack{options, {.receive_buffer = 16 * 1024, .source = {}}};
  attack.session.reset();
  attack.peer = std::make_unique<HostileTlsPeer>(
      attack.at, HostileTlsPeer::Options{.receive_buffer = 16 * 1024, .source = {}});
  REQUIRE(attack.peer->handshake(attack.io));
  REQUIRE(run_until(attack.io, [&] { return !attack.node.accepted.empty(); }));
  attack.session = std::move(attack.node.accepted.front());
  Endless media;
  attack.session->start(media);
  attack.session->notify_media();

  const Bytes ping = frame_of(FrameType::control, 20);
  Every beat{10ms};
  const auto began = std::chrono::steady_clock::now();
  REQUIRE(run_until(
      attack.io,
      [&] {
        if (beat.is_due()) (void)attack.peer->write(ping);
        return media.closed.has_value();
      },
      5s));
  const auto took = std::chrono::steady_clock::now() - began;
  CHECK(media.closed->reason == CloseInfo::Reason::stalled);
  CHECK(took >= 390ms);
  CHECK(took <= 2s);
  CHECK(attack.session->stats().media_frames_out < 2000);  // bounded by the kernel's buffers
}

TEST_CASE("a peer that takes no media is closed even when all of it fits into the kernel") {
  tls::TlsOptions options;
  options.stall_max = 400ms;
  Attack attack{options, {.receive_buffer = 4 * 1024, .source = {}}};
  for (int i = 0; i < 16; ++i) {
    attack.events->media.push_back({{}, make_frame(FrameType::chunk, Bytes(4096))});
  }
  attack.session->notify_media();
  REQUIRE(run_until(attack.io, [&] { return attack.events->media.empty(); }));
  run_for(attack.io, 50ms);
  CHECK(attack.session->stats().queued_bytes == 0);
  const Bytes ping = frame_of(FrameType::control, 20);
  Every beat{10ms};
  REQUIRE(run_until(
      attack.io,
      [&] {
        if (beat.is_due()) (void)attack.peer->write(ping);
        return attack.events->closed.has_value();
      },
      10s));
  CHECK(attack.events->closed->reason == CloseInfo::Reason::stalled);
}

TEST_CASE("a slow reader is not a stalled one") {
  tls::TlsOptions options;
  options.stall_max = 500ms;
  Attack attack{options};
  attack.session.reset();
  attack.open({.receive_buffer = 32 * 1024, .source = {}});
  for (int i = 0; i < 4000; ++i) {
    attack.events->media.push_back({{}, make_frame(FrameType::chunk, Bytes(4096))});
  }
  attack.session->notify_media();
  for (int i = 0; i < 20; ++i) {
    run_for(attack.io, 100ms);
    attack.peer->drain();
  }
  CHECK_FALSE(attack.events->closed);
  CHECK(attack.session->stats().queued_bytes > 0);
}

TEST_CASE("one network makes only so many handshakes a second, others are not held up") {
  boost::asio::io_context io;
  tls::TlsOptions options;
  options.sessions_max = 64;
  options.handshakes_per_prefix = 20;
  Node server{io, options};
  const Endpoint at = server.listen();
  const auto began = std::chrono::steady_clock::now();
  int admitted = 0;
  for (int i = 0; i < 150; ++i) {
    HostileTlsPeer peer{at};
    if (peer.handshake(io)) ++admitted;
    server.accepted.clear();
  }
  const auto took = std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - began);
  CHECK(admitted >= 64);
  CHECK(admitted <= 64 + 1 + 20 * took / Duration{1s} + 20);

  HostileTlsPeer neighbour{at, {.receive_buffer = 0, .source = "127.0.1.1"}};
  CHECK(neighbour.handshake(io));
  run_for(io, 200ms);
  HostileTlsPeer patient{at};
  CHECK(patient.handshake(io));
}

TEST_CASE("a handshake that drips in byte by byte, or is never read, ends at its timeout") {
  boost::asio::io_context io;
  tls::TlsOptions options;
  options.handshake_timeout = 400ms;
  Node server{io, options};
  const Endpoint at = server.listen();

  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  boost::asio::ip::tcp::endpoint to{at.address, at.port};
  REQUIRE(::connect(fd, to.data(), static_cast<socklen_t>(to.size())) == 0);
  const unsigned char hello[] = {22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3};
  std::size_t sent = 0;
  Every beat{10ms};
  const auto began = std::chrono::steady_clock::now();
  REQUIRE(run_until(
      io,
      [&] {
        if (!beat.is_due()) return false;
        const unsigned char byte = sent < sizeof hello ? hello[sent] : 0;
        ++sent;
        char answer = 0;
        return ::send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || ::recv(fd, &answer, 1, MSG_DONTWAIT) == 0;
      },
      5s));
  const auto took = std::chrono::steady_clock::now() - began;
  CHECK(took >= 390ms);
  CHECK(took <= 2s);
  CHECK(sent >= 10);
  ::close(fd);
  CHECK(server.accepted.empty());
}

}  // namespace tayga::transport
