#include "common/transport/workers/messages.hpp"
#include "tests/integration/pooled_peers.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <algorithm>
#include <cstring>
#include <numeric>

namespace tayga::transport {
namespace {

using wire::FrameType;

}  // namespace

TEST_CASE("a proxy knows the peer's proven id, the address and the kind of its session") {
  ProxyPair pair;
  CHECK(pair.near->peer() == pair.far_node.id());
  CHECK(pair.near->side() == Side::dialer);
  CHECK(pair.near->kind() == Kind::tcp);
  CHECK(pair.near->remote_endpoint().address == boost::asio::ip::address_v4::loopback());
  CHECK(pair.far->peer() == pair.near_node.id());
}

TEST_CASE("frames cross the threads whole and in order, both ways at once") {
  ProxyPair pair;
  constexpr std::size_t kCount = 2000;  // 8 MiB each way
  for (std::uint32_t i = 0; i < kCount; ++i) {
    pair.near_events.media.push_back(numbered_media(i, 4 + (i * 7919) % 8192));
    pair.far_events.media.push_back(numbered_media(i));
  }
  pair.start();
  pair.near->notify_media();
  pair.far->notify_media();
  REQUIRE(run_until(pair.io, [&] {
    return pair.near_events.frames.size() == kCount && pair.far_events.frames.size() == kCount;
  }));
  CHECK(numbers_of(pair.far_events) == first_numbers(kCount));
  CHECK(numbers_of(pair.near_events) == first_numbers(kCount));
  for (std::uint32_t i = 0; i < kCount; ++i) {
    const std::size_t size = pair.far_events.frames[i].second.size();
    if (size != 4 + (i * 7919) % 8192) FAIL("frame " << i << " has " << size << " bytes");
  }
  REQUIRE(run_until(pair.io, [&] { return pair.near->stats().media_frames_out == kCount; }));
  CHECK(pair.near->stats().queued_bytes == 0);
  CHECK(pair.near->stats().smoothed_rtt > Duration{0});
}

TEST_CASE("control frames go in order, and wait for the start of the session") {
  ProxyPair pair;
  for (std::uint32_t i = 0; i < 50; ++i) pair.near->send_control(numbered_control(i));
  pair.far->start(pair.far_events);
  run_for(pair.io, 20ms);
  CHECK(pair.far_events.frames.empty());
  pair.near->start(pair.near_events);
  REQUIRE(run_until(pair.io, [&] { return pair.far_events.frames.size() == 50; }));
  CHECK(numbers_of(pair.far_events) == first_numbers(50));
}

TEST_CASE("media that the peer does not take stays with its owner") {
  ProxyPair pair;
  constexpr std::size_t kCount = 4000;  // 16 MiB, more than all the buffers on the way
  for (std::uint32_t i = 0; i < kCount; ++i) pair.near_events.media.push_back(numbered_media(i));
  pair.near->start(pair.near_events);  // the far end does not read
  pair.near->notify_media();
  std::size_t before = 0;
  while (pair.near_events.media.size() != before) {  // until nothing moves any more
    before = pair.near_events.media.size();
    run_for(pair.io, 300ms);
  }
  REQUIRE(before > 0);
  const SessionStats stuck = pair.near->stats();
  CHECK(stuck.queued_bytes > workers::kMediaCreditMax / 2);
  CHECK(stuck.queued_bytes < 512 * 1024);

  pair.far->start(pair.far_events);
  REQUIRE(run_until(pair.io, [&] { return pair.far_events.frames.size() == kCount; }));
  CHECK(numbers_of(pair.far_events) == first_numbers(kCount));
}

TEST_CASE("a proxy tells its owner that it ended, exactly once, and what went before arrives") {
  ProxyPair pair;
  pair.start();
  pair.near->send_control(numbered_control(0));
  pair.near->close("enough");
  CHECK_FALSE(pair.near_events.closed);  // never from inside a call
  REQUIRE(run_until(pair.io, [&] { return pair.near_events.closed && pair.far_events.closed; }));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::local);
  CHECK(pair.far_events.closed->reason == CloseInfo::Reason::remote);
  CHECK(numbers_of(pair.far_events) == first_numbers(1));
  CHECK(pair.near->stats().bytes_out > 0);
  pair.near->send_control(numbered_control(1));
  pair.near->notify_media();
  run_for(pair.io, 50ms);
  CHECK(pair.far_events.frames.size() == 1);
}

TEST_CASE("a proxy hears that the peer closed, after all that the peer sent") {
  ProxyPair pair;
  pair.start();
  for (std::uint32_t i = 0; i < 20; ++i) pair.far->send_control(numbered_control(i));
  pair.far->close("bye");
  REQUIRE(run_until(pair.io, [&] { return pair.near_events.closed.has_value(); }));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::remote);
  CHECK(numbers_of(pair.near_events) == first_numbers(20));
}

