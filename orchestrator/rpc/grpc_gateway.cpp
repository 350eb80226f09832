#include "orchestrator/rpc/grpc_gateway.hpp"

#include "common/async/clock.hpp"
#include "common/base/check.hpp"
#include "common/log/log.hpp"
#include "orchestrator/rpc/grpc_session.hpp"
#include "orchestrator/rpc/limits.hpp"
#include "orchestrator/rpc/peer_address.hpp"
#include "orchestrator/rpc/ungreeted_sessions.hpp"

#include <grpc/grpc_security_constants.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/server_credentials.h>
#include <tayga/v1/control.grpc.pb.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tayga::orch {
namespace {

constexpr std::size_t kGrpcMemoryMax = 512UL * 1024 * 1024;
constexpr int kMetadataMax = 8 * 1024;
constexpr int kStreamsPerConnectionMax = 100;

class RefusedCall final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  explicit RefusedCall(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

/// gRPC's own lines, in our log and at a level that a stranger cannot fill disks with.
void log_for_grpc(gpr_log_func_args* args) {
  static log::SiteLimit limit{10, 60s};
  log::at(limit, log::Level::debug, "grpc", log::field("text", args->message));
}

void set_limits(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(kReceiptMessageMax));
  // Without it a second orchestrator on the same port would silently take half of the nodes.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 5'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  grpc::ResourceQuota quota{"control"};
  quota.Resize(kGrpcMemoryMax);
  builder.SetResourceQuota(quota);
}

std::shared_ptr<grpc::ServerCredentials> make_credentials(const GrpcGatewayOptions& options) {
  // Any certificate is let in here: its key is the identity, and the session checks that.
  grpc::SslServerCredentialsOptions ssl{
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY};
  ssl.pem_key_cert_pairs.push_back({options.server_key_pem, options.certificate_chain_pem});
  return grpc::SslServerCredentials(ssl);
}

grpc::StatusCode to_status_code(CloseReason reason) {
  switch (reason) {
    case CloseReason::banned:
      return grpc::StatusCode::PERMISSION_DENIED;
    case CloseReason::refused:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case CloseReason::shutting_down:
      return grpc::StatusCode::UNAVAILABLE;
  }
  return grpc::StatusCode::UNKNOWN;
}

}  // namespace

class GrpcGateway::Impl final : public SessionHub {
 public:
  Impl(GrpcGatewayOptions options, const Authenticator& authenticator)
      : options_{std::move(options)}, authenticator_{authenticator}, service_{*this} {
    gpr_set_log_function(&log_for_grpc);
  }

  std::optional<std::string> accept(NodeSink& sink) {
    TAYGA_CHECK(server_ == nullptr);
    sink_ = &sink;
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(options_.listen, make_credentials(options_), &port);
    builder.RegisterService(&service_);
    set_limits(builder);
    pump_ = std::thread{[this] { run_pump(); }};
    server_ = builder.BuildAndStart();
    if (server_ != nullptr && port != 0) {
      port_ = static_cast<std::uint16_t>(port);
      return std::nullopt;
    }
    stop_pump();
    return "cannot listen for nodes on " + options_.listen +
           ": the port is taken or the address is not this machine's; stop the program that holds "
           "it, or set another address with --listen (config: [server] listen)";
  }

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* on_call(
      grpc::CallbackServerContext& context) {
    const auto refuse = [](grpc::StatusCode code, const char* message) {
      return new RefusedCall{grpc::Status{code, message}};
    };
    const auto node = authenticate(context);
    if (!node) {
      ++unauthenticated_;
      return refuse(grpc::StatusCode::UNAUTHENTICATED,
                    "the client certificate holds no Ed25519 key: connect with a node identity");
    }
    const std::scoped_lock lock{mutex_};
    if (draining_) return refuse(grpc::StatusCode::UNAVAILABLE, "shutting down; try again");
    const SessionId id{++last_session_};
    std::string address = numeric_peer_address(context.peer());
    if (sessions_.size() >= kSessionsMax || !ungreeted_.add(id, address)) {
      return refuse(grpc::StatusCode::UNAVAILABLE, "too many sessions; try again later");
    }
    auto session =
        std::make_shared<GrpcSession>(SessionInfo{id, *node, std::move(address)}, context, *this);
    sessions_.emplace(id, session);
    session->start();
    return session.get();
  }

