#include "common/transport/tls/tls_transport.hpp"

#include "common/async/clock.hpp"
#include "common/async/event.hpp"
#include "common/crypto/hash.hpp"
#include "common/log/log.hpp"
#include "common/transport/half_open_limit.hpp"
#include "common/transport/prefix_rate.hpp"
#include "common/transport/tls/context.hpp"
#include "common/transport/tls/handshake.hpp"
#include "common/transport/tls/link.hpp"

#include <boost/asio/error.hpp>

#include <algorithm>
#include <span>
#include <unordered_map>
#include <utility>

namespace tayga::transport::tls {
namespace {

using async::Clock;

constexpr int kAcceptsPerWake = 32;
/// After the system ran out of descriptors or memory: the waiting connection would wake us at once.
constexpr Duration kAcceptPause = 100ms;

std::uint64_t random_key() {
  std::uint64_t key = 0;
  crypto::random_bytes(std::as_writable_bytes(std::span{&key, 1}));
  return key;
}

/// After a restart all of a network's children may come back at once, and are welcome.
PrefixRate::Rate handshake_rate(const TlsOptions& options) {
  constexpr std::size_t kBurstMin = 64;
  const std::size_t burst = std::max(options.sessions_max, kBurstMin);
  return {options.handshakes_per_prefix, static_cast<std::uint32_t>(burst)};
}

/// Takes connections from one listening socket as far as the limits allow.
class Listener final : public Pollable, public std::enable_shared_from_this<Listener> {
 public:
  Listener(std::shared_ptr<Hub> hub, Context context, UniqueFd socket,
           Transport::AcceptHandler on_accept)
      : hub_{std::move(hub)},
        context_{std::move(context)},
        socket_{std::move(socket)},
        on_accept_{std::move(on_accept)},
        half_open_{hub_->options.half_open_max, hub_->options.half_open_per_prefix_max},
        rate_{handshake_rate(hub_->options), random_key()} {}
  ~Listener() { stop(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] bool start() {
    watched_ = hub_->poller->add(socket_.get(), *this, EPOLLIN);
    return watched_;
  }

  void stop() {
    if (watched_) hub_->poller->remove(socket_.get(), *this);
    watched_ = false;
    socket_.reset();
    handshakes_.clear();
    on_accept_ = nullptr;
  }

  void on_ready(std::uint32_t) override {
    const auto self = shared_from_this();
    for (int i = 0; i < kAcceptsPerWake && socket_; ++i) {
      Result<Accepted> accepted = accept_one(socket_);
      if (accepted) {
        admit(std::move(*accepted));
      } else if (accepted.error() == boost::asio::error::would_block) {
        return;
      } else if (is_exhausted(accepted.error())) {
        return pause(accepted.error());
      }  // else: that connection died before it was taken
    }
  }

  void on_tick(TimePoint now) override {
    if (!paused_until_ || now < *paused_until_) return;
    paused_until_.reset();
    hub_->poller->modify(socket_.get(), *this, EPOLLIN);
  }

 private:
  static bool is_exhausted(const error_code& ec) {
    namespace errc = boost::system::errc;
    return ec == errc::too_many_files_open || ec == errc::too_many_files_open_in_system ||
           ec == errc::no_buffer_space || ec == errc::not_enough_memory;
  }

  void pause(const error_code& ec) {
    static log::SiteLimit limit{1, 60s};
    log::at(limit, log::Level::warn, "cannot take connections, trying again",
            log::field("why", ec));
    paused_until_ = Clock::now() + kAcceptPause;
    hub_->poller->modify(socket_.get(), *this, 0);
  }

  bool has_room_for(const boost::asio::ip::address& address) {
    if (hub_->session_count >= hub_->options.sessions_max) return false;
    if (!half_open_.admit(address)) return false;
    if (rate_.admit(address, Clock::now())) return true;
    half_open_.release(address);
    return false;
  }

  void admit(Accepted accepted) {
    const boost::asio::ip::address address = accepted.remote.address;
    if (!has_room_for(address)) {
      log::debug("connection refused: too many", log::field("remote", to_string(accepted.remote)),
                 log::field("sessions", hub_->session_count),
                 log::field("half_open", half_open_.size()));
      return;  // closes it
    }
    Handshake::Peer peer{std::move(accepted.socket), accepted.remote, Side::acceptor, std::nullopt};
    const auto handshake =
        std::make_shared<Handshake>(hub_->poller, context_.get(), std::move(peer),
                                    Clock::now() + hub_->options.handshake_timeout);
    auto done = [this, key = handshake.get()](Result<Established> result) {
      on_handshake(key, std::move(result));
    };
    if (!handshake->start(std::move(done))) return half_open_.release(address);
    handshakes_.emplace(handshake.get(), handshake);
  }

  void on_handshake(Handshake* key, Result<Established> result) {
    const auto self = shared_from_this();  // on_accept_ may stop and drop us
    half_open_.release(key->remote().address);
    handshakes_.erase(key);
    if (!result || hub_->session_count >= hub_->options.sessions_max) return;
    // A copy: the handler may replace or drop itself.
    const Transport::AcceptHandler on_accept = on_accept_;
    if (on_accept) on_accept(make_session(hub_, std::move(*result)));
  }

  const std::shared_ptr<Hub> hub_;
  const Context context_;
  UniqueFd socket_;
  Transport::AcceptHandler on_accept_;
  HalfOpenLimit half_open_;
  PrefixRate rate_;
  std::unordered_map<Handshake*, std::shared_ptr<Handshake>> handshakes_;
  std::optional<TimePoint> paused_until_;
  bool watched_ = false;
};

class TlsTransport final : public Transport {
 public:
  TlsTransport(boost::asio::any_io_executor executor, const crypto::SigningKey& identity,
               const TlsOptions& options)
      : hub_{std::make_shared<Hub>(std::move(executor), options)},
        dialer_context_{make_peer_context(identity, Side::dialer)},
        acceptor_context_{make_peer_context(identity, Side::acceptor)} {}
  ~TlsTransport() override { stop(); }
  TlsTransport(const TlsTransport&) = delete;
  TlsTransport& operator=(const TlsTransport&) = delete;

