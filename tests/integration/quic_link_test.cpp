#include "tests/integration/transport_peers.hpp"
#include "tests/support/link_emulator.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace tayga::transport {
namespace {

using test::Direction;
using test::LinkShape;
using test::PathState;
using test::UdpLinkEmulator;
using wire::FrameType;
using SteadyClock = std::chrono::steady_clock;

/// Two nodes with one started session between them, over an emulated link.
struct Linked {
  explicit Linked(const LinkShape& shape = {}, const Options& options = {})
      : server{io, options}, client{io, options}, link{{server.listen(), shape, shape, 7}} {
    auto result = client.dial(link.endpoint(), server.id());
    REQUIRE(result.has_value());
    near = std::move(*result);
    REQUIRE(run_until(io, [&] { return !server.accepted.empty(); }));
    far = std::move(server.accepted.front());
    server.accepted.clear();
    near->start(near_events);
    far->start(far_events);
  }

  /// Both ways at once; all of it arrives, in order.
  void exchange(std::uint32_t count, Duration limit = 60s) {
    for (std::uint32_t i = 0; i < count; ++i) {
      near_events.media.push_back(numbered_media(i, 4 + (i * 7919) % 8192));
      far_events.media.push_back(numbered_media(i));
    }
    near->notify_media();
    far->notify_media();
    CHECK(run_until(
        io,
        [&] {
          return numbers_of(near_events, FrameType::chunk).size() == count &&
                 numbers_of(far_events, FrameType::chunk).size() == count;
        },
        limit));
    CHECK(numbers_of(near_events, FrameType::chunk) == first_numbers(count));
    CHECK(numbers_of(far_events, FrameType::chunk) == first_numbers(count));
    CHECK_FALSE(near_events.closed);
    CHECK_FALSE(far_events.closed);
  }
  void expect_alive(std::uint32_t number, Duration limit = 5s) {
    near->send_control(numbered_control(number));
    far->send_control(numbered_control(number));
    const auto has_it = [number](const Recorder& events) {
      const auto numbers = numbers_of(events, FrameType::control);
      return std::find(numbers.begin(), numbers.end(), number) != numbers.end();
    };
    CHECK(run_until(
        io, [&] { return has_it(near_events) && has_it(far_events); }, limit));
  }

  boost::asio::io_context io;
  Node server;
  Node client;
  UdpLinkEmulator link;
  Recorder near_events;
  Recorder far_events;
  std::unique_ptr<Session> near;
  std::unique_ptr<Session> far;
};

Duration since(SteadyClock::time_point began) {
  return std::chrono::duration_cast<Duration>(SteadyClock::now() - began);
}

}  // namespace

TEST_CASE("frames arrive whole and in order over a link that loses, swaps, repeats and corrupts") {
  LinkShape bad;
  bad.delay = 10ms;
  bad.loss = 0.05;
  bad.reorder = 0.05;
  bad.duplicate = 0.05;
  bad.corrupt = 0.02;
  Linked pair{bad};
  pair.exchange(400);
}

TEST_CASE("nothing above 1280 bytes of IP gets through, and it does not matter") {
  LinkShape narrow;
  narrow.delay = 2ms;
  narrow.mtu = 1280 - 48;  // what IPv6 and UDP leave
  Linked pair{narrow};
  pair.exchange(500);
}

TEST_CASE("a link that narrows under a session stalls it in its bound; the next one fits") {
  LinkShape wide;
  wide.delay = 2ms;
  Options options;
  options.stall_max = 1s;
  Linked pair{wide, options};
  pair.exchange(500);
  run_for(pair.io, 500ms);  // it has found out how wide
  LinkShape narrow = wide;
  narrow.mtu = 1232;
  pair.link.set_shape(Direction::to_server, narrow);
  pair.link.set_shape(Direction::to_client, narrow);
  pair.expect_alive(1);  // small packets pass as before
  for (std::uint32_t i = 0; i < 500; ++i) pair.near_events.media.push_back(numbered_media(i));
  pair.near->notify_media();
  REQUIRE(run_until(
      pair.io, [&] { return pair.near_events.closed.has_value(); }, 5s));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::stalled);
  REQUIRE(pair.client.dial(pair.link.endpoint(), pair.server.id()).has_value());
}