TEST_CASE("a proxy whose control frames the worker does not take closes as overflow") {
  ProxyPair pair;
  pair.start();
  run_for(pair.io, 10ms);
  for (std::uint32_t i = 0; i < 20; ++i) {
    pair.near->send_control(numbered_control(i, wire::kPayloadSizeMax));
  }
  CHECK_FALSE(pair.near_events.closed);
  REQUIRE(run_until(pair.io, [&] { return pair.near_events.closed && pair.far_events.closed; }));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::overflow);
}

TEST_CASE("the owner may destroy a proxy from inside any of its callbacks") {
  ProxyPair pair;
  for (std::uint32_t i = 0; i < 100; ++i) {
    pair.near_events.media.push_back(numbered_media(i));
    pair.far_events.media.push_back(numbered_media(i));
  }
  const auto drop = [&] { pair.near.reset(); };
  SECTION("on_frame") {
    pair.near_events.then_on_frame = drop;
  }
  SECTION("next_media") {
    pair.near_events.then_on_pull = drop;
  }
  SECTION("on_closed") {
    pair.near_events.then_on_closed = drop;
    pair.far_events.then_on_frame = [&] { pair.far->close("done"); };
  }
  pair.start();
  pair.near->notify_media();
  pair.far->notify_media();
  REQUIRE(run_until(pair.io, [&] { return !pair.near; }));
  const std::size_t frames = pair.near_events.frames.size();
  REQUIRE(run_until(pair.io, [&] { return pair.far_events.closed.has_value(); }));
  run_for(pair.io, 20ms);
  CHECK(pair.near_events.frames.size() == frames);
}

TEST_CASE("connections to one port are spread over the workers") {
  boost::asio::io_context io;
  PooledNode server{io, 3};
  const Endpoint at = server.listen();
  Node client{io};
  std::vector<std::unique_ptr<Session>> dialed;
  constexpr unsigned kSessions = 24;  // all on one worker by chance: once in 3^23 runs
  for (unsigned i = 0; i < kSessions; ++i) {
    auto session = client.dial(at, server.id());
    REQUIRE(session.has_value());
    dialed.push_back(std::move(*session));
  }
  REQUIRE(run_until(io, [&] { return server.accepted.size() == kSessions; }));
  unsigned sum = 0;
  unsigned most = 0;
  for (const auto& count : server.counts.accepted) {
    sum += count;
    most = std::max<unsigned>(most, count);
  }
  CHECK(sum == kSessions);
  CHECK(most < kSessions);

  std::vector<std::unique_ptr<Recorder>> near;
  std::vector<std::unique_ptr<Recorder>> far;
  for (unsigned i = 0; i < kSessions; ++i) {
    for (auto* side : {&near, &far}) {
      side->push_back(std::make_unique<Recorder>());
      for (std::uint32_t n = 0; n < 50; ++n) side->back()->media.push_back(numbered_media(n));
    }
    dialed[i]->start(*near[i]);
    server.accepted[i]->start(*far[i]);
    dialed[i]->notify_media();
    server.accepted[i]->notify_media();
  }
  const auto has_all = [](const auto& r) { return r->frames.size() == 50; };
  REQUIRE(run_until(io, [&] {
    return std::all_of(near.begin(), near.end(), has_all) &&
           std::all_of(far.begin(), far.end(), has_all);
  }));
  for (const auto& recorder : near) CHECK(numbers_of(*recorder) == first_numbers(50));
  server.accepted.clear();  // before the handlers
}

TEST_CASE("a second program on the port of a group is refused") {
  boost::asio::io_context io;
  PooledNode first{io, 3};
  const Endpoint at = first.listen();
  PooledNode second{io, 3};
  const auto bound = second.transport->listen(at, [](std::unique_ptr<Session>) {});
  REQUIRE_FALSE(bound.has_value());
  CHECK(bound.error() == TransportErrc::address_in_use);
  Node alone{io};
  CHECK(alone.transport->listen(at, [](std::unique_ptr<Session>) {}).error() ==
        TransportErrc::address_in_use);
}

TEST_CASE("the port is free again when stop() returns") {
  boost::asio::io_context io;
  PooledNode first{io, 3};
  const Endpoint at = first.listen();
  first.transport->stop();
  PooledNode second{io, 2};
  CHECK(second.transport->listen(at, [](std::unique_ptr<Session>) {}).has_value());
}

