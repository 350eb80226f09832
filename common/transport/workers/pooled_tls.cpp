#include "common/transport/workers/pooled_tls.hpp"

#include "common/transport/workers/pooled_transport.hpp"
#include "common/transport/workers/worker_share.hpp"

#include <utility>

namespace tayga::transport::workers {

std::unique_ptr<Transport> make_pooled_tls(WorkerPool& pool, const crypto::SigningKey& identity,
                                           const tls::TlsOptions& options) {
  tls::TlsOptions own = options;
  own.sessions_max = worker_share(options.sessions_max, pool.size());
  own.half_open_max = worker_share(options.half_open_max, pool.size());
  own.half_open_per_prefix_max = worker_share(options.half_open_per_prefix_max, pool.size());
  return make_pooled_transport(pool, [&](unsigned worker, boost::asio::any_io_executor executor) {
    if (pool.size() > 1) {
      own.port_sharing = worker == 0 ? tls::PortSharing::first : tls::PortSharing::further;
    }
    return tls::make_tls_transport(std::move(executor), identity, own);
  });
}

}  // namespace tayga::transport::workers
