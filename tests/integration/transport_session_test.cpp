#include "common/transport/transport.hpp"
#include "tests/integration/transport_peers.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace tayga::transport {
namespace {

using wire::FrameType;

}  // namespace

TEST_CASE("both ends of a session know the other's proven id and address") {
  Pair pair;
  CHECK(pair.near->peer() == pair.server.id());
  CHECK(pair.far->peer() == pair.client.id());
  CHECK(pair.near->side() == Side::dialer);
  CHECK(pair.far->side() == Side::acceptor);
  CHECK(pair.near->kind() == kKindUnderTest);
  CHECK(pair.far->remote_endpoint().address == boost::asio::ip::address_v4::loopback());
}

TEST_CASE("frames of every size arrive whole and in order, both ways at once") {
  Pair pair;
  constexpr std::size_t kCount = 3000;  // 12 MiB each way
  for (std::uint32_t i = 0; i < kCount; ++i) {
    pair.near_events.media.push_back(numbered_media(i, 4 + (i * 7919) % 8192));
    pair.far_events.media.push_back(numbered_media(i, i % 100 == 0 ? wire::kPayloadSizeMax : 4096));
  }
  pair.start();
  pair.near->notify_media();
  pair.far->notify_media();
  REQUIRE(run_until(pair.io, [&] {
    return pair.near_events.frames.size() == kCount && pair.far_events.frames.size() == kCount;
  }));
  CHECK(numbers_of(pair.far_events, FrameType::chunk) == first_numbers(kCount));
  CHECK(numbers_of(pair.near_events, FrameType::chunk) == first_numbers(kCount));
  std::size_t payload_bytes = 0;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    const std::size_t size = pair.far_events.frames[i].second.size();
    if (size != 4 + (i * 7919) % 8192) FAIL("frame " << i << " has " << size << " bytes");
    payload_bytes += size;
  }
  const SessionStats stats = pair.near->stats();
  CHECK(stats.media_frames_out == kCount);
  CHECK(stats.queued_bytes == 0);
  CHECK(stats.bytes_out > payload_bytes + kCount * wire::kFrameHeaderSize);
  // Framing, encryption, and on QUIC the headers and acknowledgements of packets.
  const std::size_t overhead = payload_bytes / (kKindUnderTest == Kind::quic ? 25 : 50);
  CHECK(stats.bytes_out < payload_bytes + overhead);
  // An acknowledgement may still be on its way.
  CHECK(run_until(pair.io,
                  [&] { return pair.near->stats().bytes_out == pair.far->stats().bytes_in; }));
  CHECK(stats.smoothed_rtt > Duration{0});
}

TEST_CASE("frames that were sent before the other side started wait for it") {
  Pair pair;
  pair.near->start(pair.near_events);
  pair.near->send_control(numbered_control(0));
  run_for(pair.io, 20ms);
  CHECK(pair.far_events.frames.empty());
  pair.far->start(pair.far_events);
  REQUIRE(run_until(pair.io, [&] { return pair.far_events.frames.size() == 1; }));
}

TEST_CASE("the acceptor may speak first") {
  Pair pair;
  pair.start();
  pair.far->send_control(numbered_control(3));
  REQUIRE(run_until(pair.io, [&] { return pair.near_events.frames.size() == 1; }));
  CHECK(numbers_of(pair.near_events, FrameType::control) == std::vector<std::uint32_t>{3});
}

TEST_CASE("a lone control frame does not wait for company, a lone media frame waits for a while") {
  Options options;
  options.flush_delay = FlushDelay::fixed(300ms);
  Pair pair{options};
  pair.start();
  run_for(pair.io, 10ms);

  pair.near->send_control(numbered_control(0));
  CHECK(run_until(
      pair.io, [&] { return pair.far_events.frames.size() == 1; }, 250ms));

  pair.near_events.media.push_back(numbered_media(0, 100));
  pair.near->notify_media();
  const auto began = std::chrono::steady_clock::now();
  REQUIRE(run_until(pair.io, [&] { return pair.far_events.frames.size() == 2; }));
  CHECK(std::chrono::steady_clock::now() - began >= 250ms);

  SECTION("flush_bytes of media do not wait") {
    for (std::uint32_t i = 0; i < 5; ++i) pair.near_events.media.push_back(numbered_media(i));
    pair.near->notify_media();
    CHECK(run_until(
        pair.io, [&] { return pair.far_events.frames.size() == 7; }, 250ms));
  }
  SECTION("a control frame takes waiting media along") {
    pair.near_events.media.push_back(numbered_media(0, 100));
    pair.near->notify_media();
    run_for(pair.io, 10ms);
    pair.near->send_control(numbered_control(1));
    CHECK(run_until(
        pair.io, [&] { return pair.far_events.frames.size() == 4; }, 250ms));
  }
}

