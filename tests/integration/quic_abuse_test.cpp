#include "common/transport/flood_guard.hpp"
#include "tests/integration/hostile_quic_peer.hpp"
#include "tests/integration/transport_peers.hpp"
#include "tests/support/resident_memory.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

namespace tayga::transport {
namespace {

using wire::FrameType;
using SteadyClock = std::chrono::steady_clock;

#ifdef __SANITIZE_ADDRESS__  // which keeps what is freed
constexpr std::size_t kGrowthMax = 256 * 1024 * 1024;
#else
constexpr std::size_t kGrowthMax = 16 * 1024 * 1024;
#endif

/// One node with a hostile peer, whose session it serves.
struct Attack {
  Attack() : node{io}, at{node.listen()}, peer{at} {
    REQUIRE(peer.handshake(io));
    REQUIRE(run_until(io, [&] { return !node.accepted.empty(); }));
    session = std::move(node.accepted.front());
    node.accepted.clear();
    session->start(events);
    REQUIRE(run_until(io, [&] { return !events.frames.empty(); }));  // its hello
  }

  /// Sends what `make` gives, as fast as the node takes it, until the session ends or 10 s are
  /// over; returns how many packets.
  std::size_t flood(const std::function<Bytes(std::size_t)>& make) {
    const std::size_t before = test::resident_bytes();
    const auto end = SteadyClock::now() + std::chrono::seconds{10};
    std::size_t count = 0;
    while (!events.closed && SteadyClock::now() < end) {
      for (int i = 0; i < 16; ++i) peer.send(make(count++));
      peer.drain();
      io.restart();
      io.poll();
    }
    CHECK(test::resident_bytes() <= before + kGrowthMax);
    return count;
  }
  void expect_closed(FloodGuard::Kind kind) {
    REQUIRE(events.closed);
    CHECK(events.closed->reason == CloseInfo::Reason::protocol);
    CHECK(events.closed->detail == to_string(kind));
  }

