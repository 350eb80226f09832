#include "common/transport/quic/connection.hpp"

#include <algorithm>
#include <array>
#include <utility>

// How a connection fills packets: control first, then media as its handler gives it.

namespace tayga::transport::quic {
namespace {

/// Flows of one connection that have a stream of their own at a time.
constexpr std::size_t kFlowStreamsMax = 64;
/// Media written and not acknowledged, or about to be: then no more is taken from the handler.
constexpr std::size_t kHeldMediaMax = 1024 * 1024;
constexpr std::size_t kReasonMax = 256;
constexpr Duration kCloseDeadline = 750ms;
constexpr std::size_t kGatherMax = 16;
/// A burst before others get their turn, where the library's pacing allows more.
constexpr std::size_t kPacketsPerTurnMax = 64;
constexpr std::size_t kHandshakePacketsMax = 8;
constexpr Duration kPathJudged = 500ms;
constexpr std::uint64_t kShortPathNs = 1'000'000;
/// The frame that crosses flush_bytes, headers, a retransmission.
constexpr std::size_t kFlushSlackPackets = 5;

UdpPath to_udp_path(const ngtcp2_path& path) noexcept {
  return {UdpAddress::from(path.local.addr, static_cast<socklen_t>(path.local.addrlen)),
          UdpAddress::from(path.remote.addr, static_cast<socklen_t>(path.remote.addrlen))};
}

}  // namespace

bool Connection::write(PacketSink& sink, TimePoint now) {
  const auto self = shared_from_this();
  if (phase_ == Phase::finished) {
    tell_closed();  // to one who started the session after its end
    return false;
  }
  const std::uint64_t ts = timestamp(now);
  if (!waits_for_peer_) progress_at_ = now_;
  deliver_held();
  if (phase_ == Phase::finished) return false;
  if (phase_ == Phase::closing && !close_deadline_) close_deadline_ = now_ + kCloseDeadline;
  prepare_media();
  const bool more = !ending_ && phase_ != Phase::finished && write_packets(sink, ts);
  if (phase_ == Phase::finished) return false;
  if (phase_ == Phase::closing && !ending_ && control_.bytes() == 0) end_in_order();
  if (ending_) {
    write_farewell(sink, ts);
    return false;
  }
  waits_for_peer_ = control_.bytes() > 0 || held_media_ > 0;
  update_timeout();
  return more;
}

/// Takes media until a write is worth its cost, or asks to be called when it has waited.
void Connection::prepare_media() {
  if (phase_ != Phase::open || handler_ == nullptr) return;
  pull_media();
  if (unsent_media_ == 0 || ending_ || phase_ != Phase::open) return;
  if (!flush_is_due() && !flush_at_) {
    const Duration delay = owner_.flush_delay();
    if (delay > Duration{0}) flush_at_ = now_ + delay;
  }
  const bool waits = flush_at_ && now_ < *flush_at_;
  if (!waits || flush_is_due()) flush_due_ = true;  // and stays so until all is written
}

bool Connection::flush_is_due() const {
  // A control frame does not wait, and the media that is there goes with it at little cost.
  return flush_due_ || unsent_media_ >= options_.flush_bytes || control_.unsent() > 0;
}

void Connection::pull_media() {
  while (phase_ == Phase::open && handler_has_media_ && unsent_media_ < options_.flush_bytes &&
         held_media_ < kHeldMediaMax && !ending_) {
    std::optional<OutboundMedia> next = handler_->next_media();
    if (handler_ == nullptr || ending_ || phase_ != Phase::open) return;
    if (!next) {
      handler_has_media_ = false;
      return;
    }
    OutStream* const stream = stream_for(next->flow);
    if (stream == nullptr) {
      (void)refuse("the peer allows no media streams");
      return;
    }
    const std::size_t size = next->frame->size();
    stream->push(std::move(next->frame));
    stream->used = ++frames_;
    unsent_media_ += size;
    held_media_ += size;
    ++stats_.media_frames_out;
    if (!stream->queued && !stream->blocked) {
      stream->queued = true;
      ready_.push_back(stream);
    }
  }
}

OutStream* Connection::stream_for(const FlowId& flow) {
  for (const auto& stream : media_) {
    if (stream->flow == flow) return stream.get();
  }
  if (media_.size() < kFlowStreamsMax) {
    auto opened = std::make_unique<OutStream>();
    std::int64_t id = -1;
    if (ngtcp2_conn_open_uni_stream(conn_.get(), &id, opened.get()) == 0) {
      opened->open(id);
      opened->flow = flow;
      media_.push_back(std::move(opened));
      return media_.back().get();
    }
  }
  if (media_.empty()) return nullptr;
  // Frames say themselves what they belong to: a stream that rested longest takes this flow over.
  const auto oldest = std::min_element(
      media_.begin(), media_.end(), [](const auto& a, const auto& b) { return a->used < b->used; });
  (*oldest)->flow = flow;
  return oldest->get();
}

/// Where a round trip takes less than a timer is worth, bursts have nothing to overrun but the
/// peer's socket, and spacing them took a tenth of a busy relay. Looked at now and then.
bool Connection::paces() {
  if (!pacing_ || now_ < path_judged_at_ + kPathJudged) return pacing_ && !short_path_;
  path_judged_at_ = now_;
  shim::ConnInfo info{};
  shim::get_info(conn_.get(), info);
  short_path_ = info.min_rtt < kShortPathNs;
  return !short_path_;
}

/// True: the burst ended, not the data.
bool Connection::write_packets(PacketSink& sink, std::uint64_t ts) {
  std::size_t burst = kHandshakePacketsMax;
  if (established_) {
    const std::size_t quantum =
        ngtcp2_conn_get_send_quantum(conn_.get()) / options_.udp_payload_max;
    // A flush leaves whole: its last packets in a burst of their own would cost as much again.
    const std::size_t flush = options_.flush_bytes / options_.udp_payload_max + kFlushSlackPackets;
    burst = std::clamp(quantum, std::min(flush, kPacketsPerTurnMax), kPacketsPerTurnMax);
  }
  std::size_t written = 0;
  Step step = Step::again;
  while (step == Step::again && written < burst) {
    if (sink.blocked()) break;
    if (flush_due_) pull_media();
    if (ending_ || phase_ == Phase::finished) return false;
    step = write_packet(sink, ts);
    if (step == Step::again) ++written;
  }
  if (unsent_media_ == 0 && !handler_has_media_) {
    flush_due_ = false;
    flush_at_.reset();
  }
  if (written > 0 && paces()) ngtcp2_conn_update_pkt_tx_time(conn_.get(), ts);
  packets_since_update_ += written;
  if (packets_since_update_ >= options_.key_update_packets && confirmed_) {
    packets_since_update_ = 0;
    // Refused while the last one is not confirmed: the next count asks again.
    (void)ngtcp2_conn_initiate_key_update(conn_.get(), ts);
  }
  return step == Step::again;
}

Connection::Step Connection::write_packet(PacketSink& sink, std::uint64_t ts) {
  const std::size_t room = ngtcp2_conn_get_max_tx_udp_payload_size(conn_.get());
  const std::span<std::uint8_t> packet = sink.reserve(room);
  ngtcp2_path_storage path;
  ngtcp2_path_storage_zero(&path);
  ngtcp2_pkt_info info{};
  std::array<ngtcp2_vec, kGatherMax> data;
  for (;;) {
    OutStream* const stream = next_stream();
    const std::size_t count = stream == nullptr ? 0 : stream->gather(data, room);
    ngtcp2_ssize taken = -1;
    const ngtcp2_ssize size =
        ngtcp2_conn_writev_stream(conn_.get(), &path.path, &info, packet.data(), packet.size(),
                                  &taken, NGTCP2_WRITE_STREAM_FLAG_MORE,
                                  stream == nullptr ? -1 : stream->id(), data.data(), count, ts);
    if (stream != nullptr && taken >= 0) on_written(*stream, static_cast<std::size_t>(taken));
    if (size == NGTCP2_ERR_WRITE_MORE) continue;
    if (stream != nullptr &&
        (size == NGTCP2_ERR_STREAM_DATA_BLOCKED || size == NGTCP2_ERR_STREAM_SHUT_WR ||
         size == NGTCP2_ERR_STREAM_NOT_FOUND)) {
      on_blocked(*stream);
      continue;
    }
    if (size < 0) {
      shim::CloseError error{};
      shim::close_error_library(error, static_cast<int>(size));
      end({CloseInfo::Reason::reset, ngtcp2_strerror(static_cast<int>(size))}, error);
      return Step::stop;
    }
    if (size == 0) return Step::stop;  // by congestion control, pacing, or nothing to say
    stats_.bytes_out += static_cast<std::uint64_t>(size);
    sink.commit(static_cast<std::size_t>(size), to_udp_path(path.path));
    return Step::again;
  }
}

OutStream* Connection::next_stream() {
  const bool has_control = control_.unsent() > 0 || !control_announced_;
  if (control_.is_open() && has_control && !control_.blocked) return &control_;
  if (!flush_due_ || phase_ != Phase::open) return nullptr;
  while (!ready_.empty()) {
    OutStream* const stream = ready_.front();
    if (stream->unsent() > 0 && !stream->blocked) return stream;
    stream->queued = false;
    ready_.pop_front();
  }
  return nullptr;
}

void Connection::on_written(OutStream& stream, std::size_t size) {
  stream.on_written(size);
  stats_.frame_bytes_out += size;
  if (&stream == &control_) {
    control_announced_ = true;
  } else {
    unsent_media_ -= size;
  }
}

void Connection::on_blocked(OutStream& stream) {
  stream.blocked = true;
  blocked_.push_back(&stream);
}

/// A packet may have brought credit, for one stream or for all: they try again.
void Connection::unblock() {
  for (OutStream* const stream : blocked_) {
    stream->blocked = false;
    if (stream == &control_ || stream->unsent() == 0 || stream->queued) continue;
    stream->queued = true;
    ready_.push_back(stream);
  }
  blocked_.clear();
}

void Connection::end_in_order() {
  shim::CloseError error{};
  shim::close_error_application(error, 0,
                                reinterpret_cast<const std::uint8_t*>(close_reason_.data()),
                                std::min(close_reason_.size(), kReasonMax));
  end({CloseInfo::Reason::local, close_reason_}, error);
}

void Connection::write_farewell(PacketSink& sink, std::uint64_t ts) {
  Bytes farewell;
  const std::span<std::uint8_t> packet = sink.reserve(NGTCP2_MAX_UDP_PAYLOAD_SIZE);
  ngtcp2_path_storage path;
  ngtcp2_path_storage_zero(&path);
  ngtcp2_pkt_info info{};
  const ngtcp2_ssize size = ngtcp2_conn_write_connection_close(
      conn_.get(), &path.path, &info, packet.data(), packet.size(), &close_error_, ts);
  if (size > 0) {  // else: nothing of ours ever reached the peer
    const auto bytes = std::as_bytes(packet.first(static_cast<std::size_t>(size)));
    farewell.assign(bytes.begin(), bytes.end());
    stats_.bytes_out += static_cast<std::uint64_t>(size);
    sink.commit(static_cast<std::size_t>(size), to_udp_path(path.path));
  }
  finish(close_info_, std::move(farewell));
}

}  // namespace tayga::transport::quic