  void push(SessionId id, OrchestratorEvent event) {
    const auto session = find(id);
    if (!session) return;
    switch (session->push(std::move(event))) {
      case Outbox::Pushed::queued:
        break;
      case Outbox::Pushed::replaced:
        ++outbox_replaced_;
        break;
      case Outbox::Pushed::dropped_oldest:
        ++outbox_dropped_;
        break;
      case Outbox::Pushed::overflow:
        ++outbox_dropped_;
        ++stalled_;
        break;
    }
  }

  void close(SessionId id, CloseReason reason, const std::string& message) {
    if (const auto session = find(id)) {
      session->close_after_outbox(grpc::Status{to_status_code(reason), message});
    }
  }

  void drain(Duration grace) {
    if (server_ == nullptr) return;
    const auto deadline = std::chrono::system_clock::now() + grace;
    std::vector<std::shared_ptr<GrpcSession>> open;
    {
      const std::scoped_lock lock{mutex_};
      draining_ = true;
      for (const auto& [id, session] : sessions_) open.push_back(session);
    }
    for (const auto& session : open) {
      session->close_after_outbox({grpc::StatusCode::UNAVAILABLE, "the orchestrator stops"});
    }
    open.clear();
    server_->Shutdown(deadline);
    {
      std::unique_lock lock{mutex_};
      all_done_.wait(lock, [this] { return sessions_.empty(); });
    }
    stop_pump();
    server_.reset();
  }

