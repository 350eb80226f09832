#include "orchestrator/rpc/grpc_session.hpp"

#include "common/async/clock.hpp"
#include "common/base/encoding.hpp"
#include "common/log/log.hpp"
#include "orchestrator/rpc/limits.hpp"
#include "orchestrator/rpc/mapping.hpp"

#include <utility>
#include <vector>

namespace tayga::orch {
namespace {

Bytes to_bytes(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  Bytes out;
  if (!buffer.Dump(&slices).ok()) return out;
  out.reserve(buffer.Length());
  for (const grpc::Slice& slice : slices) {
    const auto* begin = reinterpret_cast<const std::byte*>(slice.begin());
    out.insert(out.end(), begin, begin + slice.size());
  }
  return out;
}

grpc::ByteBuffer to_buffer(const std::string& message) {
  const grpc::Slice slice{message};
  return {&slice, 1};
}

}  // namespace

GrpcSession::GrpcSession(SessionInfo info, grpc::CallbackServerContext& context, SessionHub& hub)
    : info_{std::move(info)},
      context_{context},
      hub_{hub},
      outbox_{{kOutboxMax, kOutboxReceiptsMax}},
      began_{async::Clock::now()},
      heard_{began_} {}

void GrpcSession::start() {
  self_ = shared_from_this();
  StartSendInitialMetadata();
  StartRead(&in_);
}

Outbox::Pushed GrpcSession::push(OrchestratorEvent event) {
  const std::scoped_lock lock{mutex_};
  if (finishing_ || closing_) return Outbox::Pushed::queued;
  const Outbox::Pushed pushed = outbox_.push(std::move(event));
  if (pushed == Outbox::Pushed::overflow) {
    finish_locked({grpc::StatusCode::RESOURCE_EXHAUSTED, "the node does not read; connect again"});
  } else {
    schedule_locked();
  }
  return pushed;
}

void GrpcSession::close_after_outbox(grpc::Status status) {
  const std::scoped_lock lock{mutex_};
  if (finishing_ || closing_) return;
  closing_ = std::move(status);
  finish_began_ = async::Clock::now();
  schedule_locked();
}

void GrpcSession::schedule_locked() {
  if (scheduled_ || writing_ || finishing_) return;
  scheduled_ = true;
  hub_.schedule(shared_from_this());
}

void GrpcSession::write_next() {
  std::optional<OrchestratorEvent> event;
  {
    const std::scoped_lock lock{mutex_};
    scheduled_ = false;
    if (writing_ || finishing_) return;
    event = outbox_.pop();
    if (!event) {
      if (closing_) finish_locked(*closing_);
      return;
    }
    writing_ = true;
  }
  grpc::ByteBuffer message = to_buffer(serialize_orchestrator_message(*event));
  const std::scoped_lock lock{mutex_};
  if (finishing_) return;
  out_ = std::move(message);
  write_began_ = async::Clock::now();
  StartWrite(&out_);
}

void GrpcSession::OnWriteDone(bool ok) {
  if (ok) hub_.count(SessionHub::Count::sent);
  const std::scoped_lock lock{mutex_};
  writing_ = false;
  if (!ok) return finish_locked({grpc::StatusCode::UNAVAILABLE, "the connection broke"});
  if (!outbox_.empty() || closing_) schedule_locked();
}

void GrpcSession::OnReadDone(bool ok) {
  if (!ok) return finish(grpc::Status::OK);
  if (const auto refusal = on_message()) return finish(*refusal);
  const std::scoped_lock lock{mutex_};
  heard_ = async::Clock::now();
  heard_hello_ = true;
  if (!finishing_) StartRead(&in_);
}

/// Takes the message in `in_`; a status says why the session ends with it.
std::optional<grpc::Status> GrpcSession::on_message() {
  hub_.count(SessionHub::Count::received);
  const Bytes bytes = to_bytes(in_);
  Result<NodeEvent> event = parse_node_message(bytes, {info_.node, info_.address});
  if (!event && event.error() == RpcErrc::unknown_message && greeted_) return std::nullopt;
  if (!event) {
    hub_.count(SessionHub::Count::refused);
    static log::SiteLimit limit{5, 60s};
    const auto node = [this] { return short_string(info_.node); };
    log::at(limit, log::Level::debug, "a node's message is refused", log::field("node", node),
            log::field("reason", event.error()));
    return grpc::Status{grpc::StatusCode::INVALID_ARGUMENT, event.error().message()};
  }
  if (std::holds_alternative<Hello>(*event) == greeted_) {
    hub_.count(SessionHub::Count::refused);
    return grpc::Status{grpc::StatusCode::FAILED_PRECONDITION,
                        greeted_ ? "a second hello" : "the first message must be a hello"};
  }
  if (!greeted_) {
    greeted_ = true;
    hub_.on_greeted(shared_from_this());
  }
  if (hub_.sink().on_event(info_, std::move(*event)) == NodeSink::Admission::overloaded) {
    return grpc::Status{grpc::StatusCode::RESOURCE_EXHAUSTED,
                        "the orchestrator is overloaded; try again in some seconds"};
  }
  return std::nullopt;
}

void GrpcSession::OnCancel() {
  finish({grpc::StatusCode::CANCELLED, "cancelled"});
}

void GrpcSession::finish(const grpc::Status& status) {
  const std::scoped_lock lock{mutex_};
  finish_locked(status);
}

void GrpcSession::finish_locked(const grpc::Status& status) {
  if (finishing_) return;
  finishing_ = true;
  finish_began_ = async::Clock::now();
  Finish(status);
}

bool GrpcSession::is_stuck(TimePoint now) const {
  if (finishing_ || closing_) return now - finish_began_ > kHelloDeadline;
  if (!heard_hello_) return now - began_ > kHelloDeadline;
  if (writing_ && now - write_began_ > kWriteStallMax) return true;
  return now - heard_ > kSilenceMax;
}

void GrpcSession::on_watchdog(TimePoint now) {
  const std::scoped_lock lock{mutex_};
  // Once gRPC is done the context is gone. Until then cancelling is what unblocks a write.
  if (done_ || cancelled_ || !is_stuck(now)) return;
  cancelled_ = true;
  if (!finishing_) hub_.count(SessionHub::Count::stalled);
  context_.TryCancel();
}

void GrpcSession::OnDone() {
  {
    const std::scoped_lock lock{mutex_};
    done_ = true;
  }
  if (greeted_) hub_.sink().on_closed(info_);
  const std::shared_ptr<GrpcSession> last = std::move(self_);
  hub_.on_done(*this);
}

}  // namespace tayga::orch
