#pragma once

#include "common/crypto/ed25519.hpp"
#include "common/transport/quic/connection_table.hpp"
#include "tests/support/link_model.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

namespace tayga::test {

/// Keeps what its session tells it and gives the media it was given.
struct QuicRecorder final : transport::SessionHandler {
  using Frame = std::pair<wire::FrameType, Bytes>;

  std::vector<Frame> frames;
  std::deque<transport::OutboundMedia> media;
  std::size_t pulled = 0;
  std::optional<transport::CloseInfo> closed;
  std::function<void()> then_on_frame;
  std::function<void()> then_on_closed;
  std::function<void()> then_on_pull;

  void on_frame(wire::FrameType type, ByteView payload) override;
  std::optional<transport::OutboundMedia> next_media() override;
  void on_closed(const transport::CloseInfo& info) override;
};

class QuicNet;

/// One node of a QuicNet: a table of connections, with the network as its socket.
class QuicEndpoint final : private transport::quic::PacketSink,
                           private transport::quic::ConnectionTableEvents {
 public:
  using Connection = transport::quic::Connection;
  using ConnectionTable = transport::quic::ConnectionTable;
  using UdpAddress = transport::quic::UdpAddress;
  using UdpPath = transport::quic::UdpPath;

  /// What went to and came from one address, in bytes.
  struct Balance {
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    /// The most that was sent beyond three times what had come, at any moment; RFC 9000, 8.1,
    /// allows none to an address that is not validated.
    std::int64_t excess_max = INT64_MIN;
  };

  QuicEndpoint(QuicNet& net, const ConnectionTable::Options& options, const UdpAddress& address,
               crypto::SigningKey key, ByteView ticket_key);
  ~QuicEndpoint();
  QuicEndpoint(const QuicEndpoint&) = delete;
  QuicEndpoint& operator=(const QuicEndpoint&) = delete;

  [[nodiscard]] NodeId id() const { return key.node_id(); }
  std::shared_ptr<Connection> dial(const QuicEndpoint& to);
  std::shared_ptr<Connection> dial(const UdpAddress& to, const NodeId& expected);
  /// All state is lost, as when the process died; the secrets stay.
  void restart();
  Balance& balance(const UdpAddress& remote);

  QuicNet& net;
  const crypto::SigningKey key;
  const UdpAddress address;
  std::vector<std::shared_ptr<Connection>> accepted;
  std::vector<Connection*> ended_dials;
  std::vector<std::pair<unsigned, Bytes>> handed_over;
  bool kernel_full = false;
  std::unique_ptr<ConnectionTable> table;

 private:
  std::span<std::uint8_t> reserve(std::size_t size) override;
  void commit(std::size_t size, const UdpPath& path) override;
  [[nodiscard]] bool blocked() const noexcept override { return kernel_full; }

  void on_accepted(std::shared_ptr<Connection> connection) override;
  void on_dial_ended(Connection& connection) override;
  void wants_drain() override {}
  void hand_over(unsigned worker, ByteView packet, const UdpPath& path) override;

  const ConnectionTable::Options options_;
  const std::shared_ptr<const transport::quic::Credentials> credentials_;
  std::array<std::uint8_t, transport::quic::kUdpPayloadMax> buffer_{};
  std::map<std::string, Balance> balances_;
};

/// Endpoints in virtual time, joined by links that delay, lose, repeat, reorder and corrupt packets
/// as their shape says. The keys and ids inside of packets are random; the fate of the n-th packet
/// depends on the seed alone.
class QuicNet {
 public:
  using UdpAddress = transport::quic::UdpAddress;
  using UdpPath = transport::quic::UdpPath;

  struct Packet {
    TimePoint at;
    std::uint64_t order = 0;  // of those at the same time
    UdpAddress from;
    UdpAddress to;
    Bytes bytes;
  };

  explicit QuicNet(std::uint64_t seed = 1);
  ~QuicNet();
  QuicNet(const QuicNet&) = delete;
  QuicNet& operator=(const QuicNet&) = delete;

  QuicEndpoint& add(const transport::quic::ConnectionTable::Options& options = {});
  /// With another's key, or its ticket secrets.
  QuicEndpoint& add(const transport::quic::ConnectionTable::Options& options,
                    crypto::SigningKey key, ByteView ticket_key);

  [[nodiscard]] TimePoint now() const noexcept { return now_; }
  void set_shape(const LinkShape& shape) { model_.set_shape(shape); }
  [[nodiscard]] const LinkShape& shape() const noexcept { return model_.shape(); }
  /// Sees each packet as it is sent; false: it is lost.
  std::function<bool(const Packet&)> filter;

  void run_for(Duration time);
  /// False: not within `limit`.
  bool run_until(const std::function<bool()>& done, Duration limit = 30s);
  /// Everybody writes what they can; no time passes.
  void settle();

  /// What `endpoint` sends from `local` is seen to come from `seen`, and what others send to the
  /// address seen before is lost: a NAT forgot its binding.
  void translate(const UdpAddress& local, const UdpAddress& seen);
  /// One more address of `endpoint`.
  void attach(QuicEndpoint& endpoint, const UdpAddress& address);
  /// A packet that nobody sent arrives now.
  void inject(QuicEndpoint& to, const UdpAddress& from, ByteView packet);
  /// The same, after the link's delay; also from inside the filter.
  void inject_later(const QuicEndpoint& to, const UdpAddress& from, ByteView packet);

  /// 192.0.2.`host`:`port`.
  static UdpAddress make_address(unsigned host, std::uint16_t port = 7410);

 private:
  friend class QuicEndpoint;
  struct Later {
    bool operator()(const Packet& a, const Packet& b) const {
      return std::pair{a.at, a.order} > std::pair{b.at, b.order};
    }
  };

  void send(const UdpPath& path, ByteView packet);
  void deliver(const Packet& packet);
  /// Goes on to the next event, not beyond `end`.
  void step(TimePoint end);

  TimePoint now_;
  LinkModel model_;
  std::uint64_t next_order_ = 0;
  std::priority_queue<Packet, std::vector<Packet>, Later> held_;
  std::vector<std::unique_ptr<QuicEndpoint>> endpoints_;
  std::vector<std::pair<UdpAddress, QuicEndpoint*>> places_;
  std::vector<std::pair<UdpAddress, UdpAddress>> translations_;  // local, seen
};

/// Two endpoints with one session between them.
struct QuicPair {
  explicit QuicPair(const transport::quic::ConnectionTable::Options& options = {},
                    const LinkShape& shape = {}, std::uint64_t seed = 1);
  /// Dials, runs until both ends have the session; what it returns is whether that came true.
  bool connect(Duration limit = 10s);
  void start();

  QuicNet net;
  QuicEndpoint& client;
  QuicEndpoint& server;
  QuicRecorder near_events;
  QuicRecorder far_events;
  std::shared_ptr<transport::quic::Connection> near;  // the dialer's
  std::shared_ptr<transport::quic::Connection> far;
};

/// A media frame whose first bytes are its number, on flow `flow`.
transport::OutboundMedia numbered_media(std::uint32_t number, std::size_t payload_size = 4096,
                                        std::uint32_t flow = 0);
SharedBytes numbered_control(std::uint32_t number);
/// The numbers of the frames of `type`, in the order in which they came.
std::vector<std::uint32_t> numbers_of(const QuicRecorder& events, wire::FrameType type);

}  // namespace tayga::test
