#include "common/transport/workers/pooled_quic.hpp"

#include "common/transport/workers/pooled_transport.hpp"
#include "common/transport/workers/worker_share.hpp"

#include <utility>

namespace tayga::transport::workers {
namespace {

/// A worker's QUIC transport that takes what others hand over while it lives.
class SteeredTransport final : public Transport {
 public:
  SteeredTransport(std::unique_ptr<quic::QuicTransport> inner,
                   std::shared_ptr<DatagramExchange> exchange, unsigned worker)
      : inner_{std::move(inner)}, exchange_{std::move(exchange)}, worker_{worker} {
    exchange_->set_sink(worker_, [to = inner_.get()](SharedBytes datagram, Endpoint from) {
      to->on_handed_over(std::move(datagram), from);
    });
  }
  ~SteeredTransport() override { exchange_->set_sink(worker_, nullptr); }
  SteeredTransport(const SteeredTransport&) = delete;
  SteeredTransport& operator=(const SteeredTransport&) = delete;

  [[nodiscard]] Kind kind() const noexcept override { return Kind::quic; }
  Result<Endpoint> listen(const Endpoint& local, AcceptHandler on_accept) override {
    return inner_->listen(local, std::move(on_accept));
  }
  async::Task<Result<std::unique_ptr<Session>>> connect(Endpoint remote, NodeId expected,
                                                        Duration timeout) override {
    return inner_->connect(remote, expected, timeout);
  }
  void stop() override { inner_->stop(); }

 private:
  const std::unique_ptr<quic::QuicTransport> inner_;
  const std::shared_ptr<DatagramExchange> exchange_;
  const unsigned worker_;
};

}  // namespace

PooledQuic make_pooled_quic(WorkerPool& pool, const crypto::SigningKey& identity,
                            const quic::QuicOptions& options) {
  if (pool.size() == 1) {
    return {quic::make_quic_transport(pool.executor(0), identity, options), nullptr};
  }
  const auto exchange = std::make_shared<DatagramExchange>(pool);
  quic::QuicOptions own = options;
  own.sessions_max = worker_share(options.sessions_max, pool.size());
  own.half_open_max = worker_share(options.half_open_max, pool.size());
  own.half_open_per_prefix_max = worker_share(options.half_open_per_prefix_max, pool.size());
  own.retry_above = worker_share(options.retry_above, pool.size());
  if (!own.secrets) own.secrets = quic::make_shared_secrets(identity);
  own.hand_over = [exchange](unsigned worker, SharedBytes datagram, const Endpoint& from) {
    exchange->hand_over(worker, std::move(datagram), from);
  };
  auto transport =
      make_pooled_transport(pool, [&](unsigned worker, boost::asio::any_io_executor executor) {
        own.place = {worker, pool.size()};
        auto inner = quic::make_quic_transport(std::move(executor), identity, own);
        return std::make_unique<SteeredTransport>(std::move(inner), exchange, worker);
      });
  return {std::move(transport), exchange};
}

}  // namespace tayga::transport::workers