  boost::asio::io_context io;
  Node node;
  Endpoint at;
  HostileQuicPeer peer;
  Recorder events;
  std::unique_ptr<Session> session;
};

constexpr std::size_t kFramesMax = 1200;

/// As many of one frame as fit into a packet.
template <class Frame>
Bytes filled(const Frame& add) {
  FrameBuilder builder;
  while (builder.size() < kFramesMax) add(builder);
  return builder.bytes();
}

}  // namespace

TEST_CASE("a flood of pings is no session") {
  Attack attack;
  attack.flood([](std::size_t) { return FrameBuilder{}.byte(1).zeros(20).bytes(); });
  attack.expect_closed(FloodGuard::Kind::idle_packet);
}

TEST_CASE("packets full of pings are counted by the ping") {
  Attack attack;
  const std::size_t count =
      attack.flood([](std::size_t) { return filled([](FrameBuilder& b) { b.byte(1); }); });
  attack.expect_closed(FloodGuard::Kind::idle_frame);
  CHECK(count < 100);
}

TEST_CASE("one byte of data in each packet buys no flood of other frames") {
  Attack attack;
  attack.flood([](std::size_t i) {
    FrameBuilder builder;
    // A media frame on a stream of its own, byte by byte, and 100 pings with each.
    builder.byte(0x0e).number(2).number(i).number(1).byte(i % 4 == 0 ? 0x11 : 0);
    for (int n = 0; n < 100; ++n) builder.byte(1);
    return builder.bytes();
  });
  attack.expect_closed(FloodGuard::Kind::idle_frame);
}

TEST_CASE("a flood of path challenges is answered for a while only") {
  Attack attack;
  attack.flood([](std::size_t) { return filled([](FrameBuilder& b) { b.byte(0x1a).zeros(8); }); });
  attack.expect_closed(FloodGuard::Kind::path_probe);
}

TEST_CASE("a peer that changes its connection ids for ever is closed") {
  Attack attack;
  SECTION("new ones") {
    attack.flood([](std::size_t i) {
      FrameBuilder builder;
      // The library's own were 1 to 6.
      builder.byte(0x18).number(7 + i).number(7 + i).byte(8).zeros(6);
      builder.byte(static_cast<unsigned>(i >> 8U)).byte(static_cast<unsigned>(i)).zeros(16);
      return builder.bytes();
    });
    REQUIRE(attack.events.closed);  // by the guard, or by the library's limit
    CHECK(attack.events.closed->reason == CloseInfo::Reason::protocol);
  }
  SECTION("ours given back") {
    attack.flood([](std::size_t i) {
      return FrameBuilder{}.byte(0x19).number(1 + i / 4).zeros(20).bytes();
    });
    REQUIRE(attack.events.closed);
    CHECK(attack.events.closed->reason == CloseInfo::Reason::protocol);
  }
}

TEST_CASE("our peers never reset or stop a stream: one that does is closed at once") {
  Attack attack;
  std::size_t count = 0;
  SECTION("RESET_STREAM") {
    count = attack.flood([](std::size_t i) {
      return FrameBuilder{}.byte(0x04).number(2 + 4 * (i % 200)).number(0).number(0).bytes();
    });
  }
  SECTION("STOP_SENDING") {
    for (int i = 0; i < 4; ++i) {
      attack.events.media.push_back({{}, make_frame(FrameType::chunk, Bytes(4096))});
    }
    attack.session->notify_media();
    run_for(attack.io, 50ms);
    count = attack.flood(
        [](std::size_t) { return FrameBuilder{}.byte(0x05).number(3).number(0).zeros(4).bytes(); });
  }
  REQUIRE(attack.events.closed);
  CHECK(attack.events.closed->reason == CloseInfo::Reason::protocol);
  CAPTURE(attack.events.closed->detail);
  CHECK(count <= 64);
}

TEST_CASE("a flood of credit and of complaints about its lack") {
  Attack attack;
  attack.flood([](std::size_t i) {
    return filled([i](FrameBuilder& b) {
      b.byte(0x10).number(i).byte(0x11).number(0).number(i).byte(0x12).number(1);
      b.byte(0x14).number(i).byte(0x15).number(0).number(i);
    });
  });
  attack.expect_closed(FloodGuard::Kind::idle_frame);
}

TEST_CASE("a flood of empty stream frames, on all streams") {
  Attack attack;
  attack.flood([](std::size_t) {
    std::uint64_t stream = 0;
    return filled(
        [&](FrameBuilder& b) { b.byte(0x0a).number(2 + 4 * (stream++ % 250)).number(0); });
  });
  attack.expect_closed(FloodGuard::Kind::idle_frame);
}

TEST_CASE(
    "crumbs of a stream that never join, as slow as they must be to be no flood, fill little") {
  Attack attack;
  const std::size_t before = test::resident_bytes();
  std::size_t sent = 0;
  const auto end = SteadyClock::now() + std::chrono::seconds{4};
  while (!attack.events.closed && SteadyClock::now() < end) {
    FrameBuilder builder;
    for (int i = 0; i < 14; ++i) {
      builder.byte(0x0e).number(2).number(2 * ++sent).number(1).byte(1);
    }
    attack.peer.send(builder.bytes());
    attack.peer.drain();
    run_for(attack.io, 1ms);
  }
  CHECK(sent > 1000);
  CHECK(test::resident_bytes() <= before + kGrowthMax);
}

TEST_CASE("a flood of handshake messages after the handshake") {
  Attack attack;
  attack.flood([](std::size_t i) {
    FrameBuilder builder;
    for (std::size_t n = 0; n < 10; ++n)
      builder.byte(0x06).number(1 + 2 * (10 * i + n)).number(1).byte(4);
    return builder.bytes();
  });
  attack.expect_closed(FloodGuard::Kind::crypto_frame);
}

TEST_CASE("the same acknowledgement again and again acknowledges nothing") {
  Attack attack;
  attack.flood([](std::size_t) { return FrameBuilder{}.byte(0x02).zeros(4).bytes(); });
  attack.expect_closed(FloodGuard::Kind::idle_packet);
}

TEST_CASE("a stream of tiny packets with a byte of data each is closed as one of small packets") {
  Attack attack;
  attack.flood([](std::size_t i) {
    FrameBuilder builder;
    // The payload of a media frame of 60,000 bytes, which is never finished.
    constexpr std::array<unsigned, 4> kHeader{0x11, 0, 0xea, 0x60};
    builder.byte(0x0e).number(2).number(i).number(1).byte(i < 4 ? kHeader.at(i) : 0x55U);
    return builder.bytes();
  });
  attack.expect_closed(FloodGuard::Kind::small_packet);
}

TEST_CASE(
    "20,000 first packets from made-up sources disturb no session, and need a proven address") {
  boost::asio::io_context io;
  Node server{io};
  const Endpoint at = server.listen();
  Node client{io};
  auto near = client.dial(at, server.id());
  REQUIRE(near.has_value());
  REQUIRE(run_until(io, [&] { return !server.accepted.empty(); }));
  const auto far = std::move(server.accepted.front());
  server.accepted.clear();
  Recorder near_events;
  Recorder far_events;
  (*near)->start(near_events);
  far->start(far_events);

  // Real ones, caught on their way to nobody.
  const int trap = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const quic::UdpAddress any = quic::UdpAddress::from(loopback());
  REQUIRE(::bind(trap, any.data(), any.size()) == 0);
  quic::UdpAddress caught_at = any;
  socklen_t size = caught_at.size();
  REQUIRE(::getsockname(trap, caught_at.data(), &size) == 0);
  std::vector<Bytes> initials;
  while (initials.size() < 256) {
    HostileQuicPeer stranger{caught_at.endpoint()};
    (void)stranger.exchange();
    Bytes packet(2048);
    const ssize_t got = ::recv(trap, packet.data(), packet.size(), 0);
    REQUIRE(got >= 1200);
    packet.resize(static_cast<std::size_t>(got));
    initials.push_back(std::move(packet));
  }

  const int liar = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const quic::UdpAddress to = quic::UdpAddress::from(at);
  const auto send_from = [&](std::uint32_t source, const Bytes& packet) {
    iovec vector{const_cast<std::byte*>(packet.data()), packet.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in_pktinfo))> control{};
    msghdr header{};
    header.msg_name = const_cast<sockaddr*>(to.data());
    header.msg_namelen = to.size();
    header.msg_iov = &vector;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* const entry = CMSG_FIRSTHDR(&header);
    entry->cmsg_level = IPPROTO_IP;
    entry->cmsg_type = IP_PKTINFO;
    entry->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
    in_pktinfo info{};
    info.ipi_spec_dst.s_addr = htonl(0x7f000000U | source);
    std::memcpy(CMSG_DATA(entry), &info, sizeof info);
    return ::sendmsg(liar, &header, MSG_DONTWAIT) > 0;
  };

  const std::size_t before = test::resident_bytes();
  std::uint32_t media = 0;
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    REQUIRE(send_from(256 + i * 3, initials[i % initials.size()]));
    if (i % 20 != 0) continue;  // a chunk of the session's stream among 20 of the flood
    Bytes payload(4096);
    std::memcpy(payload.data(), &media, sizeof media);
    far_events.media.push_back({{}, make_frame(FrameType::chunk, payload)});
    ++media;
    far->notify_media();
    io.restart();
    io.poll();
  }
  CHECK(run_until(
      io, [&] { return near_events.frames.size() == media; }, 5s));
  CHECK_FALSE(near_events.closed);
  CHECK_FALSE(far_events.closed);
  CHECK(test::resident_bytes() <= before + 64 * 1024 * 1024);
  CHECK(server.accepted.empty());

  // An honest newcomer proves its address, and is let in meanwhile.
  Node newcomer{io};
  auto late = newcomer.dial(at, server.id());
  CHECK(late.has_value());
  ::close(trap);
  ::close(liar);
}

}  // namespace tayga::transport
