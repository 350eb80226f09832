#pragma once

#include "common/base/bytes.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/transport/flush_pacer.hpp"
#include "common/transport/transport.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/address.hpp>

#include <array>
#include <functional>
#include <memory>
#include <optional>

namespace tayga::transport::quic {

/// Secrets that the transports of one process share: any of them may get the next packet of a
/// handshake (retry tokens), or the next connection of a peer (session tickets).
struct SharedSecrets {
  std::array<std::byte, 32> token_key;   ///< retry tokens
  std::array<std::byte, 32> reset_key;   ///< stateless resets; the same in the node's next life
  std::array<std::byte, 64> ticket_key;  ///< session tickets
};
/// Random ones, except what a restarted node needs to end its former connections: that follows from
/// its identity.
std::shared_ptr<const SharedSecrets> make_shared_secrets(const crypto::SigningKey& identity);

/// One transport among several on the same port, each on its own thread.
struct WorkerPlace {
  unsigned index = 0;
  unsigned count = 1;
};

enum class CongestionControl : std::uint8_t { bbr, cubic };

struct QuicOptions {
  std::size_t sessions_max = 256;
  std::size_t half_open_max = 256;
  std::size_t half_open_per_prefix_max = 32;  ///< per IPv4 /24 or IPv6 /48
  /// Of one prefix, per second; sessions_max of them, at least 64, may come at once.
  std::uint32_t handshakes_per_prefix = 64;
  /// Half-open handshakes above which a stranger must first prove its address (stateless retry).
  std::size_t retry_above = 32;
  Duration handshake_timeout = 5s;
  std::size_t flush_bytes = 16 * 1024;    ///< a child is written to at this many queued bytes ...
  FlushDelay flush_delay;                 ///< ... or after this long, which follows our load
  Duration idle_max = kSessionIdleMax;    ///< a session that hears nothing for so long is closed
  Duration keep_alive = 5s;               ///< a quiet path is kept open in NATs and alive
  Duration stall_max = kSessionStallMax;  ///< a peer that takes nothing of what waits is closed
  std::uint64_t key_update_packets = std::uint64_t{1} << 22U;  ///< sent under one key
  std::optional<boost::asio::ip::address>
      source_address;  ///< of dials; nullopt = the listening socket, or the system's choice
  std::size_t socket_buffer = 4 * 1024 * 1024;  ///< asked for, each way; one warning when less
  std::size_t udp_payload_max = 1452;           ///< found by path MTU discovery, from 1200 up
  bool segment_offload = true;                  ///< GSO and GRO where the kernel has them
  CongestionControl congestion_control = CongestionControl::bbr;

  std::shared_ptr<const SharedSecrets> secrets;  ///< null: own ones
  WorkerPlace place;
  /// A packet of another worker's connection arrived here. Bounded by the one who takes it.
  std::function<void(unsigned worker, SharedBytes datagram, Endpoint from)> hand_over;
};

class QuicTransport : public Transport {
 public:
  /// A packet that another worker received and that belongs here.
  virtual void on_handed_over(SharedBytes datagram, Endpoint from) = 0;
  /// Moves every outgoing connection to a new local UDP socket, as after a change of network. Peers
  /// follow by path validation; nothing is lost. Errors: the system's own.
  virtual Result<void> rebind() = 0;
};

/// QUIC v1: mutual TLS 1.3, self-signed Ed25519 certificates, ALPN `tayga/1`; a dialer pins the
/// acceptor's key, an acceptor takes any proven key (what a peer may do is its owner's decision).
///
/// Several transports may listen on one port (SO_REUSEPORT), one a worker: then `place.count` > 1,
/// and connection ids steer each packet to its worker. Dials leave from the listening socket where
/// the address family allows, so that a NAT sees one port. The owner may destroy a Session, or the
/// transport, from inside any callback. Everything must be destroyed before the executor's context.
/// Throws std::runtime_error when the crypto library cannot provide what is needed.
std::unique_ptr<QuicTransport> make_quic_transport(boost::asio::any_io_executor executor,
                                                   const crypto::SigningKey& identity,
                                                   const QuicOptions& options);

}  // namespace tayga::transport::quic
