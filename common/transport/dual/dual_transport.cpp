#include "common/transport/dual/dual_transport.hpp"

#include "common/async/clock.hpp"
#include "common/base/check.hpp"
#include "common/transport/dual/dial_race.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>

#include <utility>
#include <vector>

namespace tayga::transport {
namespace {

namespace ip = boost::asio::ip;

/// Among some 28,000 ephemeral ports few are taken for UDP only.
constexpr int kPortAttempts = 16;

/// A port that is free for TCP and UDP now. Who takes it meanwhile makes listen() fail, as with any
/// port that was named.
Result<std::uint16_t> find_free_port(const ip::address& address) {
  boost::asio::io_context unused;
  for (int i = 0; i < kPortAttempts; ++i) {
    error_code ec;
    ip::tcp::acceptor tcp{unused};
    const ip::tcp::endpoint any{address, 0};
    tcp.open(any.protocol(), ec);
    if (!ec) tcp.bind(any, ec);
    const std::uint16_t port = ec ? std::uint16_t{0} : tcp.local_endpoint(ec).port();
    if (ec) break;  // no port at all, not just not this one
    ip::udp::socket udp{unused};
    const ip::udp::endpoint same{address, port};
    udp.open(same.protocol(), ec);
    if (ec) break;
    udp.bind(same, ec);
    if (!ec) return port;
  }
  return TransportErrc::listen_failed;
}

/// Shared with the dials: the transport may be destroyed while one is under way. It then has none.
struct State {
  boost::asio::any_io_executor executor;
  Duration head_start;
  std::unique_ptr<Transport> quic;
  std::unique_ptr<Transport> tcp;
  TransportChoice choice;

  Transport* of(Kind kind) { return kind == Kind::quic ? quic.get() : tcp.get(); }
};

async::Task<Result<std::unique_ptr<Session>>> give_up() {
  co_return TransportErrc::connect_failed;
}

Kind other(Kind kind) {
  return kind == Kind::quic ? Kind::tcp : Kind::quic;
}

async::Task<Result<std::unique_ptr<Session>>> run_connect(std::shared_ptr<State> state,
                                                          Endpoint remote, NodeId expected,
                                                          Duration timeout) {
  const Kind led = state->choice.leader(expected, async::Clock::now());
  std::vector<DialWay> ways;
  for (const Kind kind : {led, other(led)}) {
    ways.emplace_back([state, kind, remote, expected](Duration left) {
      Transport* const transport = state->of(kind);
      return transport ? transport->connect(remote, expected, left) : give_up();
    });
  }
  auto race = run_dial_race(state->executor, std::move(ways), state->head_start, timeout);
  DialOutcome outcome = co_await std::move(race);
  if (outcome.session) {
    const Kind winner = outcome.way == 0 ? led : other(led);
    state->choice.on_reached(expected, led, winner, async::Clock::now());
  }
  co_return std::move(outcome.session);
}

class Dual final : public DualTransport {
 public:
  Dual(boost::asio::any_io_executor executor, DualParts parts, Duration head_start)
      : state_{std::make_shared<State>(State{std::move(executor), head_start, std::move(parts.quic),
                                             std::move(parts.tcp), TransportChoice{}})} {
    TAYGA_CHECK(state_->quic || state_->tcp);
  }
  ~Dual() override {
    stop();
    // Not with the last dial: a dial's frame may outlive what the transports live on.
    state_->quic.reset();
    state_->tcp.reset();
  }
  Dual(const Dual&) = delete;
  Dual& operator=(const Dual&) = delete;

  [[nodiscard]] Kind kind() const noexcept override {
    return state_->quic ? Kind::quic : Kind::tcp;
  }
  [[nodiscard]] bool has(Kind kind) const noexcept override {
    return (kind == Kind::quic ? state_->quic : state_->tcp) != nullptr;
  }

  Result<Endpoint> listen(const Endpoint& local, AcceptHandler on_accept) override {
    if (!is_both()) return only().listen(local, std::move(on_accept));
    Endpoint wanted = local;
    if (wanted.port == 0) {
      const Result<std::uint16_t> port = find_free_port(local.address);
      if (!port) return port.error();
      wanted.port = *port;
    }
    const Result<Endpoint> bound = state_->tcp->listen(wanted, on_accept);
    if (!bound) return bound;
    const Result<Endpoint> same = state_->quic->listen(wanted, std::move(on_accept));
    if (!same) {
      stop();  // a peer that finds one of the two only would wait for the other
      return same.error();
    }
    return bound;
  }

  async::Task<Result<std::unique_ptr<Session>>> connect(Endpoint remote, NodeId expected,
                                                        Duration timeout) override {
    if (!is_both()) return only().connect(remote, expected, timeout);
    return run_connect(state_, remote, expected, timeout);
  }

  void stop() override {
    if (state_->quic) state_->quic->stop();
    if (state_->tcp) state_->tcp->stop();
  }

  [[nodiscard]] std::optional<TransportChoice::Memory> memory_of(
      const NodeId& peer) const override {
    return state_->choice.memory_of(peer);
  }

 private:
  [[nodiscard]] bool is_both() const noexcept { return state_->quic && state_->tcp; }
  Transport& only() { return state_->quic ? *state_->quic : *state_->tcp; }

  const std::shared_ptr<State> state_;
};

}  // namespace

std::unique_ptr<DualTransport> make_dual_transport(boost::asio::any_io_executor executor,
                                                   DualParts parts, Duration head_start) {
  return std::make_unique<Dual>(std::move(executor), std::move(parts), head_start);
}

}  // namespace tayga::transport
