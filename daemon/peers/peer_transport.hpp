#pragma once

#include "common/crypto/ed25519.hpp"
#include "common/transport/dual/dual_transport.hpp"
#include "common/transport/workers/datagram_exchange.hpp"
#include "common/transport/workers/worker_pool.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tayga::peers {

enum class TransportMode : std::uint8_t {
  automatic,  ///< QUIC first, TCP where UDP does not pass
  quic,
  tcp,
};

struct PeerTransportOptions {
  TransportMode mode = TransportMode::automatic;
  std::size_t sessions_max = 256;  ///< of each kind
  /// A busy relay gathers a child's frames for so long. What was let pass by an upload cap should
  /// leave in the same instant, or it is counted in another second than it is sent.
  Duration flush_delay_max = 16ms;
};

struct PeerTransport {
  std::unique_ptr<transport::DualTransport> transport;
  /// Packets that the kernel gave to another worker than their own; null without QUIC or workers.
  std::shared_ptr<const transport::workers::DatagramExchange> exchange;
};

/// The transport of a node's peer sessions: QUIC and TLS over TCP, or one of them, on every worker
/// of the pool. The pool and the identity must outlive it and its sessions. Throws what the
/// transports throw when the system cannot provide what they need.
PeerTransport make_peer_transport(transport::workers::WorkerPool& pool,
                                  const crypto::SigningKey& identity,
                                  const PeerTransportOptions& options);

/// `configured`, or for 0 what suits this machine: its cores, at most 4, because the relay itself
/// is one thread, which feeds no more of them.
unsigned worker_count(unsigned configured) noexcept;

}  // namespace tayga::peers
