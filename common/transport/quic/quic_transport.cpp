#include "common/transport/quic/quic_transport.hpp"

#include "common/crypto/hash.hpp"
#include "common/transport/quic/shell.hpp"

#include <boost/asio/error.hpp>

#include <utility>

namespace tayga::transport::quic {
namespace {

using async::Clock;

class QuicTransportImpl final : public QuicTransport {
 public:
  QuicTransportImpl(boost::asio::any_io_executor executor, const crypto::SigningKey& identity,
                    const QuicOptions& options)
      : shell_{std::make_shared<Shell>(std::move(executor), identity, options)} {}
  ~QuicTransportImpl() override { stop(); }
  QuicTransportImpl(const QuicTransportImpl&) = delete;
  QuicTransportImpl& operator=(const QuicTransportImpl&) = delete;

  [[nodiscard]] Kind kind() const noexcept override { return Kind::quic; }

  Result<Endpoint> listen(const Endpoint& local, AcceptHandler on_accept) override {
    if (stopped_) return TransportErrc::listen_failed;
    return shell_->listen(local, std::move(on_accept));
  }

  async::Task<Result<std::unique_ptr<Session>>> connect(Endpoint remote, NodeId expected,
                                                        Duration timeout) override {
    return run_connect(stopped_ ? nullptr : shell_, remote, expected, timeout);
  }

  void stop() override {
    stopped_ = true;
    shell_->stop();
  }

  void on_handed_over(SharedBytes datagram, Endpoint from) override {
    const auto shell = shell_;
    shell->on_handed_over(datagram, from);
  }

  Result<void> rebind() override { return shell_->rebind(); }

 private:
  /// Gives the connection up unless it was made a session of.
  struct Pending {
    ~Pending() {
      if (dial == nullptr) return;
      shell->forget_dial(dial);
      if (!taken) dial->connection->abandon();
    }
    Pending(std::shared_ptr<Shell> s, std::shared_ptr<Shell::Dial> d)
        : shell{std::move(s)}, dial{std::move(d)} {}
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;

    const std::shared_ptr<Shell> shell;
    const std::shared_ptr<Shell::Dial> dial;
    bool taken = false;
  };

  static TransportErrc failure_of(const Connection& connection) {
    if (connection.failed_by_wrong_peer()) return TransportErrc::wrong_peer;
    if (connection.close_info().reason == CloseInfo::Reason::idle) return TransportErrc::timed_out;
    return TransportErrc::handshake_failed;
  }

  /// Touches nothing of the transport, which may be gone before this ends. `shell`: null = stopped.
  static async::Task<Result<std::unique_ptr<Session>>> run_connect(std::shared_ptr<Shell> shell,
                                                                   Endpoint remote, NodeId expected,
                                                                   Duration timeout) {
    if (!shell) co_return TransportErrc::connect_failed;
    if (shell->is_full()) co_return TransportErrc::too_many_sessions;
    const TimePoint deadline = Clock::now() + timeout;
    Pending pending{shell, shell->dial(remote, expected)};
    if (!pending.dial) co_return TransportErrc::connect_failed;
    const async::WaitResult waited = co_await pending.dial->ended.wait(deadline);
    if (waited == async::WaitResult::cancelled) {
      co_return error_code{boost::asio::error::operation_aborted};
    }
    const std::shared_ptr<Connection> connection = pending.dial->connection;
    if (connection->is_finished()) co_return failure_of(*connection);
    if (!connection->is_established()) co_return TransportErrc::timed_out;
    if (shell->is_full()) co_return TransportErrc::too_many_sessions;
    pending.taken = true;
    co_return make_session(shell, connection);
  }

  const std::shared_ptr<Shell> shell_;
  bool stopped_ = false;
};

}  // namespace

std::shared_ptr<const SharedSecrets> make_shared_secrets(const crypto::SigningKey& identity) {
  auto secrets = std::make_shared<SharedSecrets>();
  // A signature that is never shown to anybody is as secret as the key, and always the same.
  secrets->reset_key = crypto::sha256(identity.sign(as_bytes("tayga/quic-reset-key/v1")));
  crypto::random_bytes(secrets->token_key);
  crypto::random_bytes(secrets->ticket_key);
  return secrets;
}

std::unique_ptr<QuicTransport> make_quic_transport(boost::asio::any_io_executor executor,
                                                   const crypto::SigningKey& identity,
                                                   const QuicOptions& options) {
  return std::make_unique<QuicTransportImpl>(std::move(executor), identity, options);
}

}  // namespace tayga::transport::quic