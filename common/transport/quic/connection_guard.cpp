#include "common/transport/quic/connection.hpp"

#include <algorithm>

// What a connection's peer may make it do, and hold.

namespace tayga::transport::quic {
namespace {

using Kind = FloodGuard::Kind;

/// What the library may hold for one connection. What comes out of order is bounded by the window
/// of 1 MiB, in pieces of 8 KiB; what is sent and not acknowledged by kHeldMediaMax.
constexpr std::size_t kLibraryMemoryMax = 4 * 1024 * 1024;
/// Of frames that have not come whole, on all streams (DESIGN 13).
constexpr std::size_t kPartialFramesMax = 1024 * 1024;

/// A peer that is heard where it was is there, whatever comes from elsewhere.
constexpr Duration kPathSilence = 100ms;

std::uint64_t bytes_in_flight(ngtcp2_conn* conn) {
  shim::ConnInfo info{};
  shim::get_info(conn, info);
  return info.bytes_in_flight;
}

std::uint32_t beyond_first(std::uint32_t count) noexcept {
  return count > 0 ? count - 1 : 0;
}

}  // namespace

int Connection::refuse(const char* why) {
  if (!ending_) {
    shim::CloseError error{};
    shim::close_error_application(error, kRefused, nullptr, 0);
    end({CloseInfo::Reason::protocol, why}, error);
  }
  return NGTCP2_ERR_CALLBACK_FAILURE;
}

bool Connection::admit(Kind kind, std::uint32_t count) {
  if (guard_.admit(kind, now_, count)) return true;
  (void)refuse(to_string(kind));
  return false;
}

/// False: too much, the connection ends.
bool Connection::hold_partial(std::size_t before, std::size_t after) {
  partial_in_ += after - before;
  if (partial_in_ <= kPartialFramesMax) return true;
  (void)refuse("too many unfinished frames");
  return false;
}

/// Which path a packet is read as coming by; nullopt: it is not read.
///
/// Somebody who sees our packets can send copies of them from other addresses, and a peer can come
/// from a new one with every packet. ngtcp2 0.12.1 aborts the process when paths change while one
/// is being validated (it retires a connection id twice). So a new path is believed only when the
/// old one is silent, and then no other for kPathSettle; what comes from elsewhere while the peer
/// is heard is read as if it came from there, so nothing of it is lost.
std::optional<UdpPath> Connection::admit_path(const UdpPath& path) {
  const UdpPath current = current_path();
  UdpPath where = path;
  // A packet that another worker handed over does not know its local address.
  if (path.local.is_unspecified() && path.local.port() == current.local.port()) {
    where.local = current.local;
  }
  from_ = From::current;
  if (where == current) return where;
  from_ = From::elsewhere;
  // A dialer's local address is the kernel's business: it may change with the route.
  if (side_ == Side::dialer && where.remote == current.remote) return current;
  if (side_ == Side::dialer || !established_ || now_ < path_settled_at_) return std::nullopt;
  if (now_ - path_heard_at_ < kPathSilence) return current;
  from_ = From::new_path;
  return where;
}

/// The packet was authentic.
void Connection::note_path() {
  if (from_ == From::current) path_heard_at_ = now_;
  if (from_ == From::new_path) path_settled_at_ = now_ + kPathSettle;
}

/// Before a packet is read: so acknowledged_something() can tell.
void Connection::note_in_flight() {
  if (in_flight_at_ == stats_.bytes_out) return;
  in_flight_at_ = stats_.bytes_out;
  in_flight_ = bytes_in_flight(conn_.get());
}

/// Behind a loss the stream's acknowledged front does not move, but each new acknowledgement takes
/// a packet out of flight.
bool Connection::acknowledged_something() {
  if (packet_acknowledged_) return true;
  const std::uint64_t before = in_flight_;
  in_flight_ = bytes_in_flight(conn_.get());
  return in_flight_ < before;
}

/// A packet that brings no data and acknowledges nothing new is legal, and costs us as much as one
/// that does; so are the frames in it that only ask for something. Data counts as it comes, in
/// order or not: behind a loss much of it waits.
void Connection::count_packet(const FrameTally& frames) {
  if (frames.resets > 0) {  // a frame would lose its borders; the library does not tell of all
    (void)refuse("the peer reset or stopped a stream");
    return;
  }
  const std::uint32_t idle_frames =
      frames.others + beyond_first(frames.acks) + beyond_first(frames.small_data);
  if (!admit(Kind::idle_frame, idle_frames) || !admit(Kind::crypto_frame, frames.crypto) ||
      !admit(Kind::connection_id, frames.connection_ids) ||
      !admit(Kind::path_probe, frames.path_probes)) {
    return;
  }
  if (memory_.used() > kLibraryMemoryMax) {
    (void)refuse("too much held for the peer");
    return;
  }
  if (!established_ || frames.data_bytes >= FrameTally::kSmallData) return;
  if (acknowledged_something()) return;
  (void)admit(frames.data_bytes == 0 ? Kind::idle_packet : Kind::small_packet);
}

}  // namespace tayga::transport::quic