TEST_CASE("the worker of a dial is chosen by the peer's id, so that its ticket is found again") {
  boost::asio::io_context io;
  PooledNode node{io, 4};
  Node nobody{io};
  const Endpoint at = nobody.listen();
  for (unsigned worker = 0; worker < 4; ++worker) {
    const NodeId peer = node.key_on(worker).node_id();
    for (unsigned again = 1; again <= 2; ++again) {
      const auto session = node.dial(at, peer);
      REQUIRE_FALSE(session.has_value());
      CHECK(session.error() == TransportErrc::wrong_peer);
      CHECK(node.counts.dialed[worker] == again);
    }
  }
}

TEST_CASE("dials on a worker fail as others do") {
  boost::asio::io_context io;
  PooledNode node{io, 2};
  const NodeId peer = node.key_on(1).node_id();
  // Takes connections into its backlog and says nothing.
  boost::asio::ip::tcp::acceptor silent{io, {boost::asio::ip::address_v4::loopback(), 0}};
  const Endpoint at{silent.local_endpoint().address(), silent.local_endpoint().port()};

  SECTION("nobody answers") {
    CHECK(node.dial(at, peer, 200ms).error() == TransportErrc::timed_out);
  }
  SECTION("nobody listens") {
    silent.close();
    CHECK(node.dial(at, peer).error() == TransportErrc::connect_failed);
  }
  SECTION("the transport was stopped") {
    node.transport->stop();
    CHECK(node.dial(at, peer).error() == TransportErrc::connect_failed);
  }
  SECTION("the task was cancelled") {
    std::optional<Result<std::unique_ptr<Session>>> result;
    const auto store = [](auto connect, auto& out) -> async::Task<void> {
      out.emplace(co_await std::move(connect));
    };
    REQUIRE(node.dials.spawn(store(node.transport->connect(at, peer, 60s), result)));
    run_for(io, 50ms);
    node.dials.cancel();
    REQUIRE(run_until(
        io, [&] { return result.has_value(); }, 1s));
    CHECK(result->error() == boost::asio::error::operation_aborted);
  }
  SECTION("the transport is destroyed meanwhile") {
    std::optional<Result<std::unique_ptr<Session>>> result;
    const auto store = [](auto connect, auto& out) -> async::Task<void> {
      out.emplace(co_await std::move(connect));
    };
    REQUIRE(node.dials.spawn(store(node.transport->connect(at, peer, 300ms), result)));
    run_for(io, 50ms);
    node.transport = tls::make_tls_transport(io.get_executor(), node.key, {});
    REQUIRE(run_until(io, [&] { return result.has_value(); }));
    CHECK(result->error() == TransportErrc::connect_failed);
  }
}

TEST_CASE("a dial that is never resumed does not outlive the pool") {
  boost::asio::io_context io;
  const auto dial = [](auto connect) -> async::Task<void> { (void)co_await std::move(connect); };
  {
    PooledNode node{io, 2};
    boost::asio::ip::tcp::acceptor silent{io, {boost::asio::ip::address_v4::loopback(), 0}};
    const Endpoint at = loopback(silent.local_endpoint().port());
    const NodeId peer = node.key_on(1).node_id();
    REQUIRE(node.dials.spawn(dial(node.transport->connect(at, peer, 60s))));
    run_for(io, 20ms);
    const auto began = std::chrono::steady_clock::now();
    node.transport.reset();
    node.pool.stop();
    CHECK(std::chrono::steady_clock::now() - began < 1s);  // nothing kept the worker busy
    node.transport = tls::make_tls_transport(io.get_executor(), node.key, {});
  }
}  // the frames that wait are destroyed with the context

TEST_CASE("a pool ends while its sessions are busy") {
  boost::asio::io_context io;
  Node far_node{io};
  {
    PooledNode node{io, 4};
    const Endpoint at = node.listen();
    std::vector<std::unique_ptr<Session>> sessions;
    std::vector<std::unique_ptr<Recorder>> events;
    const std::deque<OutboundMedia> media = first_media(1000);
    for (int i = 0; i < 12; ++i) {
      auto session = far_node.dial(at, node.id());
      REQUIRE(session.has_value());
      sessions.push_back(std::move(*session));
    }
    REQUIRE(run_until(io, [&] { return node.accepted.size() == 12; }));
    for (auto* side : {&sessions, &node.accepted}) {
      for (auto& session : *side) {
        events.push_back(std::make_unique<Recorder>());
        events.back()->media = media;
        session->start(*events.back());
        session->notify_media();
      }
    }
    run_for(io, 50ms);
    node.accepted.clear();  // under way in both directions
    sessions.clear();
  }
  run_for(io, 10ms);
}

}  // namespace tayga::transport
