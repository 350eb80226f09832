#include "common/async/clock.hpp"
#include "common/transport/dual/dual_transport.hpp"
#include "common/transport/workers/pooled_quic.hpp"
#include "common/transport/workers/pooled_tls.hpp"
#include "tests/integration/pooled_peers.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <numeric>
#include <thread>

namespace tayga::transport {
namespace {

using wire::FrameType;

/// A node as taygad builds it: a pool, and on it one kind of transport or both.
struct WorkerNode : PoolNode {
  WorkerNode(boost::asio::io_context& context, unsigned workers, std::optional<Kind> only)
      : PoolNode{context, workers} {
    DualParts parts;
    if (only != Kind::tcp) {
      workers::PooledQuic quic = workers::make_pooled_quic(pool, key, {});
      parts.quic = std::move(quic.transport);
      exchange = std::move(quic.exchange);
    }
    if (only != Kind::quic) parts.tcp = workers::make_pooled_tls(pool, key, {});
    std::unique_ptr<DualTransport> made = make_dual_transport(io.get_executor(), std::move(parts));
    dual = made.get();
    transport = std::move(made);
  }
  ~WorkerNode() { end(); }

  const DualTransport* dual = nullptr;  // the same as `transport`

  std::shared_ptr<const workers::DatagramExchange> exchange;
};

/// A node on a thread of its own that sends as fast as it may to whoever connects.
class FloodingNode {
 public:
  FloodingNode(Kind kind, const crypto::SigningKey& key, std::uint32_t count) : source_{count} {
    if (kind == Kind::quic) {
      transport_ = quic::make_quic_transport(io_.get_executor(), key, {});
    } else {
      transport_ = tls::make_tls_transport(io_.get_executor(), key, {});
    }
    const auto bound = transport_->listen(loopback(), [this](std::unique_ptr<Session> session) {
      session_ = std::move(session);
      session_->start(source_);
      session_->notify_media();
    });
    REQUIRE(bound.has_value());
    endpoint = *bound;
    thread_ = std::thread{[this] { io_.run(); }};
  }
  ~FloodingNode() {
    boost::asio::post(io_, [this] {
      session_.reset();
      transport_->stop();
    });
    thread_.join();
  }
  FloodingNode(const FloodingNode&) = delete;
  FloodingNode& operator=(const FloodingNode&) = delete;

  [[nodiscard]] std::uint32_t sent() const { return source_.sent; }
  Endpoint endpoint;

 private:
  struct Source : SessionHandler {
    explicit Source(std::uint32_t frames) : count{frames} {}
    void on_frame(FrameType, ByteView) override {}
    std::optional<OutboundMedia> next_media() override {
      if (sent == count) return std::nullopt;
      return numbered_media(sent++);
    }
    void on_closed(const CloseInfo&) override {}
    const std::uint32_t count;
    std::atomic<std::uint32_t> sent = 0;
  };

