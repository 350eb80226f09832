#include "common/transport/quic/connection.hpp"

#include "common/base/check.hpp"
#include "common/transport/quic/connection_detail.hpp"

#include <algorithm>
#include <utility>

namespace tayga::transport::quic {
namespace {

constexpr Duration kTimerPause = 1ms;

}  // namespace

/// ngtcp2 1.x aborts when time goes backwards, and callers may be a little behind each other.
std::uint64_t Connection::timestamp(TimePoint now) {
  now_ = std::max(now_, now);
  last_ts_ = std::max(last_ts_, to_ns(now.time_since_epoch()));
  return last_ts_;
}

// The session's side.

void Connection::start(SessionHandler& handler) {
  TAYGA_CHECK(handler_ == nullptr);
  handler_ = &handler;
  want_write();  // also delivers what came before, be it the end
}

void Connection::send_control(SharedBytes frame) {
  if (phase_ != Phase::open || ending_) return;
  control_.push(std::move(frame));
  if (control_.bytes() > kControlQueueMax) {
    shim::CloseError error{};
    shim::close_error_application(error, kRefused, nullptr, 0);
    end({CloseInfo::Reason::overflow,
         std::to_string(control_.bytes()) + " bytes of control frames not taken"},
        error);
  }
  want_write();
}

void Connection::notify_media() {
  if (phase_ != Phase::open) return;
  handler_has_media_ = true;
  want_write();
}

void Connection::close(std::string reason) {
  if (phase_ == Phase::finished || phase_ == Phase::closing || ending_) return;
  phase_ = Phase::closing;
  close_reason_ = std::move(reason);
  handler_has_media_ = false;
  want_write();
}

void Connection::abandon() {
  handler_ = nullptr;
  if (phase_ == Phase::finished || ending_) return;
  shim::CloseError error{};
  shim::close_error_application(error, kAbandoned, nullptr, 0);
  end({CloseInfo::Reason::local, {}}, error);
}

UdpPath Connection::current_path() const {
  if (!conn_) return first_path_;
  const ngtcp2_path* const path = ngtcp2_conn_get_path(conn_.get());
  return {UdpAddress::from(path->local.addr, static_cast<socklen_t>(path->local.addrlen)),
          UdpAddress::from(path->remote.addr, static_cast<socklen_t>(path->remote.addrlen))};
}

Endpoint Connection::remote_endpoint() const {
  return current_path().remote.endpoint();
}

SessionStats Connection::stats() const {
  SessionStats stats = stats_;
  stats.queued_bytes = control_.unsent() + unsent_media_;
  if (conn_ && established_) {
    shim::ConnInfo info{};
    shim::get_info(conn_.get(), info);
    stats.smoothed_rtt = Duration{static_cast<std::int64_t>(info.smoothed_rtt / 1000)};
  }
  return stats;
}

bool Connection::failed_by_wrong_peer() const {
  return handshaker_ && handshaker_->wrong_peer();
}

// Reading.

void Connection::on_packet(const UdpPath& path, ByteView packet, TimePoint now) {
  if (phase_ == Phase::finished || ending_) return;
  const auto self = shared_from_this();
  const std::uint64_t ts = timestamp(now);
  std::optional<UdpPath> where = admit_path(path);
  if (!where) return;
  const ngtcp2_path at = to_path(*where);
  const ngtcp2_pkt_info info{};
  packet_acknowledged_ = false;
  decrypted = {};
  note_in_flight();
  const int result =
      ngtcp2_conn_read_pkt(conn_.get(), &at, &info, as_uchar(packet), packet.size(), ts);
  if (phase_ == Phase::finished) return;
  if (ending_) return want_write();
  if (result != 0) return on_read_error(result);
  stats_.bytes_in += packet.size();
  if (decrypted.any) {
    const FrameTally frames = decrypted.frames;  // what follows may read another connection's
    on_authentic_packet(frames);
  }
  if (phase_ != Phase::finished) want_write();
}

/// What others made up, or repeat, may not keep a dead peer alive nor count against a living one.
void Connection::on_authentic_packet(const FrameTally& frames) {
  last_heard_ = now_;
  if (!established_) establish();
  if (side_ == Side::dialer && established_) {
    if (auto ticket = handshaker_->take_ticket()) owner_.on_ticket(peer_, std::move(*ticket));
  }
  note_path();
  count_packet(frames);
  unblock();
}

void Connection::on_read_error(int code) {
  if (code == NGTCP2_ERR_DRAINING) {
    const shim::CloseError error = shim::received_close(conn_.get());
    std::string reason{reinterpret_cast<const char*>(error.reason), error.reasonlen};
    const bool orderly = shim::is_application_close(error) && error.error_code == 0;
    if (phase_ == Phase::closing) return finish({CloseInfo::Reason::local, close_reason_});
    if (reason.empty()) reason = "the peer closed";
    return finish({orderly ? CloseInfo::Reason::remote : CloseInfo::Reason::reset, reason});
  }
  if (code == NGTCP2_ERR_DROP_CONN || code == NGTCP2_ERR_RETRY) {
    return finish({CloseInfo::Reason::reset, ngtcp2_strerror(code)});
  }
  shim::CloseError error{};
  if (code == NGTCP2_ERR_CRYPTO) {
    shim::close_error_alert(error, ngtcp2_conn_get_tls_alert(conn_.get()));
  } else {
    shim::close_error_library(error, code);
  }
  const bool protocol = code != NGTCP2_ERR_CRYPTO;
  end({protocol ? CloseInfo::Reason::protocol : CloseInfo::Reason::reset, ngtcp2_strerror(code)},
      error);
}

int Connection::on_handshake_completed() {
  const std::optional<NodeId> proven = handshaker_->peer();
  // GnuTLS does not call the verify function on a resumption: this is its check.
  if (!proven || (expected_ && *expected_ != *proven)) return NGTCP2_ERR_CALLBACK_FAILURE;
  peer_ = *proven;
  pacing_ = true;
  ngtcp2_conn_set_keep_alive_timeout(conn_.get(), to_ns(options_.keep_alive));
  if (side_ == Side::acceptor) handshaker_->send_ticket();
  return 0;
}

/// An acceptor has seen the dialer's proof when the handshake completed. A dialer must hear that
/// its own was accepted, unless the acceptor's ticket says that it was.
void Connection::establish() {
  if (ngtcp2_conn_get_handshake_completed(conn_.get()) == 0) return;
  if (side_ == Side::dialer && !confirmed_ && !handshaker_->resumed()) return;
  established_ = true;
  if (phase_ == Phase::handshaking) phase_ = Phase::open;
  progress_at_ = now_;
  if (side_ == Side::dialer) {
    std::int64_t id = -1;
    if (ngtcp2_conn_open_bidi_stream(conn_.get(), &id, &control_) != 0) {
      shim::CloseError error{};
      shim::close_error_default(error);
      return end({CloseInfo::Reason::protocol, "the peer allows no control stream"}, error);
    }
    control_.open(id);
    control_in_.id = id;
    control_announced_ = false;
  }
  owner_.on_established(*this);
}

int Connection::on_stream_opened(std::int64_t stream) {
  if (!admit(FloodGuard::Kind::stream_opened)) return NGTCP2_ERR_CALLBACK_FAILURE;
  if (ngtcp2_is_bidi_stream(stream) != 0) {
    if (side_ == Side::dialer || control_.is_open()) return refuse("a second control stream");
    control_.open(stream);
    control_in_.id = stream;
    return ngtcp2_conn_set_stream_user_data(conn_.get(), stream, &control_);
  }
  auto opened = std::make_unique<InStream>();
  opened->id = stream;
  const int result = ngtcp2_conn_set_stream_user_data(conn_.get(), stream, opened.get());
  in_.push_back(std::move(opened));
  return result;
}

int Connection::on_stream_data(std::int64_t stream, ByteView data, void* stream_data) {
  // Both directions of the control stream share the library's one pointer.
  const bool control = ngtcp2_is_bidi_stream(stream) != 0;
  InStream* const in = control ? &control_in_ : static_cast<InStream*>(stream_data);
  if (in == nullptr) return NGTCP2_ERR_CALLBACK_FAILURE;
  if (handler_ == nullptr || !in->held.empty()) {  // also behind what waits for the next write()
    in->held.insert(in->held.end(), data.begin(), data.end());
    holds_input_ = true;
    return 0;
  }
  return deliver(*in, data);
}

int Connection::deliver(InStream& stream, ByteView data) {
  consume(stream, data.size());
  const std::size_t partial = stream.reader.buffered();
  while (phase_ == Phase::open && !ending_) {
    const Result<std::optional<FrameView>> frame = stream.reader.next(data);
    if (!frame) return refuse(frame.error().message().c_str());
    if (!*frame) break;
    const bool control = (*frame)->type == wire::FrameType::control;
    if (control && !admit(FloodGuard::Kind::control_frame)) break;
    const bool small = (*frame)->payload.size() < FloodGuard::kSmallFrame;
    if (!control && small && !admit(FloodGuard::Kind::small_frame)) break;
    handler_->on_frame((*frame)->type, (*frame)->payload);
  }
  if (!hold_partial(partial, stream.reader.buffered())) return NGTCP2_ERR_CALLBACK_FAILURE;
  return phase_ == Phase::finished || ending_ ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

void Connection::deliver_held() {
  if (!holds_input_ || handler_ == nullptr) return;
  holds_input_ = false;
  const auto give = [this](InStream& stream) {
    if (handler_ == nullptr || ending_ || stream.held.empty()) return;
    const Bytes held = std::exchange(stream.held, {});
    (void)deliver(stream, held);
  };
  give(control_in_);
  for (std::size_t i = 0; i < in_.size(); ++i) give(*in_[i]);
}

void Connection::set_reading(Reading reading) {
  reading_ = reading == Reading::on;
  if (!reading_ || phase_ == Phase::finished || ending_) return;
  const auto give_back = [this](InStream& stream) {
    if (stream.withheld > 0) consume(stream, std::exchange(stream.withheld, 0));
  };
  give_back(control_in_);
  for (const auto& stream : in_) give_back(*stream);
  want_write();
}

/// The peer may send as much again, once we read on.
void Connection::consume(InStream& stream, std::size_t size) {
  if (!reading_) {
    stream.withheld += size;
    return;
  }
  ngtcp2_conn_extend_max_stream_offset(conn_.get(), stream.id, size);
  ngtcp2_conn_extend_max_offset(conn_.get(), size);
}

// Time.

void Connection::on_timeout(TimePoint now) {
  if (phase_ == Phase::finished || ending_) return;
  const auto self = shared_from_this();
  const std::uint64_t ts = timestamp(now);
  if (close_deadline_ && now_ >= *close_deadline_) return end_in_order();
  if (established_ && now_ - last_heard_ >= options_.idle_max) {
    return finish({CloseInfo::Reason::idle, "nothing heard from the peer"});
  }
  if (established_ && waits_for_peer_ && now_ - progress_at_ >= options_.stall_max) {
    shim::CloseError error{};
    shim::close_error_application(error, kRefused, nullptr, 0);
    return end({CloseInfo::Reason::stalled, "the peer takes nothing"}, error);
  }
  if (ngtcp2_conn_get_expiry(conn_.get()) <= ts) {
    const int result = ngtcp2_conn_handle_expiry(conn_.get(), ts);
    if (result == NGTCP2_ERR_IDLE_CLOSE) {
      return finish({CloseInfo::Reason::idle, "nothing heard from the peer"});
    }
    if (result != 0) {
      if (!established_) return finish({CloseInfo::Reason::idle, ngtcp2_strerror(result)});
      return on_read_error(result);
    }
  }
  want_write();
}

void Connection::update_timeout() {
  const std::uint64_t expiry = ngtcp2_conn_get_expiry(conn_.get());
  // Rounded up: waking a little late is right, a little early is for nothing.
  timeout_ = expiry >= static_cast<std::uint64_t>(INT64_MAX)
                 ? TimePoint::max()
                 : TimePoint{Duration{static_cast<std::int64_t>((expiry + 999) / 1000)}};
  // Due, and yet there was nothing that it let us write: so it is while a new path is not validated
  // and the bytes that may go there are used up. Asking without a pause would change nothing.
  if (expiry <= last_ts_) timeout_ = now_ + kTimerPause;
  if (established_) timeout_ = std::min(timeout_, last_heard_ + options_.idle_max);
  if (established_ && waits_for_peer_) {
    timeout_ = std::min(timeout_, progress_at_ + options_.stall_max);
  }
  if (close_deadline_) timeout_ = std::min(timeout_, *close_deadline_);
  if (flush_at_ && !flush_due_) timeout_ = std::min(timeout_, *flush_at_);
}

bool Connection::migrate(const UdpAddress& local, TimePoint now) {
  if (side_ != Side::dialer || !confirmed_ || phase_ != Phase::open || ending_) return false;
  if (now < path_settled_at_) return false;
  UdpPath path{local, UdpAddress::from(remote_endpoint())};
  const ngtcp2_path to = to_path(path);
  if (ngtcp2_conn_initiate_immediate_migration(conn_.get(), &to, timestamp(now)) != 0) return false;
  path_settled_at_ = now_ + kPathSettle;
  want_write();
  return true;
}

// Ending.

void Connection::want_write() {
  owner_.wants_write(*this);
}

/// The farewell is written, and the handler told, at the next write().
void Connection::end(CloseInfo info, const shim::CloseError& error) {
  if (ending_ || phase_ == Phase::finished) return;
  ending_ = true;
  close_info_ = std::move(info);
  close_error_ = error;
  want_write();
}

void Connection::finish(CloseInfo info, Bytes farewell) {
  if (phase_ == Phase::finished) return;
  const auto self = shared_from_this();
  phase_ = Phase::finished;
  close_info_ = std::move(info);
  timeout_ = TimePoint::max();
  owner_.on_finished(*this, std::move(farewell));
  control_.clear();
  for (const auto& stream : media_) stream->clear();
  unsent_media_ = held_media_ = 0;
  tell_closed();
}

void Connection::tell_closed() {
  SessionHandler* const handler = std::exchange(handler_, nullptr);
  if (handler != nullptr) handler->on_closed(close_info_);
}

}  // namespace tayga::transport::quic
