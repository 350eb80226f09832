#pragma once

#include "common/transport/transport.hpp"
#include "common/transport/workers/worker_pool.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>

namespace tayga::transport::workers {

/// Makes the transport of one worker; called on that worker. Worker 0 is asked first.
using TransportFactory = std::function<std::unique_ptr<Transport>(
    unsigned worker, boost::asio::any_io_executor executor)>;

/// One transport over all workers of a pool, of one kind, used from the main executor.
///
/// listen() opens the same port on every worker; the factory makes transports that share it (the
/// first one opens the port, so that another program on it is an error). The kernel spreads
/// connections over them. connect() picks the worker by the peer's id, so that its session ticket
/// is found again. A session of worker 0 is handed out as it is, any other as a proxy on the main
/// executor. A proxy's stats() are up to kStatsPeriod old. Cost: a frame and a control message
/// cross threads in batches, one a worker and turn of the loop, in either direction.
///
/// Bounds: messages.hpp. listen() and stop() wait for the workers, some milliseconds at most. The
/// transport and its sessions must be destroyed before the pool is stopped. Throws what the factory
/// throws.
std::unique_ptr<Transport> make_pooled_transport(WorkerPool& pool, const TransportFactory& factory);

}  // namespace tayga::transport::workers
