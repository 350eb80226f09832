#pragma once

#include "common/base/ring_queue.hpp"
#include "common/transport/flood_guard.hpp"
#include "common/transport/quic/connection_id.hpp"
#include "common/transport/quic/crypto_backend.hpp"
#include "common/transport/quic/frame_tally.hpp"
#include "common/transport/quic/memory_meter.hpp"
#include "common/transport/quic/packet_sink.hpp"
#include "common/transport/quic/streams.hpp"
#include "common/transport/quic/udp_address.hpp"
#include "common/transport/session.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tayga::transport::quic {

struct ConnectionOptions {
  Duration handshake_timeout = 5s;
  Duration idle_max = kSessionIdleMax;
  Duration keep_alive = 5s;
  Duration stall_max = 10s;  ///< a peer that acknowledges nothing of what waits for it
  std::size_t flush_bytes = 16 * 1024;
  std::size_t udp_payload_max = 1452;
  bool use_cubic = false;                                      ///< instead of BBR, for comparison
  std::uint64_t key_update_packets = std::uint64_t{1} << 22U;  ///< AES-GCM allows 2^23
};

class Connection;

/// What a connection needs of its endpoint. Called from inside the connection's own calls.
class ConnectionOwner {
 public:
  /// A new id by which packets for this endpoint find their connection.
  virtual ConnectionId make_connection_id() = 0;
  virtual void add_id(const ConnectionId& id, Connection& connection) = 0;
  virtual void remove_id(const ConnectionId& id) = 0;
  virtual void make_reset_token(const ConnectionId& id, std::uint8_t* token) = 0;
  /// Call write() soon.
  virtual void wants_write(Connection& connection) = 0;
  /// How long media that came now may wait for more to share its write; 0: not at all.
  virtual Duration flush_delay() = 0;
  /// The peer is proven: the session exists from now on.
  virtual void on_established(Connection& connection) = 0;
  virtual void on_ticket(const NodeId& peer, Bytes ticket) = 0;
  /// Ended, for close_info()'s reason; the owner forgets it. `farewell` is the packet that told the
  /// peer, to be repeated if it goes on; empty when there is none.
  virtual void on_finished(Connection& connection, Bytes farewell) = 0;

 protected:
  ~ConnectionOwner() = default;
};