TEST_CASE(
    "a receiver that stops reading leaves the media with its owner, and control overtakes it") {
  Pair pair;
  constexpr std::size_t kCount = 4000;  // 16 MiB
  for (std::uint32_t i = 0; i < kCount; ++i) pair.near_events.media.push_back(numbered_media(i));
  pair.near->start(pair.near_events);  // the far side does not read before it starts
  pair.near->notify_media();
  run_for(pair.io, 300ms);
  const std::size_t pulled = pair.near_events.media_pulled;
  CHECK(pulled > 0);
  CHECK(pulled * 4096 < 1024 * 1024 + 64 * 1024);  // what a session holds, and a frame
  CHECK(pair.near->stats().queued_bytes < 256 * 1024);

  for (int i = 0; i < 100; ++i) pair.near->notify_media();
  pair.near->send_control(numbered_control(7));
  run_for(pair.io, 100ms);
  CHECK(pair.near_events.media_pulled == pulled);  // stuck, and nothing more was taken

  pair.far->start(pair.far_events);
  REQUIRE(run_until(pair.io, [&] { return pair.far_events.frames.size() == kCount + 1; }));
  CHECK(numbers_of(pair.far_events, FrameType::chunk) == first_numbers(kCount));
  CHECK(numbers_of(pair.far_events, FrameType::control) == std::vector<std::uint32_t>{7});
  const auto control =
      std::find_if(pair.far_events.frames.begin(), pair.far_events.frames.end(),
                   [](const Recorder::Frame& frame) { return frame.first == FrameType::control; });
  CHECK(control - pair.far_events.frames.begin() <= static_cast<std::ptrdiff_t>(pulled));
}

TEST_CASE(
    "a peer that does not take its control frames is closed as overflow, later and not inside") {
  Pair pair;
  pair.near->start(pair.near_events);
  const SharedBytes frame = make_frame(FrameType::control, Bytes(wire::kPayloadSizeMax));
  for (int i = 0; i < 17; ++i) pair.near->send_control(frame);
  CHECK_FALSE(pair.near_events.closed);
  REQUIRE(run_until(pair.io, [&] { return pair.near_events.closed.has_value(); }));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::overflow);
}

TEST_CASE("close sends the queued control frames, then both sides learn that it was in order") {
  Pair pair;
  pair.start();
  for (std::uint32_t i = 0; i < 50; ++i) pair.near->send_control(numbered_control(i));
  pair.near->close("done");
  pair.near->send_control(numbered_control(99));  // too late
  CHECK_FALSE(pair.near_events.closed);
  pair.far_events.then_on_closed = [&] { pair.far.reset(); };
  REQUIRE(run_until(pair.io, [&] { return pair.near_events.closed && pair.far_events.closed; }));
  CHECK(numbers_of(pair.far_events, FrameType::control) == first_numbers(50));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::local);
  CHECK(pair.near_events.closed->detail == "done");
  CHECK(pair.far_events.closed->reason == CloseInfo::Reason::remote);
}

TEST_CASE("close ends within its bound when the peer never reads") {
  Pair pair;
  pair.near->start(pair.near_events);
  const SharedBytes frame = make_frame(FrameType::control, Bytes(60000));
  for (int i = 0; i < 15; ++i) pair.near->send_control(frame);
  run_for(pair.io, 20ms);
  pair.near->close("enough");
  REQUIRE(run_until(
      pair.io, [&] { return pair.near_events.closed.has_value(); }, 3s));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::local);
}

TEST_CASE("a session that is destroyed without close reads as a reset on the other side") {
  Pair pair;
  SECTION("cut off") {
    pair.start();
  }
  SECTION("cut off with unread data, so that the kernel sends RST") {
    pair.near->start(pair.near_events);
    pair.near->send_control(numbered_control(0));
  }
  run_for(pair.io, 20ms);
  pair.far.reset();
  REQUIRE(run_until(pair.io, [&] { return pair.near_events.closed.has_value(); }));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::reset);
  CHECK_FALSE(pair.near_events.closed->detail.empty());
}

TEST_CASE("a session that hears nothing for idle_max closes as idle; any frame keeps it") {
  Options options;
  options.idle_max = 300ms;
  Pair pair{options};
  pair.start();
  for (std::uint32_t i = 0; i < 8; ++i) {
    run_for(pair.io, 80ms);
    pair.near->send_control(numbered_control(i));
    pair.far->send_control(numbered_control(i));
  }
  CHECK_FALSE(pair.near_events.closed);
  pair.far_events.then_on_closed = [&] { pair.far.reset(); };
  REQUIRE(run_until(
      pair.io, [&] { return pair.near_events.closed && pair.far_events.closed; }, 2s));
  const bool near_first = pair.near_events.closed->reason == CloseInfo::Reason::idle;
  const bool far_first = pair.far_events.closed->reason == CloseInfo::Reason::idle;
  CHECK((near_first || far_first));
}

