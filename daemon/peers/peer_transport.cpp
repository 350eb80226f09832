#include "daemon/peers/peer_transport.hpp"

#include "common/transport/workers/pooled_quic.hpp"
#include "common/transport/workers/pooled_tls.hpp"

#include <algorithm>
#include <thread>
#include <utility>

namespace tayga::peers {
namespace {

constexpr unsigned kWorkersByDefaultMax = 4;

}  // namespace

PeerTransport make_peer_transport(transport::workers::WorkerPool& pool,
                                  const crypto::SigningKey& identity,
                                  const PeerTransportOptions& options) {
  PeerTransport made;
  transport::DualParts parts;
  if (options.mode != TransportMode::tcp) {
    transport::quic::QuicOptions quic_options;
    quic_options.sessions_max = options.sessions_max;
    quic_options.flush_delay.max = options.flush_delay_max;
    transport::workers::PooledQuic quic =
        transport::workers::make_pooled_quic(pool, identity, quic_options);
    parts.quic = std::move(quic.transport);
    made.exchange = std::move(quic.exchange);
  }
  if (options.mode != TransportMode::quic) {
    transport::tls::TlsOptions tls_options;
    tls_options.sessions_max = options.sessions_max;
    tls_options.flush_delay.max = options.flush_delay_max;
    parts.tcp = transport::workers::make_pooled_tls(pool, identity, tls_options);
  }
  made.transport = transport::make_dual_transport(pool.executor(0), std::move(parts));
  return made;
}

unsigned worker_count(unsigned configured) noexcept {
  if (configured != 0) return configured;
  return std::clamp(std::thread::hardware_concurrency(), 1U, kWorkersByDefaultMax);
}

}  // namespace tayga::peers
