#include "common/transport/workers/pooled_transport.hpp"

#include "common/transport/workers/proxy_hub.hpp"

#include <utility>
#include <vector>

namespace tayga::transport::workers {
namespace {

class PooledTransport final : public Transport {
 public:
  PooledTransport(WorkerPool& pool, const TransportFactory& factory)
      : own_{factory(0, pool.executor(0))} {
    for (unsigned i = 1; i < pool.size(); ++i) {
      hubs_.push_back(ProxyHub::make(pool, i, [&] { return factory(i, pool.executor(i)); }));
    }
  }
  ~PooledTransport() override { stop(); }
  PooledTransport(const PooledTransport&) = delete;
  PooledTransport& operator=(const PooledTransport&) = delete;

  [[nodiscard]] Kind kind() const noexcept override { return own_->kind(); }

  Result<Endpoint> listen(const Endpoint& local, AcceptHandler on_accept) override {
    if (stopped_) return TransportErrc::listen_failed;
    const Result<Endpoint> bound = own_->listen(local, on_accept);
    if (!bound) return bound;
    for (const auto& hub : hubs_) {
      const Result<Endpoint> joined = hub->listen({local.address, bound->port}, on_accept);
      if (joined) continue;
      stop();  // connections that the kernel gave to the missing worker would fail
      return joined.error();
    }
    return bound;
  }

  async::Task<Result<std::unique_ptr<Session>>> connect(Endpoint remote, NodeId expected,
                                                        Duration timeout) override {
    const std::size_t worker = std::hash<NodeId>{}(expected) % (hubs_.size() + 1);
    if (stopped_ || worker == 0) return own_->connect(remote, expected, timeout);
    return ProxyHub::run_connect(hubs_[worker - 1], remote, expected, timeout);
  }

  void stop() override {
    if (std::exchange(stopped_, true)) return;
    own_->stop();
    for (const auto& hub : hubs_) hub->stop();
  }

 private:
  std::unique_ptr<Transport> own_;  // of worker 0
  std::vector<std::shared_ptr<ProxyHub>> hubs_;
  bool stopped_ = false;
};

}  // namespace

std::unique_ptr<Transport> make_pooled_transport(WorkerPool& pool,
                                                 const TransportFactory& factory) {
  if (pool.size() == 1) return factory(0, pool.executor(0));
  return std::make_unique<PooledTransport>(pool, factory);
}

}  // namespace tayga::transport::workers