TEST_CASE("two seconds without a packet do not end a session, and it goes on by itself") {
  LinkShape shape;
  shape.delay = 10ms;
  Linked pair{shape};
  for (std::uint32_t i = 0; i < 300; ++i) pair.far_events.media.push_back(numbered_media(i));
  pair.far->notify_media();
  run_for(pair.io, 30ms);
  pair.link.blackhole_for(2s);
  CHECK(run_until(
      pair.io, [&] { return pair.near_events.frames.size() == 300; }, 10s));
  CHECK(numbers_of(pair.near_events, FrameType::chunk) == first_numbers(300));
  pair.expect_alive(5);
}

TEST_CASE("a blackhole for good ends a session within its bounds") {
  Options options;
  options.idle_max = 1500ms;
  options.keep_alive = 500ms;
  Linked pair{{}, options};
  SECTION("quiet: as idle") {
    pair.link.set_path(PathState::blackhole);
    const auto began = SteadyClock::now();
    REQUIRE(run_until(
        pair.io, [&] { return pair.near_events.closed && pair.far_events.closed; }, 5s));
    CHECK(pair.near_events.closed->reason == CloseInfo::Reason::idle);
    CHECK(pair.far_events.closed->reason == CloseInfo::Reason::idle);
    CHECK(since(began) <= 3s);
  }
  SECTION("sending: no later") {
    pair.link.set_path(PathState::blackhole);
    for (std::uint32_t i = 0; i < 1000; ++i) pair.far_events.media.push_back(numbered_media(i));
    pair.far->notify_media();
    REQUIRE(run_until(
        pair.io, [&] { return pair.far_events.closed.has_value(); }, 5s));
    CHECK((pair.far_events.closed->reason == CloseInfo::Reason::idle ||
           pair.far_events.closed->reason == CloseInfo::Reason::stalled));
    CHECK(pair.far_events.media.size() > 500);  // what was not sent stayed with its owner
  }
}

TEST_CASE("a NAT that forgets its binding in mid-stream loses no frame") {
  LinkShape shape;
  shape.delay = 5ms;
  shape.rate_bps = 20'000'000;
  Linked pair{shape};
  constexpr std::uint32_t kCount = 1000;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    pair.near_events.media.push_back(numbered_media(i));
    pair.far_events.media.push_back(numbered_media(i));
  }
  pair.near->notify_media();
  pair.far->notify_media();
  run_for(pair.io, 200ms);
  const Endpoint before = pair.far->remote_endpoint();
  pair.link.rebind();
  CHECK(run_until(
      pair.io,
      [&] {
        return pair.near_events.frames.size() == kCount && pair.far_events.frames.size() == kCount;
      },
      20s));
  CHECK(numbers_of(pair.near_events, FrameType::chunk) == first_numbers(kCount));
  CHECK(numbers_of(pair.far_events, FrameType::chunk) == first_numbers(kCount));
  CHECK(pair.far->remote_endpoint() != before);
  pair.expect_alive(3);
}

TEST_CASE("rebind() moves a dialer to a new socket in mid-stream, and loses no frame") {
  LinkShape shape;
  shape.delay = 5ms;
  shape.rate_bps = 20'000'000;
  Linked pair{shape};
  constexpr std::uint32_t kCount = 1000;
  for (std::uint32_t i = 0; i < kCount; ++i) pair.far_events.media.push_back(numbered_media(i));
  pair.far->notify_media();
  run_for(pair.io, 200ms);
  const Endpoint before = pair.far->remote_endpoint();
  auto& transport = dynamic_cast<quic::QuicTransport&>(*pair.client.transport);
  REQUIRE(transport.rebind().has_value());
  CHECK(run_until(
      pair.io, [&] { return pair.near_events.frames.size() == kCount; }, 20s));
  CHECK(numbers_of(pair.near_events, FrameType::chunk) == first_numbers(kCount));
  CHECK(pair.far->remote_endpoint() != before);
  pair.expect_alive(3);
}

TEST_CASE("a peer with another key is refused by name; nobody there is a time-out") {
  boost::asio::io_context io;
  Node server{io};
  Node client{io};
  const Endpoint at = server.listen();
  const auto wrong = client.dial(at, client.id());
  REQUIRE_FALSE(wrong.has_value());
  CHECK(wrong.error() == TransportErrc::wrong_peer);
  run_for(io, 100ms);
  CHECK(server.accepted.empty());

  server.transport = make_transport(io, server.key, Options{});  // which does not listen
  const auto began = SteadyClock::now();
  const auto nobody = client.dial(at, server.id(), 500ms);
  REQUIRE_FALSE(nobody.has_value());
  CHECK((nobody.error() == TransportErrc::timed_out ||
         nobody.error() == TransportErrc::connect_failed));
  CHECK(since(began) <= 2s);
}