  [[nodiscard]] Kind kind() const noexcept override { return Kind::tcp; }

  Result<Endpoint> listen(const Endpoint& local, AcceptHandler on_accept) override {
    if (stopped_) return TransportErrc::listen_failed;
    Result<UniqueFd> socket = open_listener(local, hub_->options.port_sharing);
    if (!socket) {
      const bool in_use = socket.error() == boost::asio::error::address_in_use;
      log::debug("cannot listen", log::field("local", to_string(local)),
                 log::field("why", socket.error()));
      return in_use ? TransportErrc::address_in_use : TransportErrc::listen_failed;
    }
    const Result<Endpoint> bound = local_endpoint(*socket);
    SSL_CTX_up_ref(acceptor_context_.get());
    auto listener = std::make_shared<Listener>(hub_, Context{acceptor_context_.get()},
                                               std::move(*socket), std::move(on_accept));
    if (!bound || !listener->start()) return TransportErrc::listen_failed;
    listeners_.push_back(std::move(listener));
    return *bound;
  }

  async::Task<Result<std::unique_ptr<Session>>> connect(Endpoint remote, NodeId expected,
                                                        Duration timeout) override {
    SSL_CTX* context = nullptr;
    if (!stopped_) {
      context = dialer_context_.get();
      SSL_CTX_up_ref(context);
    }
    return run_connect(hub_, Context{context}, remote, expected, timeout);
  }

  void stop() override {
    stopped_ = true;
    // A listener may be the one that calls us: it holds itself until it returns.
    for (const auto& listener : std::exchange(listeners_, {})) listener->stop();
  }

 private:
  /// Touches nothing of the transport, which may be gone before this ends. `context`: null =
  /// stopped.
  static async::Task<Result<std::unique_ptr<Session>>> run_connect(std::shared_ptr<Hub> hub,
                                                                   Context context, Endpoint remote,
                                                                   NodeId expected,
                                                                   Duration timeout) {
    if (!context) co_return TransportErrc::connect_failed;
    if (hub->session_count >= hub->options.sessions_max) {
      co_return TransportErrc::too_many_sessions;
    }
    const TimePoint deadline = Clock::now() + timeout;
    Result<UniqueFd> socket = begin_connect(remote, hub->options.source_address);
    if (!socket) co_return TransportErrc::connect_failed;

    Handshake::Peer peer{std::move(*socket), remote, Side::dialer, expected};
    const auto handshake =
        std::make_shared<Handshake>(hub->poller, context.get(), std::move(peer), deadline);
    // Shared with the callback: a cancelled dial's frame may be gone when its last call runs.
    struct Dial {
      explicit Dial(const boost::asio::any_io_executor& executor) : ended{executor} {}
      async::Event ended;
      std::optional<Result<Established>> result;
    };
    const auto dial = std::make_shared<Dial>(hub->executor);
    auto done = [dial](Result<Established> result) {
      dial->result.emplace(std::move(result));
      dial->ended.set();
    };
    if (!handshake->start(std::move(done))) co_return TransportErrc::connect_failed;
    const async::WaitResult waited = co_await dial->ended.wait(deadline);
    if (waited == async::WaitResult::cancelled) {
      co_return error_code{boost::asio::error::operation_aborted};
    }
    if (!dial->result) co_return TransportErrc::timed_out;
    if (!*dial->result) co_return dial->result->error();
    if (hub->session_count >= hub->options.sessions_max) {
      co_return TransportErrc::too_many_sessions;
    }
    co_return make_session(hub, std::move(**dial->result));
  }

  const std::shared_ptr<Hub> hub_;
  const Context dialer_context_;
  const Context acceptor_context_;
  std::vector<std::shared_ptr<Listener>> listeners_;
  bool stopped_ = false;
};

}  // namespace

std::unique_ptr<Transport> make_tls_transport(boost::asio::any_io_executor executor,
                                              const crypto::SigningKey& identity,
                                              const TlsOptions& options) {
  return std::make_unique<TlsTransport>(std::move(executor), identity, options);
}

}  // namespace tayga::transport::tls
