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

/// One node whose sessions live on `workers` threads; the test is its main thread.
struct PooledNode {
  PooledNode(boost::asio::io_context& context, unsigned workers, tls::TlsOptions options = {})
      : io{context}, pool{context.get_executor(), workers}, dials{context.get_executor(), "d", 64} {
    transport = workers::make_pooled_transport(
        pool, [this, options](unsigned worker, boost::asio::any_io_executor executor) {
          tls::TlsOptions own = options;
          own.port_sharing = worker == 0 ? tls::PortSharing::first : tls::PortSharing::further;
          return std::make_unique<CountingTransport>(
              tls::make_tls_transport(std::move(executor), key, own), counts, worker);
        });
  }
  ~PooledNode() {
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
  PooledNode(const PooledNode&) = delete;
  PooledNode& operator=(const PooledNode&) = delete;

  Endpoint listen() {
    const auto bound = transport->listen(
        loopback(), [this](std::unique_ptr<Session> s) { accepted.push_back(std::move(s)); });
    REQUIRE(bound.has_value());
    return *bound;
  }

  Result<std::unique_ptr<Session>> dial(const Endpoint& remote, const NodeId& expected,
                                        Duration timeout = 10s) {
    std::optional<Result<std::unique_ptr<Session>>> result;
    const auto store = [](auto connect, auto& out) -> async::Task<void> {
      out.emplace(co_await std::move(connect));
    };
    REQUIRE(dials.spawn(store(transport->connect(remote, expected, timeout), result)));
    REQUIRE(run_until(io, [&] { return result.has_value(); }));
    return std::move(*result);
  }

  /// A peer with an id that this node dials on `worker`.
  crypto::SigningKey key_on(unsigned worker) const {
    for (;;) {
      crypto::SigningKey candidate = crypto::SigningKey::generate();
      if (std::hash<NodeId>{}(candidate.node_id()) % pool.size() == worker) return candidate;
    }
  }

  NodeId id() const { return key.node_id(); }

  boost::asio::io_context& io;
  // The workers post to it: it waits for them instead of running out of work.
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{io.get_executor()};
  crypto::SigningKey key = crypto::SigningKey::generate();
  WorkerCounts counts;
  workers::WorkerPool pool;
  async::TaskGroup dials;
  std::unique_ptr<Transport> transport;
  std::vector<std::unique_ptr<Session>> accepted;
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
