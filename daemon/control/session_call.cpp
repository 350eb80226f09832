#include "daemon/control/session_call.hpp"

#include "common/base/check.hpp"
#include "common/base/protocol.hpp"
#include "common/log/log.hpp"
#include "daemon/control/control_mapping.hpp"
#include "tayga/v1/control.grpc.pb.h"

#include <boost/asio/post.hpp>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <mutex>
#include <utility>

namespace tayga::control {

namespace {

namespace asio = boost::asio;

// A dead path is found by a ping in at most 30 s, without the orchestrator having to say anything.
constexpr int kKeepaliveTimeMs = 20'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr int kConnectTimeoutMs = 5'000;
constexpr int kMetadataSizeMax = 8 * 1024;
constexpr std::size_t kReasonSizeMax = 300;

/// gRPC writes to stderr whatever it dislikes about a server. What matters ends in a session's
/// reason.
void route_grpc_log() {
  [[maybe_unused]] static const bool is_routed = [] {
    gpr_set_log_function([](gpr_log_func_args* args) {
      static log::SiteLimit limit{5, 60s};
      log::at(limit, log::Level::debug, "grpc", log::field("detail", args->message));
    });
    return true;
  }();
}

grpc::ChannelArguments channel_arguments() {
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride(kOrchestratorTlsName);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);  // also the dial's limit
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMetadataSizeMax);
  // A channel of our own per session: no connection, and no back-off, left over from the last one.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  // Assignments of a large relay exceed 64 KiB; the orchestrator is authenticated.
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kReceiptMessageMax));
  arguments.SetMaxSendMessageSize(static_cast<int>(kReceiptMessageMax));
  return arguments;
}

std::string describe(const grpc::Status& status) {
  if (status.ok()) return "the orchestrator closed the session";
  std::string text = status.error_message().substr(0, kReasonSizeMax);
  if (text.empty()) text = "gRPC status " + std::to_string(status.error_code());
  return text;
}

/// Set when gRPC has made its last call; outlives the call itself.
class DoneSignal {
 public:
  void set() {
    const std::lock_guard lock{mutex_};
    is_set_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return is_set_; });
  }

 private:
  std::mutex mutex_;  // guards is_set_
  std::condition_variable changed_;
  bool is_set_ = false;
};

/// Lifetime: `self_` keeps the object until OnDone, whatever its owner does. A hold is kept from
/// the start until reading has failed (or abandon), because reads and writes begin on our executor,
/// not in gRPC's callbacks: without it OnDone could come between them. The object must not die on
/// one of gRPC's threads: with the last channel of a process these threads end, and one that ends
/// itself frees its queue twice (gRPC 1.51). So a callback hands its reference to the executor and
/// keeps none.
class GrpcCall final : public SessionCall,
                       public grpc::ClientBidiReactor<v1::NodeMessage, v1::OrchestratorMessage>,
                       public std::enable_shared_from_this<GrpcCall> {
 public:
  GrpcCall(asio::any_io_executor executor, std::weak_ptr<Handler> handler)
      : executor_{std::move(executor)}, handler_{std::move(handler)} {}

  void begin(const Options& options) {
    grpc::SslCredentialsOptions ssl;
    ssl.pem_root_certs = options.ca_pem;
    ssl.pem_cert_chain = options.certificate_pem;
    ssl.pem_private_key = options.key_pem;
    stub_ = v1::Control::NewStub(
        grpc::CreateCustomChannel(options.target, grpc::SslCredentials(ssl), channel_arguments()));
    self_ = shared_from_this();
    stub_->async()->Session(&context_, this);
    AddHold();
    StartRead(&in_);
    StartCall();
  }

  void write(const Outgoing& message) override {
    if (!prepare_write(message)) return;
    StartWrite(&out_);
  }

  void write_last(const Outgoing& message) override {
    if (!prepare_write(message)) return;
    StartWriteLast(&out_, grpc::WriteOptions{});
  }

  void cancel() override { context_.TryCancel(); }

  void abandon() override {
    context_.TryCancel();
    release_hold();
    done_->wait();
  }

  // ---- on gRPC's threads ----

  void OnReadDone(bool ok) override {
    asio::post(executor_, [self = shared_from_this(), ok] { self->handle_read(ok); });
  }

  void OnWriteDone(bool /*ok*/) override {
    // A failed write needs no word of its own: the read fails as well, and that ends the session.
    asio::post(executor_, [self = shared_from_this()] { self->handle_written(); });
  }

  void OnDone(const grpc::Status& status) override {
    const asio::any_io_executor executor = executor_;
    const std::shared_ptr<DoneSignal> done = done_;
    asio::post(executor, [self = std::move(self_), reason = describe(status)] {
      if (const auto handler = self->handler_.lock()) handler->on_ended(reason);
    });
    // From here on this object may be gone.
    done->set();
  }

 private:
  /// False when the stream is broken already: on_ended is under way.
  bool prepare_write(const Outgoing& message) {
    TAYGA_CHECK(!is_writing_);
    if (!is_held_) return false;
    out_ = to_proto(message);
    is_writing_ = true;
    return true;
  }

  void handle_read(bool ok) {
    if (!is_held_) return;
    if (!ok) return release_hold();
    if (const auto handler = handler_.lock()) handler->on_incoming(to_incoming(in_));
    in_.Clear();
    if (is_held_) StartRead(&in_);
  }

  void handle_written() {
    is_writing_ = false;
    if (const auto handler = handler_.lock()) handler->on_written();
  }

  void release_hold() {
    if (!is_held_) return;
    is_held_ = false;
    RemoveHold();
  }

  const asio::any_io_executor executor_;
  const std::weak_ptr<Handler> handler_;
  grpc::ClientContext context_;
  std::unique_ptr<v1::Control::Stub> stub_;
  v1::OrchestratorMessage in_;  // gRPC's while a read is under way
  v1::NodeMessage out_;         // gRPC's while a write is
  bool is_held_ = true;         // executor only
  bool is_writing_ = false;     // executor only
  std::shared_ptr<GrpcCall> self_;
  const std::shared_ptr<DoneSignal> done_ = std::make_shared<DoneSignal>();
};

}  // namespace

std::shared_ptr<SessionCall> SessionCall::start(asio::any_io_executor executor,
                                                const Options& options,
                                                std::weak_ptr<Handler> handler) {
  route_grpc_log();
  auto call = std::make_shared<GrpcCall>(std::move(executor), std::move(handler));
  call->begin(options);
  return call;
}

}  // namespace tayga::control