  [[nodiscard]] GatewayStats stats() const {
    GatewayStats out;
    {
      const std::scoped_lock lock{mutex_};
      out.sessions = by_node_.size();
    }
    out.sessions_total = greeted_;
    out.replaced_total = replaced_;
    out.unauthenticated_total = unauthenticated_;
    out.messages_received_total = received_;
    out.messages_refused_total = refused_;
    out.messages_sent_total = sent_;
    out.outbox_replaced_total = outbox_replaced_;
    out.outbox_dropped_total = outbox_dropped_;
    out.stalled_total = stalled_;
    return out;
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

  // SessionHub.
  void on_greeted(const std::shared_ptr<GrpcSession>& session) override {
    ++greeted_;
    const SessionId id = session->info().id;
    std::shared_ptr<GrpcSession> older;
    {
      const std::scoped_lock lock{mutex_};
      ungreeted_.remove(id);
      auto [at, is_new] = by_node_.try_emplace(session->info().node, id);
      // Hellos of one node may overtake each other on gRPC's threads: the later call wins.
      if (!is_new && id < at->second) {
        older = session;
      } else if (!is_new) {
        if (const auto old = sessions_.find(at->second); old != sessions_.end()) {
          older = old->second;
        }
        at->second = id;
      }
    }
    if (!older) return;
    ++replaced_;
    older->close_after_outbox(
        {grpc::StatusCode::ABORTED, "a newer session of this node took the place of this one"});
  }
  void schedule(std::shared_ptr<GrpcSession> session) override {
    const std::scoped_lock lock{pump_mutex_};
    ready_.push_back(std::move(session));
    pump_wake_.notify_one();
  }
  void on_done(const GrpcSession& session) override {
    const std::scoped_lock lock{mutex_};
    const auto at = by_node_.find(session.info().node);
    if (at != by_node_.end() && at->second == session.info().id) by_node_.erase(at);
    ungreeted_.remove(session.info().id);
    sessions_.erase(session.info().id);
    if (sessions_.empty()) all_done_.notify_all();
  }
  NodeSink& sink() override { return *sink_; }
  void count(Count what) override {
    switch (what) {
      case Count::received:
        ++received_;
        return;
      case Count::refused:
        ++refused_;
        return;
      case Count::sent:
        ++sent_;
        return;
      case Count::stalled:
        ++stalled_;
        return;
    }
  }

 private:
  class Service final : public v1::Control::WithRawCallbackMethod_Session<v1::Control::Service> {
   public:
    explicit Service(Impl& gateway) : gateway_{gateway} {}
    grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Session(
        grpc::CallbackServerContext* context) override {
      return gateway_.on_call(*context);
    }

   private:
    Impl& gateway_;
  };

  std::optional<NodeId> authenticate(const grpc::CallbackServerContext& context) const {
    const auto auth = context.auth_context();
    if (!auth) return std::nullopt;
    const auto pem = auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
    if (pem.size() != 1) return std::nullopt;
    return authenticator_.authenticate({std::string{pem.front().data(), pem.front().size()}});
  }

  std::shared_ptr<GrpcSession> find(SessionId id) const {
    const std::scoped_lock lock{mutex_};
    const auto at = sessions_.find(id);
    return at == sessions_.end() ? nullptr : at->second;
  }

  void run_pump() {
    TimePoint watchdog = async::Clock::now() + kWatchdogInterval;
    for (;;) {
      std::deque<std::shared_ptr<GrpcSession>> ready;
      {
        std::unique_lock lock{pump_mutex_};
        pump_wake_.wait_until(lock, async::Clock::to_steady(watchdog),
                              [this] { return stopping_ || !ready_.empty(); });
        if (stopping_) return;
        ready.swap(ready_);
      }
      for (const auto& session : ready) session->write_next();
      if (const TimePoint now = async::Clock::now(); now >= watchdog) {
        watchdog = now + kWatchdogInterval;
        look_after_sessions(now);
      }
    }
  }

  void look_after_sessions(TimePoint now) {
    std::vector<std::shared_ptr<GrpcSession>> all;
    {
      const std::scoped_lock lock{mutex_};
      for (const auto& [id, session] : sessions_) all.push_back(session);
    }
    for (const auto& session : all) session->on_watchdog(now);
  }

  void stop_pump() {
    {
      const std::scoped_lock lock{pump_mutex_};
      stopping_ = true;
      pump_wake_.notify_one();
    }
    if (pump_.joinable()) pump_.join();
    ready_.clear();
  }

  const GrpcGatewayOptions options_;
  const Authenticator& authenticator_;
  NodeSink* sink_ = nullptr;
  Service service_;
  std::unique_ptr<grpc::Server> server_;
  std::uint16_t port_ = 0;

  mutable std::mutex mutex_;  // guards the next six; taken before a session's, never after it
  std::unordered_map<SessionId, std::shared_ptr<GrpcSession>> sessions_;
  std::unordered_map<NodeId, SessionId> by_node_;
  UngreetedSessions ungreeted_{{kUngreetedSessionsMax, kUngreetedPerNetworkMax}};
  std::uint64_t last_session_ = 0;
  bool draining_ = false;
  std::condition_variable all_done_;

  std::mutex pump_mutex_;  // guards the next three; innermost
  std::deque<std::shared_ptr<GrpcSession>> ready_;
  bool stopping_ = false;
  std::condition_variable pump_wake_;
  std::thread pump_;

  std::atomic<std::uint64_t> greeted_{0}, replaced_{0}, unauthenticated_{0}, received_{0};
  std::atomic<std::uint64_t> refused_{0}, sent_{0}, outbox_replaced_{0}, outbox_dropped_{0};
  std::atomic<std::uint64_t> stalled_{0};
};

GrpcGateway::GrpcGateway(GrpcGatewayOptions options, const Authenticator& authenticator)
    : impl_{std::make_unique<Impl>(std::move(options), authenticator)} {}
GrpcGateway::~GrpcGateway() {
  impl_->drain(0s);
}

std::optional<std::string> GrpcGateway::accept(NodeSink& sink) {
  return impl_->accept(sink);
}
void GrpcGateway::push(SessionId session, OrchestratorEvent event) {
  impl_->push(session, std::move(event));
}
void GrpcGateway::close(SessionId session, CloseReason reason, const std::string& message) {
  impl_->close(session, reason, message);
}
void GrpcGateway::drain(Duration grace) {
  impl_->drain(grace);
}
GatewayStats GrpcGateway::stats() const {
  return impl_->stats();
}
std::uint16_t GrpcGateway::port() const {
  return impl_->port();
}

}  // namespace tayga::orch