  boost::asio::io_context io_{1};
  Source source_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Session> session_;
  std::thread thread_;
};

constexpr unsigned kSessions = 12;
constexpr std::uint32_t kFrames = 200;

}  // namespace

TEST_CASE("many sessions over several workers carry every frame both ways, in order") {
  const Kind kind = GENERATE(Kind::quic, Kind::tcp);
  boost::asio::io_context io;
  WorkerNode server{io, 3, kind};
  const Endpoint at = server.listen();
  std::vector<std::unique_ptr<WorkerNode>> clients;
  std::vector<std::unique_ptr<Session>> dialed;
  for (unsigned i = 0; i < kSessions; ++i) {
    clients.push_back(std::make_unique<WorkerNode>(io, 1 + i % 2, kind));
    auto session = clients.back()->dial(at, server.key.node_id());
    REQUIRE(session.has_value());
    CHECK((*session)->kind() == kind);
    dialed.push_back(std::move(*session));
  }
  REQUIRE(run_until(io, [&] { return server.accepted.size() == kSessions; }));
  std::vector<std::unique_ptr<Recorder>> recorders;
  const std::deque<OutboundMedia> media = first_media(kFrames);
  for (auto* side : {&dialed, &server.accepted}) {
    for (const auto& session : *side) {
      recorders.push_back(std::make_unique<Recorder>());
      recorders.back()->media = media;
      session->start(*recorders.back());
      session->notify_media();
    }
  }
  const auto has_all = [](const auto& recorder) { return recorder->frames.size() == kFrames; };
  CHECK(run_until(io, [&] { return std::all_of(recorders.begin(), recorders.end(), has_all); }));
  for (const auto& recorder : recorders) CHECK(numbers_of(*recorder) == first_numbers(kFrames));

  const auto is_closed = [](const auto& recorder) { return recorder->closed.has_value(); };
  for (const auto& session : dialed) session->close("done");
  CHECK(run_until(io, [&] { return std::all_of(recorders.begin(), recorders.end(), is_closed); }));
  server.accepted.clear();  // before their handlers
  dialed.clear();
}

TEST_CASE("a second node on the port of a pool is refused") {
  const Kind kind = GENERATE(Kind::quic, Kind::tcp);
  boost::asio::io_context io;
  WorkerNode first{io, 3, kind};
  const Endpoint at = first.listen();
  WorkerNode second{io, 2, kind};
  CHECK(second.transport->listen(at, [](std::unique_ptr<Session>) {}).error() ==
        TransportErrc::address_in_use);
  WorkerNode alone{io, 1, kind};
  CHECK(alone.transport->listen(at, [](std::unique_ptr<Session>) {}).error() ==
        TransportErrc::address_in_use);
}

TEST_CASE("between two nodes with both transports QUIC carries") {
  boost::asio::io_context io;
  WorkerNode server{io, 2, std::nullopt};
  WorkerNode client{io, 2, std::nullopt};
  const auto session = client.dial(server.listen(), server.key.node_id());
  REQUIRE(session.has_value());
  CHECK((*session)->kind() == Kind::quic);
  REQUIRE(run_until(io, [&] { return server.accepted.size() == 1; }));
  CHECK(server.accepted.front()->kind() == Kind::quic);
}

TEST_CASE("to a node that has TCP only a dial takes the head start and no more") {
  boost::asio::io_context io;
  WorkerNode server{io, 2, Kind::tcp};
  WorkerNode client{io, 2, std::nullopt};
  const Endpoint at = server.listen();
  const auto began = async::Clock::now();
  const auto session = client.dial(at, server.key.node_id());
  REQUIRE(session.has_value());
  CHECK((*session)->kind() == Kind::tcp);
  CHECK(async::Clock::now() - began < 3s);
  CHECK(client.dual->memory_of(server.key.node_id())->reached_by == Kind::tcp);
}

TEST_CASE("a peer is held back while the main thread does not come to its frames") {
  const Kind kind = GENERATE(Kind::quic, Kind::tcp);
  boost::asio::io_context io;
  CAPTURE(static_cast<int>(kind));
  WorkerNode node{io, 2, kind};
  crypto::SigningKey peer_key = crypto::SigningKey::generate();
  while (std::hash<NodeId>{}(peer_key.node_id()) % 2 != 1) {  // dialed on worker 1
    peer_key = crypto::SigningKey::generate();
  }
  constexpr std::uint32_t kCount = 8000;  // 32 MiB: more than may wait anywhere
  FloodingNode peer{kind, peer_key, kCount};
  auto session = node.dial(peer.endpoint, peer_key.node_id());
  REQUIRE(session.has_value());
  Recorder events;
  (*session)->start(events);
  REQUIRE(run_until(io, [&] { return !events.frames.empty(); }));

  // Now the main thread does nothing until the sender cannot go on.
  std::uint32_t before = 0;
  do {
    before = peer.sent();
    std::this_thread::sleep_for(300ms);
  } while (peer.sent() != before);
  CHECK(before < kCount);

  REQUIRE(run_until(io, [&] { return events.frames.size() == kCount; }));
  CHECK(numbers_of(events) == first_numbers(kCount));
  CHECK_FALSE(events.closed);
  session->reset();  // before its handler
}

TEST_CASE("a node ends while its sessions on every worker are busy") {
  const Kind kind = GENERATE(Kind::quic, Kind::tcp);
  boost::asio::io_context io;
  std::vector<std::unique_ptr<Recorder>> recorders;
  const std::deque<OutboundMedia> media = first_media(1000);
  WorkerNode client{io, 2, kind};
  std::vector<std::unique_ptr<Session>> dialed;
  {
    WorkerNode server{io, 3, kind};
    const Endpoint at = server.listen();
    for (unsigned i = 0; i < kSessions; ++i) {
      auto session = client.dial(at, server.key.node_id());
      REQUIRE(session.has_value());
      dialed.push_back(std::move(*session));
    }
    REQUIRE(run_until(io, [&] { return server.accepted.size() == kSessions; }));
    for (auto* side : {&dialed, &server.accepted}) {
      for (const auto& session : *side) {
        recorders.push_back(std::make_unique<Recorder>());
        recorders.back()->media = media;
        session->start(*recorders.back());
        session->notify_media();
      }
    }
    run_for(io, 20ms);
  }
  const auto told = [&] {
    return std::all_of(recorders.begin(), recorders.begin() + kSessions,
                       [](const auto& recorder) { return recorder->closed.has_value(); });
  };
  CHECK(run_until(io, told));
  dialed.clear();
}

}  // namespace tayga::transport
