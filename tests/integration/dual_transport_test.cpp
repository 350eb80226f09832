#include "common/transport/dual/dual_transport.hpp"

#include "common/async/clock.hpp"
#include "common/async/timeout.hpp"
#include "tests/integration/transport_peers.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace tayga::transport {
namespace {

/// A session that exists, which is all that a dial is about.
class FakeSession final : public Session {
 public:
  FakeSession(NodeId peer, int& alive) : peer_{peer}, alive_{alive} { ++alive_; }
  ~FakeSession() override { --alive_; }
  FakeSession(const FakeSession&) = delete;
  FakeSession& operator=(const FakeSession&) = delete;
  void start(SessionHandler&) override {}
  void send_control(SharedBytes) override {}
  void notify_media() override {}
  void close(std::string) override {}
  [[nodiscard]] const NodeId& peer() const noexcept override { return peer_; }
  [[nodiscard]] Kind kind() const noexcept override { return Kind::quic; }
  [[nodiscard]] Side side() const noexcept override { return Side::dialer; }
  [[nodiscard]] Endpoint remote_endpoint() const override { return {}; }
  [[nodiscard]] SessionStats stats() const override { return {}; }

 private:
  NodeId peer_;
  int& alive_;
};

/// In the place of QUIC: answers each dial after `delay` as it is told.
class FakeQuic final : public Transport {
 public:
  struct Script {
    Duration delay = 0ms;
    error_code error;
    bool ignores_cancellation = false;

    int dials = 0;
    int cancelled = 0;
    int sessions = 0;
    std::optional<TimePoint> dialed_at;
    std::optional<Endpoint> listening;
    bool stopped = false;
  };
  FakeQuic(boost::asio::any_io_executor executor, Script& script)
      : executor_{std::move(executor)}, script_{script} {}

  [[nodiscard]] Kind kind() const noexcept override { return Kind::quic; }
  Result<Endpoint> listen(const Endpoint& local, AcceptHandler) override {
    if (script_.error) return script_.error;
    script_.listening = local;
    return local;
  }
  async::Task<Result<std::unique_ptr<Session>>> connect(Endpoint, NodeId expected,
                                                        Duration timeout) override {
    return run_connect(script_, expected, timeout);
  }
  void stop() override { script_.stopped = true; }

 private:
  static async::Task<Result<std::unique_ptr<Session>>> run_connect(Script& script, NodeId expected,
                                                                   Duration timeout) {
    ++script.dials;
    script.dialed_at = async::Clock::now();
    const error_code slept = co_await async::sleep_for(std::min(script.delay, timeout));
    if (slept) ++script.cancelled;
    if (slept && !script.ignores_cancellation) {
      co_return error_code{boost::asio::error::operation_aborted};
    }
    if (script.delay > timeout) co_return TransportErrc::timed_out;
    if (script.error) co_return script.error;
    co_return std::make_unique<FakeSession>(expected, script.sessions);
  }

  boost::asio::any_io_executor executor_;
  Script& script_;
};

/// A node that dials with a scripted QUIC and real TCP, and one that listens on TCP.
struct Rig {
  Rig() {
    DualParts parts;
    parts.quic = std::make_unique<FakeQuic>(io.get_executor(), quic);
    parts.tcp = tls::make_tls_transport(io.get_executor(), key, {});
    dual = make_dual_transport(io.get_executor(), std::move(parts), kHeadStart);
    at = peer.listen();
  }
  ~Rig() {
    dials.cancel();
    dual->stop();
    io.restart();
    io.poll();
  }

  Result<std::unique_ptr<Session>> dial(const NodeId& expected, Duration timeout = 5s) {
    return dial(at, expected, timeout);
  }
  Result<std::unique_ptr<Session>> dial(const Endpoint& remote, const NodeId& expected,
                                        Duration timeout = 5s) {
    std::optional<Result<std::unique_ptr<Session>>> result;
    const TimePoint began = async::Clock::now();
    const auto store = [](auto connect, auto& out) -> async::Task<void> {
      out.emplace(co_await std::move(connect));
    };
    REQUIRE(dials.spawn(store(dual->connect(remote, expected, timeout), result)));
    REQUIRE(run_until(io, [&] { return result.has_value(); }));
    took = async::Clock::now() - began;
    return std::move(*result);
  }

  static constexpr Duration kHeadStart = 100ms;
  boost::asio::io_context io;
  Node peer{io};
  Endpoint at;
  FakeQuic::Script quic;
  crypto::SigningKey key = crypto::SigningKey::generate();
  std::unique_ptr<DualTransport> dual;
  async::TaskGroup dials{io.get_executor(), "dials", 8};
  Duration took{0};
};

}  // namespace

TEST_CASE("QUIC that answers within its head start wins, and TCP is not even tried") {
  Rig rig;
  rig.quic.delay = 10ms;
  const auto session = rig.dial(rig.peer.id());
  REQUIRE(session.has_value());
  CHECK((*session)->kind() == Kind::quic);
  run_for(rig.io, 2 * Rig::kHeadStart);
  CHECK(rig.peer.accepted.empty());
  CHECK(rig.dual->memory_of(rig.peer.id())->reached_by == Kind::quic);
}

