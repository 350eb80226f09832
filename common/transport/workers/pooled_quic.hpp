#pragma once

#include "common/transport/quic/quic_transport.hpp"
#include "common/transport/workers/datagram_exchange.hpp"
#include "common/transport/workers/worker_pool.hpp"

#include <memory>

namespace tayga::transport::workers {

/// QUIC on every worker of the pool, on one port; see make_pooled_transport(). Connection ids steer
/// each packet to its worker, and one that reached another is handed over. The limits of `options`
/// are the whole pool's; `place`, `hand_over` and, when null, `secrets` are set here. The identity
/// must outlive it.
struct PooledQuic {
  std::unique_ptr<Transport> transport;
  std::shared_ptr<const DatagramExchange> exchange;  ///< its counters; null in a pool of one
};
PooledQuic make_pooled_quic(WorkerPool& pool, const crypto::SigningKey& identity,
                            const quic::QuicOptions& options);

}  // namespace tayga::transport::workers
