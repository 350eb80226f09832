#pragma once

#include "common/base/time.hpp"
#include "orchestrator/rpc/node_gateway.hpp"
#include "orchestrator/rpc/outbox.hpp"

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace tayga::orch {

class GrpcSession;

/// The gateway as its sessions see it.
class SessionHub {
 public:
  virtual ~SessionHub() = default;
  /// The session said hello: it takes the place of an older one of the same node.
  virtual void on_greeted(const std::shared_ptr<GrpcSession>& session) = 0;
  /// There is something to write: the pump thread calls write_next().
  virtual void schedule(std::shared_ptr<GrpcSession> session) = 0;
  /// gRPC is through with it.
  virtual void on_done(const GrpcSession& session) = 0;
  virtual NodeSink& sink() = 0;

  enum class Count : std::uint8_t { received, refused, sent, stalled };
  virtual void count(Count what) = 0;
};

/// One node's stream. States: ungreeted -> greeted -> finishing -> done.
///
/// Keeps itself alive from start() to OnDone(), which gRPC calls once, after Finish() and every
/// other reaction; without Finish() it never comes, so each way out of here leads through finish().
class GrpcSession final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                          public std::enable_shared_from_this<GrpcSession> {
 public:
  /// `hub` and `context` outlive OnDone().
  GrpcSession(SessionInfo info, grpc::CallbackServerContext& context, SessionHub& hub);

  void start();
  [[nodiscard]] const SessionInfo& info() const noexcept { return info_; }

  /// Any thread.
  Outbox::Pushed push(OrchestratorEvent event);
  void close_after_outbox(grpc::Status status);  ///< any thread
  void write_next();                             ///< pump thread only
  void on_watchdog(TimePoint now);               ///< pump thread only

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  void finish(const grpc::Status& status);
  void finish_locked(const grpc::Status& status);
  [[nodiscard]] std::optional<grpc::Status> on_message();
  [[nodiscard]] bool is_stuck(TimePoint now) const;
  void schedule_locked();

  const SessionInfo info_;
  grpc::CallbackServerContext& context_;
  SessionHub& hub_;
  std::shared_ptr<GrpcSession> self_;  // between start() and OnDone()
  grpc::ByteBuffer in_;                // belongs to gRPC between StartRead and OnReadDone
  bool greeted_ = false;               // gRPC's thread only

  std::mutex mutex_;  // guards all below
  Outbox outbox_;
  grpc::ByteBuffer out_;  // belongs to gRPC between StartWrite and OnWriteDone
  bool writing_ = false;
  bool scheduled_ = false;
  bool finishing_ = false;
  bool done_ = false;
  bool heard_hello_ = false;
  std::optional<grpc::Status> closing_;
  TimePoint began_;
  TimePoint heard_;
  TimePoint write_began_;
  TimePoint finish_began_;
  bool cancelled_ = false;
};

}  // namespace tayga::orch