TEST_CASE("when QUIC is silent TCP carries shortly after, and QUIC's dial is cancelled") {
  Rig rig;
  rig.quic.delay = 1h;
  const auto session = rig.dial(rig.peer.id());
  REQUIRE(session.has_value());
  CHECK((*session)->kind() == Kind::tcp);
  CHECK(rig.took >= Rig::kHeadStart);
  CHECK(rig.took < 3s);
  CHECK(rig.quic.cancelled == 1);
  CHECK(rig.dual->memory_of(rig.peer.id())->reached_by == Kind::tcp);
}

TEST_CASE("a session that the loser brings nevertheless is closed") {
  Rig rig;
  rig.quic.delay = 1h;
  rig.quic.ignores_cancellation = true;
  rig.quic.delay = 4s;
  const auto session = rig.dial(rig.peer.id());
  REQUIRE(session.has_value());
  CHECK((*session)->kind() == Kind::tcp);
  CHECK(rig.quic.sessions == 0);
}

TEST_CASE("a peer that only TCP reached is dialed by TCP first") {
  Rig rig;
  rig.quic.delay = 1h;
  REQUIRE(rig.dial(rig.peer.id()).has_value());
  REQUIRE(rig.dial(rig.peer.id()).has_value());
  CHECK(rig.quic.dials == 1);
  CHECK(rig.took < Rig::kHeadStart);
}

TEST_CASE("when QUIC fails at once TCP does not wait for the end of its head start") {
  Rig rig;
  rig.quic.error = TransportErrc::connect_failed;
  REQUIRE(rig.dial(rig.peer.id()).has_value());
  CHECK(rig.took < Rig::kHeadStart);
}

TEST_CASE("a failed dial names the more telling of the two reasons") {
  Rig rig;
  rig.quic.error = TransportErrc::timed_out;
  const NodeId somebody_else = crypto::SigningKey::generate().node_id();
  CHECK(rig.dial(somebody_else).error() == TransportErrc::wrong_peer);
  rig.quic.error = TransportErrc::wrong_peer;
  rig.peer.transport->stop();
  CHECK(rig.dial(rig.peer.id()).error() == TransportErrc::wrong_peer);
  CHECK_FALSE(rig.dual->memory_of(rig.peer.id()));
}

TEST_CASE("a dial ends at its timeout when neither transport answers") {
  Rig rig;
  rig.quic.delay = 1h;
  boost::asio::ip::tcp::acceptor silent{rig.io, {boost::asio::ip::address_v4::loopback(), 0}};
  const Endpoint nowhere = loopback(silent.local_endpoint().port());
  CHECK(rig.dial(nowhere, rig.peer.id(), 300ms).error() == TransportErrc::timed_out);
  CHECK(rig.took >= 300ms);
  CHECK(rig.took < 2s);
}

TEST_CASE("a cancelled dial ends both transports' dials") {
  Rig rig;
  rig.quic.delay = 1h;
  boost::asio::ip::tcp::acceptor silent{rig.io, {boost::asio::ip::address_v4::loopback(), 0}};
  const Endpoint nowhere = loopback(silent.local_endpoint().port());
  std::optional<Result<std::unique_ptr<Session>>> result;
  const auto store = [](auto connect, auto& out) -> async::Task<void> {
    out.emplace(co_await std::move(connect));
  };
  REQUIRE(rig.dials.spawn(store(rig.dual->connect(nowhere, rig.peer.id(), 1h), result)));
  run_for(rig.io, 2 * Rig::kHeadStart);
  rig.dials.cancel();
  REQUIRE(run_until(
      rig.io, [&] { return result.has_value(); }, 1s));
  CHECK(result->error() == boost::asio::error::operation_aborted);
  CHECK(rig.quic.cancelled == 1);
}

TEST_CASE("both transports listen on the same port") {
  Rig rig;
  const auto ignore = [](std::unique_ptr<Session>) {};
  SECTION("a free one, when none is named") {
    const auto bound = rig.dual->listen(loopback(), ignore);
    REQUIRE(bound.has_value());
    CHECK(bound->port != 0);
    CHECK(rig.quic.listening == *bound);
  }
  SECTION("the one that is named") {
    const auto free = rig.dual->listen(loopback(), ignore);
    REQUIRE(free.has_value());
    CHECK(rig.dual->listen(*free, ignore).error() == TransportErrc::address_in_use);
  }
  SECTION("or neither of them listens") {
    rig.quic.error = TransportErrc::address_in_use;
    CHECK(rig.dual->listen(loopback(), ignore).error() == TransportErrc::address_in_use);
    CHECK(rig.quic.stopped);
  }
}

TEST_CASE("one transport alone is used as it is") {
  Rig rig;
  DualParts parts;
  const crypto::SigningKey key = crypto::SigningKey::generate();
  parts.tcp = tls::make_tls_transport(rig.io.get_executor(), key, {});
  rig.dual = make_dual_transport(rig.io.get_executor(), std::move(parts));
  CHECK(rig.dual->kind() == Kind::tcp);
  CHECK(rig.dual->has(Kind::tcp));
  CHECK_FALSE(rig.dual->has(Kind::quic));
  REQUIRE(rig.dual->listen(loopback(), [](std::unique_ptr<Session>) {}).has_value());
  const auto session = rig.dial(rig.peer.id());
  REQUIRE(session.has_value());
  CHECK((*session)->kind() == Kind::tcp);
  CHECK(rig.took < kLeaderHeadStart);
}

}  // namespace tayga::transport
