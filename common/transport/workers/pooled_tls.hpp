#pragma once

#include "common/transport/tls/tls_transport.hpp"
#include "common/transport/workers/worker_pool.hpp"

#include <memory>

namespace tayga::transport::workers {

/// TLS over TCP on every worker of the pool, on one port; see make_pooled_transport(). The limits
/// of `options` are the whole pool's: a worker has its share, with room for an uneven spread. The
/// identity must outlive it.
std::unique_ptr<Transport> make_pooled_tls(WorkerPool& pool, const crypto::SigningKey& identity,
                                           const tls::TlsOptions& options);

}  // namespace tayga::transport::workers