/// One QUIC connection and the session on it: packets in, packets out, no socket, no clock.
///
/// Control frames travel on the bidirectional stream that the dialer opens; media on one
/// unidirectional stream per flow. Media is taken from the handler when it can be written, so what
/// is late is skipped in its owner's queue. After every call ask next_timeout() again once write()
/// was called. It holds itself while one of its calls runs: the handler may drop the session from
/// inside any of its own calls.
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  struct Setup {
    const ConnectionOptions* options;
    ConnectionOwner* owner;
    std::shared_ptr<const Credentials> credentials;
    UdpPath path;
    TimePoint now;
  };
  struct Dial {
    NodeId expected;
    ByteView ticket;  ///< or empty
  };
  struct Accept {
    ngtcp2_pkt_hd header;
    std::optional<ngtcp2_cid> original_dcid;  ///< of before our retry, when the token says so
  };
  /// nullptr when a library is out of memory.
  static std::shared_ptr<Connection> dial(const Setup& setup, const Dial& dial);
  static std::shared_ptr<Connection> accept(const Setup& setup, const Accept& accept);
  explicit Connection(const Setup& setup, Side side);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The endpoint's side.
  void on_packet(const UdpPath& path, ByteView packet, TimePoint now);
  void on_timeout(TimePoint now);
  /// Writes what may be written now. True: there is more, after others had their turn.
  bool write(PacketSink& sink, TimePoint now);
  [[nodiscard]] TimePoint next_timeout() const noexcept { return timeout_; }
  /// Dialer: goes on from another local address. False: not now (handshake, another migration).
  bool migrate(const UdpAddress& local, TimePoint now);
  /// False for one that only waits for its handshake's end.
  [[nodiscard]] bool is_established() const noexcept { return established_; }
  [[nodiscard]] bool is_finished() const noexcept { return phase_ == Phase::finished; }
  [[nodiscard]] bool failed_by_wrong_peer() const;
  [[nodiscard]] const CloseInfo& close_info() const noexcept { return close_info_; }
  [[nodiscard]] const std::vector<ConnectionId>& ids() const noexcept { return ids_; }
  [[nodiscard]] const UdpPath& first_path() const noexcept { return first_path_; }
  /// Where its packets go now.
  [[nodiscard]] UdpPath current_path() const;
  [[nodiscard]] bool resumed() const { return handshaker_->resumed(); }

  // The session's side; see Session.
  void start(SessionHandler& handler);
  void send_control(SharedBytes frame);
  void notify_media();
  void close(std::string reason);
  void set_reading(Reading reading);
  /// The owner of the session is gone, or the dial was given up: closes at once, calls nobody.
  void abandon();
  [[nodiscard]] const NodeId& peer() const noexcept { return peer_; }
  [[nodiscard]] Side side() const noexcept { return side_; }
  [[nodiscard]] Endpoint remote_endpoint() const;
  [[nodiscard]] SessionStats stats() const;

  // For the endpoint's lists.
  std::size_t timer_place = SIZE_MAX;
  bool write_wanted = false;

 private:
  struct Callbacks;
  enum class Phase {
    handshaking,
    open,
    closing,   // our side ends in order: control first, then CONNECTION_CLOSE
    finished,  // the handler was told; nothing is called any more
  };
  enum class From { current, elsewhere, new_path };  // as admit_path() judged
  /// Application error codes of ours; 0 = in order.
  static constexpr std::uint64_t kRefused = 1;
  static constexpr std::uint64_t kAbandoned = 2;
  /// One change of path at a time: by then the library has validated it, or gone back.
  static constexpr Duration kPathSettle = 4s;
  struct Deleter {
    void operator()(ngtcp2_conn* conn) const noexcept { ngtcp2_conn_del(conn); }
  };

  bool init_tls(const Setup& setup, const HandshakeSetup& handshake);
  [[nodiscard]] std::uint64_t timestamp(TimePoint now);

  // Reading.
  int on_stream_data(std::int64_t stream, ByteView data, void* stream_data);
  int on_stream_opened(std::int64_t stream);
  int deliver(InStream& stream, ByteView data);
  void deliver_held();
  void consume(InStream& stream, std::size_t size);
  void on_read_error(int code);
  int on_handshake_completed();
  void establish();
  void on_authentic_packet(const FrameTally& frames);

  // Guarding; see connection_guard.cpp.
  [[nodiscard]] std::optional<UdpPath> admit_path(const UdpPath& path);
  void note_path();
  void note_in_flight();
  void count_packet(const FrameTally& frames);
  [[nodiscard]] bool acknowledged_something();
  [[nodiscard]] bool admit(FloodGuard::Kind kind, std::uint32_t count = 1);
  [[nodiscard]] bool hold_partial(std::size_t before, std::size_t after);

  // Writing.
  enum class Step { again, stop };
  void prepare_media();
  bool write_packets(PacketSink& sink, std::uint64_t ts);
  Step write_packet(PacketSink& sink, std::uint64_t ts);
  [[nodiscard]] bool paces();
  OutStream* next_stream();
  void pull_media();
  [[nodiscard]] bool flush_is_due() const;
  OutStream* stream_for(const FlowId& flow);
  void on_written(OutStream& stream, std::size_t size);
  void on_blocked(OutStream& stream);
  void unblock();
  void write_farewell(PacketSink& sink, std::uint64_t ts);
  void update_timeout();

  void want_write();
  int refuse(const char* why);
  void end_in_order();
  void end(CloseInfo info, const shim::CloseError& error);
  void finish(CloseInfo info, Bytes farewell = {});
  void tell_closed();

  const ConnectionOptions& options_;
  ConnectionOwner& owner_;
  const Side side_;
  UdpPath first_path_;
  std::unique_ptr<Handshaker> handshaker_;
  ngtcp2_crypto_conn_ref conn_ref_{};
  MemoryMeter memory_;
  std::unique_ptr<ngtcp2_conn, Deleter> conn_;
  std::vector<ConnectionId> ids_;
  std::optional<NodeId> expected_;
  NodeId peer_;

  SessionHandler* handler_ = nullptr;
  Phase phase_ = Phase::handshaking;
  bool established_ = false;
  bool confirmed_ = false;
  bool pacing_ = false;      // not during the handshake: ngtcp2 would assume a third of a second
  bool short_path_ = false;  // to a neighbour: see paces()
  TimePoint path_judged_at_{};
  bool ending_ = false;  // close_info_ is set, the farewell is to be written
  shim::CloseError close_error_{};
  CloseInfo close_info_;
  std::string close_reason_;
  std::optional<TimePoint> close_deadline_;

  TimePoint now_{};  // of the call that runs
  std::uint64_t last_ts_ = 0;
  TimePoint last_heard_;
  bool waits_for_peer_ = false;  // something is unsent or unacknowledged
  TimePoint progress_at_{};      // when it acknowledged last, or when the wait began
  TimePoint timeout_ = TimePoint::max();
  FloodGuard guard_;
  From from_ = From::current;         // of the packet that is read
  TimePoint path_heard_at_{};         // something authentic came from where we send to
  TimePoint path_settled_at_{};       // until then no other path is looked at
  bool packet_acknowledged_ = false;  // stream data, in order
  std::uint64_t in_flight_ = 0;       // bytes, when last looked at ...
  std::uint64_t in_flight_at_ = 0;    // ... and how many we had sent then
  std::size_t partial_in_ = 0;        // bytes of frames that have not come whole
  std::uint64_t packets_since_update_ = 0;

  bool reading_ = true;
  InStream control_in_;
  std::vector<std::unique_ptr<InStream>> in_;
  bool holds_input_ = false;
  OutStream control_;
  bool control_announced_ = true;  // false: the peer does not know the stream that it answers on
  std::vector<std::unique_ptr<OutStream>> media_;
  RingQueue<OutStream*> ready_;  // media streams with unsent bytes, not blocked
  std::vector<OutStream*> blocked_;
  std::uint64_t frames_ = 0;
  std::size_t unsent_media_ = 0;
  std::size_t held_media_ = 0;  // unsent or not acknowledged
  bool handler_has_media_ = false;
  bool flush_due_ = false;
  std::optional<TimePoint> flush_at_;  // media waits until then for more
  SessionStats stats_;
};

}  // namespace tayga::transport::quic
