#pragma once

#include "common/base/ring_queue.hpp"
#include "common/transport/half_open_limit.hpp"
#include "common/transport/prefix_rate.hpp"
#include "common/transport/quic/connection.hpp"
#include "common/transport/quic/packet_sink.hpp"
#include "common/transport/quic/retry_guard.hpp"
#include "common/transport/quic/ticket_cache.hpp"
#include "common/transport/quic/timer_heap.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>

namespace tayga::transport::quic {

/// What the table cannot do itself. Called from inside the table's own calls.
class ConnectionTableEvents {
 public:
  /// Somebody dialed us and proved its key.
  virtual void on_accepted(std::shared_ptr<Connection> connection) = 0;
  /// A connection of ours came up, or failed before (is_finished()).
  virtual void on_dial_ended(Connection& connection) = 0;
  /// Call drain() soon.
  virtual void wants_drain() = 0;
  /// The packet belongs to another worker.
  virtual void hand_over(unsigned worker, ByteView packet, const UdpPath& path) = 0;

 protected:
  ~ConnectionTableEvents() = default;
};

struct TableCounters {
  std::uint64_t packets_in = 0;
  std::uint64_t strangers = 0;  ///< packets that belong to no connection
  std::uint64_t retries_sent = 0;
  std::uint64_t tokens_refused = 0;  ///< forged, expired or used twice
  std::uint64_t handshakes_refused = 0;
  std::uint64_t resets_sent = 0;
  std::uint64_t handed_over = 0;
};

/// All connections of one endpoint: finds a packet's connection, judges strangers, and gives each
/// its turn to write. No socket, no clock, not thread-safe.
///
/// A stranger gets no state beyond the half-open limits, and never more bytes than it sent: above
/// retry_above half-open handshakes it must prove its address first, and those answers have a rate
/// of their own. After any call ask next_timeout() again.
class ConnectionTable final : private ConnectionOwner {
 public:
  struct Options {
    ConnectionOptions connection;
    std::size_t sessions_max = 256;
    std::size_t half_open_max = 256;
    std::size_t half_open_per_prefix_max = 32;
    std::uint32_t handshakes_per_prefix = 64;  ///< per second; sessions_max may come at once
    std::size_t retry_above = 32;
    unsigned worker = 0;
    unsigned worker_count = 1;
    std::array<std::byte, 32> token_key{};
    std::array<std::byte, 32> reset_key{};
  };

  ConnectionTable(const Options& options, std::shared_ptr<const Credentials> credentials,
                  PacketSink& sink, ConnectionTableEvents& events);
  ~ConnectionTable();
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  void on_packet(const UdpPath& path, ByteView packet, TimePoint now);
  void on_timeout(TimePoint now);
  [[nodiscard]] TimePoint next_timeout() const noexcept;
  /// Lets a few connections write. True: others wait; call again after other work had its turn.
  bool drain(TimePoint now);
  /// Media waits for `delay`, or for up to `spread` less. Pre: 0 <= spread <= delay.
  void set_flush_delay(Duration delay, Duration spread) noexcept {
    flush_delay_ = delay;
    flush_spread_ = spread;
  }

  /// nullptr when out of memory. on_dial_ended() follows, unless it is abandoned first.
  std::shared_ptr<Connection> dial(const UdpPath& path, const NodeId& expected, TimePoint now);
  void set_accepting(bool accepting) noexcept { accepting_ = accepting; }
  /// Dialed connections go on from `local`; see Connection::migrate. Returns how many.
  std::size_t migrate_dialed(const UdpAddress& local, TimePoint now);
  /// Ends all; the last words are in the sink.
  void close_all(TimePoint now);

  [[nodiscard]] std::size_t session_count() const noexcept { return session_count_; }
  [[nodiscard]] std::size_t half_open() const noexcept { return half_open_.size(); }
  [[nodiscard]] std::size_t size() const noexcept { return connections_.size(); }
  [[nodiscard]] const TableCounters& counters() const noexcept { return counters_; }

 private:
  /// The last packet of a connection that ended, repeated while its peer goes on.
  struct Farewell {
    Bytes packet;
    UdpPath path;
    TimePoint until;
    std::vector<ConnectionId> ids;
    unsigned heard = 0;           ///< packets
    std::size_t bytes_heard = 0;  ///< since it was repeated last
  };
  /// Answers to strangers per second.
  struct AnswerBudget {
    [[nodiscard]] bool take(TimePoint now) noexcept;
    TimePoint second{};
    unsigned used = 0;
  };

  ConnectionId make_connection_id() override;
  void add_id(const ConnectionId& id, Connection& connection) override;
  void remove_id(const ConnectionId& id) override;
  void make_reset_token(const ConnectionId& id, std::uint8_t* token) override;
  void wants_write(Connection& connection) override;
  Duration flush_delay() override;
  void on_established(Connection& connection) override;
  void on_ticket(const NodeId& peer, Bytes ticket) override;
  void on_finished(Connection& connection, Bytes farewell) override;

  void add(const std::shared_ptr<Connection>& connection);
  void on_unknown_short(const ngtcp2_version_cid& ids, const UdpPath& path, ByteView packet,
                        TimePoint now);
  void on_unknown_long(const ngtcp2_version_cid& ids, const UdpPath& path, ByteView packet,
                       TimePoint now);
  void on_initial(const ngtcp2_pkt_hd& header, const UdpPath& path, ByteView packet, TimePoint now);
  void accept(const ngtcp2_pkt_hd& header, const std::optional<ngtcp2_cid>& original,
              const UdpPath& path, ByteView packet, TimePoint now);
  [[nodiscard]] bool belongs_elsewhere(const std::uint8_t* id, std::size_t size) const noexcept;
  bool repeat_farewell(const ConnectionId& id, std::size_t received);
  void forget_farewells(TimePoint now);
  void forget_oldest_farewell();
  void answer_version(const ngtcp2_version_cid& ids, const UdpPath& path, std::size_t received,
                      TimePoint now);
  void answer_retry(const ngtcp2_pkt_hd& header, const UdpPath& path, TimePoint now);
  void answer_close(const ngtcp2_pkt_hd& header, std::uint64_t error, const UdpPath& path,
                    TimePoint now);
  void answer_reset(const ngtcp2_version_cid& ids, const UdpPath& path, std::size_t received,
                    TimePoint now);

  const Options options_;
  const std::shared_ptr<const Credentials> credentials_;
  PacketSink& sink_;
  ConnectionTableEvents& events_;
  HalfOpenLimit half_open_;
  PrefixRate rate_;
  RetryGuard retry_;
  TicketCache tickets_;
  bool accepting_ = false;
  TimePoint now_{};

  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
  std::unordered_map<ConnectionId, Connection*, ConnectionIdHash> ids_;
  ConnectionId last_id_;  // of the last packet, and whose it was
  Connection* last_found_ = nullptr;
  std::unordered_map<std::string, Connection*> by_remote_;  // where a stateless reset comes from
  std::size_t session_count_ = 0;
  TimerHeap<Connection> timers_;
  RingQueue<std::shared_ptr<Connection>> writes_;
  Duration flush_delay_{0};
  Duration flush_spread_{0};
  std::uint64_t phase_ = 1;  // spreads writes in time, nothing secret
  AnswerBudget answers_;
  std::unordered_map<ConnectionId, std::shared_ptr<Farewell>, ConnectionIdHash> farewells_;
  std::deque<std::shared_ptr<Farewell>> farewell_order_;
  TableCounters counters_;
};

}  // namespace tayga::transport::quic
