#pragma once

#include "common/transport/workers/pooled_transport.hpp"
#include "tests/integration/transport_peers.hpp"

#include <boost/asio/executor_work_guard.hpp>

#include <array>
#include <atomic>
#include <memory>

namespace tayga::transport {

inline constexpr unsigned kWorkersMax = 8;

/// What each worker's transport was asked for and took.
struct WorkerCounts {
  std::array<std::atomic<unsigned>, kWorkersMax> accepted{};
  std::array<std::atomic<unsigned>, kWorkersMax> dialed{};
};

/// A transport that counts, around the real one.
class CountingTransport final : public Transport {
 public:
  CountingTransport(std::unique_ptr<Transport> inner, WorkerCounts& counts, unsigned worker)
      : inner_{std::move(inner)}, counts_{counts}, worker_{worker} {}
  [[nodiscard]] Kind kind() const noexcept override { return inner_->kind(); }
  Result<Endpoint> listen(const Endpoint& local, AcceptHandler on_accept) override {
    return inner_->listen(local, [this, on_accept](std::unique_ptr<Session> session) {
      ++counts_.accepted[worker_];
      on_accept(std::move(session));
    });
  }
  async::Task<Result<std::unique_ptr<Session>>> connect(Endpoint remote, NodeId expected,
                                                        Duration timeout) override {
    ++counts_.dialed[worker_];
    return inner_->connect(remote, expected, timeout);
  }
  void stop() override { inner_->stop(); }

 private:
  std::unique_ptr<Transport> inner_;
  WorkerCounts& counts_;
  const unsigned worker_;
};

/// Shared by all who send it.
inline std::deque<OutboundMedia> first_media(std::uint32_t count) {
  std::deque<OutboundMedia> media;
  for (std::uint32_t i = 0; i < count; ++i) media.push_back(numbered_media(i));
  return media;
}

/// A node whose sessions live on `workers` threads; the test is its main thread.
struct PoolNode : NodeBase {
  PoolNode(boost::asio::io_context& context, unsigned workers)
      : NodeBase{context}, pool{context.get_executor(), workers} {}
  PoolNode(const PoolNode&) = delete;
  PoolNode& operator=(const PoolNode&) = delete;

  // The workers post to it: it waits for them instead of running out of work.
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{io.get_executor()};
  workers::WorkerPool pool;

 protected:
  /// Before what the transport was made from goes away.
  void end() {
    dials.cancel();
    transport->stop();
    io.restart();
    io.poll();
    accepted.clear();
    transport.reset();
    pool.stop();
    io.restart();
    io.poll();
  }
  ~PoolNode() = default;
};

/// One that counts what each worker does, over TLS.
struct PooledNode : PoolNode {
  PooledNode(boost::asio::io_context& context, unsigned workers, tls::TlsOptions options = {})
      : PoolNode{context, workers} {
    transport = workers::make_pooled_transport(
        pool, [this, options](unsigned worker, boost::asio::any_io_executor executor) {
          tls::TlsOptions own = options;
          own.port_sharing = worker == 0 ? tls::PortSharing::first : tls::PortSharing::further;
          return std::make_unique<CountingTransport>(
              tls::make_tls_transport(std::move(executor), key, own), counts, worker);
        });
  }
  ~PooledNode() { end(); }

  /// A peer with an id that this node dials on `worker`.
  crypto::SigningKey key_on(unsigned worker) const {
    for (;;) {
      crypto::SigningKey candidate = crypto::SigningKey::generate();
      if (std::hash<NodeId>{}(candidate.node_id()) % pool.size() == worker) return candidate;
    }
  }

  WorkerCounts counts;
};

/// A session whose near end is a proxy of worker 1 and whose far end is an ordinary one.
struct ProxyPair {
  explicit ProxyPair(const tls::TlsOptions& options = {})
      : near_node{io, 2, options}, far_node{io, options} {
    far_node.key = near_node.key_on(1);
    far_node.transport = tls::make_tls_transport(io.get_executor(), far_node.key, options);
    auto result = near_node.dial(far_node.listen(), far_node.id());
    REQUIRE(result.has_value());
    REQUIRE(near_node.counts.dialed[1] == 1);
    near = std::move(*result);
    REQUIRE(run_until(io, [&] { return !far_node.accepted.empty(); }));
    far = std::move(far_node.accepted.front());
    far_node.accepted.clear();
  }
  void start() {
    near->start(near_events);
    far->start(far_events);
  }

  boost::asio::io_context io;
  PooledNode near_node;
  Node far_node;
  Recorder near_events;
  Recorder far_events;
  std::unique_ptr<Session> near;  // the proxy
  std::unique_ptr<Session> far;
};

}  // namespace tayga::transport