TEST_CASE("a dial that is cancelled leaves nothing behind, here or there") {
  Linked pair;
  pair.link.set_path(PathState::blackhole);
  {
    bool ended = false;
    const auto give_up = [](auto connect, bool& done) -> async::Task<void> {
      (void)co_await std::move(connect);
      done = true;
    };
    REQUIRE(pair.client.dials.spawn(give_up(
        pair.client.transport->connect(pair.link.endpoint(), pair.server.id(), 10s), ended)));
    run_for(pair.io, 50ms);
    pair.client.dials.cancel();
    run_for(pair.io, 50ms);
  }
  pair.near.reset();
  pair.far.reset();
  pair.client.transport.reset();
  pair.client.transport = make_transport(pair.io, pair.client.key, Options{});
  pair.server.transport->stop();
  pair.io.restart();
  pair.io.run_for(std::chrono::seconds{6});
  CHECK(pair.io.stopped());  // nothing is left to wait for
}

TEST_CASE("a port that is taken is said so, also to the first of several workers") {
  boost::asio::io_context io;
  Node first{io};
  const Endpoint at = first.listen();
  const auto listen = [&](const Options& options) {
    const auto transport = make_transport(io, first.key, options);
    return transport->listen(at, [](std::unique_ptr<Session>) {});
  };
  CHECK(listen(Options{}).error() == TransportErrc::address_in_use);
  Options worker;
  worker.place = {0, 2};
  CHECK(listen(worker).error() == TransportErrc::address_in_use);
}

TEST_CASE("beyond sessions_max nobody gets in; when one leaves, the next one does") {
  boost::asio::io_context io;
  Options options;
  options.sessions_max = 2;
  Node server{io, options};
  const Endpoint at = server.listen();
  Node client{io};
  auto one = client.dial(at, server.id());
  auto two = client.dial(at, server.id());
  REQUIRE((one.has_value() && two.has_value()));
  CHECK_FALSE(client.dial(at, server.id(), 2s).has_value());
  REQUIRE(server.accepted.size() == 2);
  server.accepted.pop_back();
  run_for(io, 50ms);
  CHECK(client.dial(at, server.id()).has_value());
}

TEST_CASE("a peer that died without a word: its session ends as idle, and its return is welcome") {
  Options options;
  options.idle_max = 1s;
  options.keep_alive = 300ms;
  Linked pair{{}, options};
  pair.link.set_path(PathState::blackhole);
  pair.near.reset();  // its farewell gets lost
  run_for(pair.io, 100ms);
  pair.link.set_path(PathState::open);
  auto again = pair.client.dial(pair.link.endpoint(), pair.server.id());
  REQUIRE(again.has_value());
  REQUIRE(run_until(
      pair.io, [&] { return pair.far_events.closed.has_value(); }, 3s));
  CHECK((pair.far_events.closed->reason == CloseInfo::Reason::idle ||
         pair.far_events.closed->reason == CloseInfo::Reason::reset));
  REQUIRE(run_until(pair.io, [&] { return pair.server.accepted.size() == 1; }));
  CHECK(pair.server.accepted[0]->peer() == pair.client.id());
}

TEST_CASE("without segment offload everything works as with it") {
  Options options;
  options.segment_offload = false;
  LinkShape shape;
  shape.delay = 1ms;
  Linked pair{shape, options};
  pair.exchange(2000);
}

TEST_CASE("a dead child costs the others nothing") {
  Recorder near[2];
  Recorder far[2];
  boost::asio::io_context io;
  Node server{io};
  const Endpoint at = server.listen();
  Node client{io};
  UdpLinkEmulator link{{at, {}, {}, 3}};
  auto dead = client.dial(link.endpoint(), server.id());
  REQUIRE(dead.has_value());
  auto live = client.dial(at, server.id());
  REQUIRE(live.has_value());
  REQUIRE(run_until(io, [&] { return server.accepted.size() == 2; }));
  (*dead)->start(near[0]);
  (*live)->start(near[1]);
  for (std::size_t i = 0; i < 2; ++i) server.accepted[i]->start(far[i]);
  link.set_path(PathState::blackhole);
  constexpr std::uint32_t kCount = 1000;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    for (Recorder& events : far) events.media.push_back(numbered_media(i));
  }
  for (const auto& session : server.accepted) session->notify_media();
  CHECK(run_until(
      io, [&] { return near[1].frames.size() == kCount; }, 5s));
  CHECK(near[0].frames.empty());
}

}  // namespace tayga::transport
