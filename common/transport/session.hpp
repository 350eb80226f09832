#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/wire/frame.hpp"

#include <boost/asio/ip/address.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace tayga::transport {

enum class Kind : std::uint8_t { quic, tcp };
enum class Side : std::uint8_t { dialer, acceptor };
enum class Reading : std::uint8_t { on, off };

/// Where a peer listens: the same port on UDP (QUIC) and TCP.
struct Endpoint {
  boost::asio::ip::address address;
  std::uint16_t port = 0;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};
std::string to_string(const Endpoint& endpoint);
/// "192.0.2.1:7410" or "[2001:db8::1]:7410"; names are not resolved here.
std::optional<Endpoint> parse_endpoint(std::string_view text);

/// Which QUIC stream a media frame travels on: one long-lived unidirectional stream per (stream
/// tag, track). TLS over TCP ignores it.
struct FlowId {
  wire::StreamTag stream_tag;
  TrackId track;
  friend auto operator<=>(const FlowId&, const FlowId&) = default;
};

struct OutboundMedia {
  FlowId flow;
  SharedBytes frame;  ///< frame header included; held until it is written
};

struct CloseInfo {
  enum class Reason : std::uint8_t {
    local,     ///< close() was called
    remote,    ///< the peer closed in order
    reset,     ///< the connection broke
    idle,      ///< nothing heard for kSessionIdleMax
    protocol,  ///< the peer broke the framing, or flooded us (FloodGuard)
    overflow,  ///< the peer did not take its control frames: kControlQueueMax reached
    stalled,   ///< the peer took nothing of what waits for it for kSessionStallMax
  };
  Reason reason = Reason::local;
  std::string detail;
};
const char* to_string(CloseInfo::Reason reason);

struct SessionStats {
  std::uint64_t bytes_in = 0;  ///< at the socket, with all framing and encryption
  std::uint64_t bytes_out = 0;
  std::uint64_t frame_bytes_out = 0;  ///< of the frames, headers included, that are in bytes_out
  std::uint64_t media_frames_out = 0;
  std::size_t queued_bytes = 0;  ///< accepted by the session, not yet by the kernel
  Duration smoothed_rtt{0};      ///< 0 = not measured yet
};

/// What a session tells its owner. All calls come on the session's executor, never from inside a
/// call to the session. After on_closed nothing more comes.
class SessionHandler {
 public:
  virtual ~SessionHandler() = default;
  /// One whole frame; `payload` is valid during the call only.
  virtual void on_frame(wire::FrameType type, ByteView payload) = 0;
  /// The transport has room: hand over the next media frame, or nullopt when there is none (then
  /// call notify_media() when there is one again). Pulling, not pushing, keeps what is not yet
  /// written in the owner's queue, where it can still be dropped as late.
  virtual std::optional<OutboundMedia> next_media() = 0;
  virtual void on_closed(const CloseInfo& info) = 0;
};

inline constexpr Duration kSessionIdleMax = 15s;  ///< kept alive by the owner's heads and pings
/// A peer that reads nothing for so long while something waits for it is closed: it holds our
/// memory and a child's place, and live media of that age is of no use to it.
inline constexpr Duration kSessionStallMax = 10s;
inline constexpr std::size_t kControlQueueMax = 1 << 20;  ///< bytes of unsent control frames

/// One authenticated, encrypted link to one peer that carries whole frames.
///
/// Control frames are reliable, in order, and go before media. Media frames are pulled from the
/// handler. The peer's node id is proven by the TLS handshake before a Session exists. Not
/// thread-safe: use it on its executor only. Destroying it closes the connection at once,
/// also from inside any of the handler's calls.
class Session {
 public:
  virtual ~Session() = default;

  /// Begins to deliver frames. The handler must outlive the session or its on_closed.
  virtual void start(SessionHandler& handler) = 0;
  /// Queues a whole frame (header included). Beyond kControlQueueMax the session closes (overflow).
  virtual void send_control(SharedBytes frame) = 0;
  /// Says that next_media() has something; cheap to repeat.
  virtual void notify_media() = 0;
  /// Sends what is queued as control, then closes in order; on_closed(local) follows. Bounded to 1
  /// s.
  virtual void close(std::string reason) = 0;
  /// Stops reading from the peer, or goes on: its flow control then holds the peer back. What was
  /// read already still comes. A hint: a session that cannot stop ignores it.
  virtual void set_reading(Reading) {}

  [[nodiscard]] virtual const NodeId& peer() const noexcept = 0;
  [[nodiscard]] virtual Kind kind() const noexcept = 0;
  [[nodiscard]] virtual Side side() const noexcept = 0;
  [[nodiscard]] virtual Endpoint remote_endpoint() const = 0;
  [[nodiscard]] virtual SessionStats stats() const = 0;
};

}  // namespace tayga::transport