TEST_CASE("a frame that breaks the rules closes the session as protocol, with the reason") {
  Pair pair;
  pair.start();
  pair.near->send_control(numbered_control(0));
  SECTION("payload too large") {
    Bytes oversize(wire::kFrameHeaderSize);
    oversize[0] = std::byte{0x11};
    oversize[1] = std::byte{0x01};
    oversize[3] = std::byte{0x01};
    pair.near->send_control(make_shared_bytes(oversize));
  }
  SECTION("unknown type") {
    Bytes unknown(wire::kFrameHeaderSize);
    unknown[0] = std::byte{0x77};
    pair.near->send_control(make_shared_bytes(unknown));
  }
  pair.near->send_control(numbered_control(1));
  REQUIRE(run_until(pair.io, [&] { return pair.far_events.closed.has_value(); }));
  CHECK(pair.far_events.closed->reason == CloseInfo::Reason::protocol);
  CHECK_FALSE(pair.far_events.closed->detail.empty());
  CHECK(numbers_of(pair.far_events, FrameType::control) == std::vector<std::uint32_t>{0});
  REQUIRE(run_until(pair.io, [&] { return pair.near_events.closed.has_value(); }));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::reset);
}

TEST_CASE("the owner may destroy its session from inside any callback") {
  Pair pair;
  pair.start();
  bool destroyed = false;
  const auto destroy_far = [&] {
    pair.far.reset();
    destroyed = true;
  };
  for (std::uint32_t i = 0; i < 10; ++i) pair.near->send_control(numbered_control(i));
  SECTION("from on_frame") {
    pair.far_events.then_on_frame = destroy_far;
  }
  SECTION("from on_closed") {
    pair.far_events.then_on_closed = destroy_far;
    pair.near->close("bye");
  }
  SECTION("from next_media") {
    pair.far_events.then_on_pull = destroy_far;
    pair.far->notify_media();
  }
  REQUIRE(run_until(pair.io, [&] { return destroyed; }));
  run_for(pair.io, 50ms);
  CHECK(pair.far_events.frames.size() <= 10);
  CHECK((pair.near_events.closed.has_value()));
}

TEST_CASE("a session that another one's callback destroys in the same wake-up hears nothing more") {
  boost::asio::io_context io;
  Node server{io};
  Node client{io};
  const Endpoint at = server.listen();
  std::vector<std::unique_ptr<Session>> dialed;
  for (int i = 0; i < 8; ++i) dialed.push_back(std::move(client.dial(at, server.id()).value()));
  REQUIRE(run_until(io, [&] { return server.accepted.size() == 8; }));

  std::vector<Recorder> near_events(8);
  std::vector<Recorder> far_events(8);
  for (std::size_t i = 0; i < 8; ++i) {
    dialed[i]->start(near_events[i]);
    server.accepted[i]->start(far_events[i]);
    far_events[i].then_on_frame = [&] { server.accepted.clear(); };
    dialed[i]->send_control(numbered_control(1));
  }
  run_for(io, 200ms);
  std::size_t heard = 0;
  for (const Recorder& events : far_events) heard += events.frames.size();
  CHECK(heard == 1);
}

TEST_CASE("on_frame and on_closed never come from inside a call to the session") {
  Pair pair;
  pair.start();
  bool inside = false;
  bool reentered = false;
  const auto note = [&] { reentered = reentered || inside; };
  pair.near_events.then_on_closed = note;
  pair.near_events.then_on_frame = note;
  pair.near_events.then_on_pull = note;
  pair.far->send_control(numbered_control(0));
  for (std::uint32_t i = 0; i < 100; ++i) {
    pair.near_events.media.push_back(numbered_media(i));
    inside = true;
    pair.near->notify_media();
    pair.near->send_control(numbered_control(i));
    inside = false;
    pair.io.restart();
    pair.io.poll();
  }
  inside = true;
  pair.near->close("end");
  inside = false;
  pair.far_events.then_on_closed = [&] { pair.far.reset(); };
  REQUIRE(run_until(pair.io, [&] { return pair.near_events.closed.has_value(); }));
  CHECK_FALSE(reentered);
}

TEST_CASE(
    "the transport may be gone while its sessions go on, and an idle one keeps no context busy") {
  Pair pair;
  pair.start();
  pair.client.transport.reset();
  pair.client.transport = make_transport(pair.io, pair.client.key, Options{});
  pair.server.transport->stop();
  pair.near->send_control(numbered_control(0));
  REQUIRE(run_until(pair.io, [&] { return pair.far_events.frames.size() == 1; }));

  pair.near.reset();
  pair.far.reset();
  pair.io.restart();
  pair.io.run_for(std::chrono::seconds{5});
  CHECK(pair.io.stopped());  // nothing is left to wait for
}

}  // namespace tayga::transport
