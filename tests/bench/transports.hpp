#pragma once

#include "common/crypto/ed25519.hpp"
#include "common/transport/transport.hpp"
#include "tests/bench/bench.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace tayga::bench {

/// How the benches' transports are made; what is not set is the product's default.
struct TransportSetup {
  transport::Kind kind = transport::Kind::tcp;
  std::size_t sessions_max = 256;
  std::optional<std::size_t> flush_bytes;
  std::optional<Duration> flush_delay;  ///< always so long
  bool cubic = false;                   ///< QUIC's congestion control: CUBIC instead of BBR
};

std::unique_ptr<transport::Transport> make_transport(boost::asio::any_io_executor executor,
                                                     const crypto::SigningKey& identity,
                                                     const TransportSetup& setup);

/// --transport quic|tls, --congestion bbr|cubic (of QUIC). Throws std::invalid_argument, worded for
/// the user.
TransportSetup transport_from(const Args& args);
const char* name_of(transport::Kind kind);

/// The id under which an AliasTransport shows the `number`th session of a dialer.
NodeId alias_of(const NodeId& dialer, std::uint32_t number);

/// Shows every accepted session under an id of its own, so that one dialing transport can stand for
/// many peers: a transport for each of hundreds would measure their buffers, not the relay. Numbers
/// follow the order of each dialer's handshakes. Dials are the inner transport's.
class AliasTransport final : public transport::Transport {
 public:
  explicit AliasTransport(std::unique_ptr<transport::Transport> inner);

  [[nodiscard]] transport::Kind kind() const noexcept override { return inner_->kind(); }
  Result<transport::Endpoint> listen(const transport::Endpoint& local,
                                     AcceptHandler on_accept) override;
  async::Task<Result<std::unique_ptr<transport::Session>>> connect(transport::Endpoint remote,
                                                                   NodeId expected,
                                                                   Duration timeout) override;
  void stop() override { inner_->stop(); }

 private:
  std::unique_ptr<transport::Transport> inner_;
  std::map<NodeId, std::uint32_t> counts_;
};

}  // namespace tayga::bench
