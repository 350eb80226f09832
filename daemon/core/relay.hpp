#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/media/receipts.hpp"
#include "common/media/slicer.hpp"
#include "common/wire/frame.hpp"
#include "daemon/core/assignment.hpp"
#include "daemon/core/now.hpp"
#include "daemon/core/object_store.hpp"
#include "daemon/core/peer_message.hpp"
#include "daemon/core/playout.hpp"
#include "daemon/core/receipts.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace tayga::relay {

struct RelayLimits {
  Duration cache_age = 30s;                     ///< of slices, per track
  std::size_t cache_bytes = 256 * 1024 * 1024;  ///< all tracks together
  std::size_t child_queue_bytes = 4 * 1024 * 1024;
  Duration child_queue_age = 2s;
  std::size_t children_max = 256;  ///< peers with a subscription
  std::size_t streams_max = 64;
  std::size_t tracks_per_stream_max = 16;
  Duration head_interval = 25ms;        ///< a beat at least this often to every active child
  Duration standby_interval = 200ms;    ///< the same to a child that only stands by
  Duration suspicion_min = 60ms;        ///< of a parent's silence; more where clocks are slow
  Duration parent_silence_max = 2s;     ///< no chunk and no head: the session is closed
  Duration pending_subscribe_max = 2s;  ///< a child may know its assignment before us
};

/// Why a parent no longer counts.
enum class LossReason : std::uint8_t {
  connect_failed,
  closed,
  reset,
  silent,
  refused,
  tampered,
  go_away,
};

struct MediaFrame {
  wire::StreamTag stream_tag;
  TrackId track;
  SharedBytes frame;
};

/// What one link or stripe looks like now, for telemetry and `taygactl`.
struct StripeStatus {
  StreamId stream;
  TrackId track;
  StripeIndex stripe;
  std::optional<NodeId> parent;   ///< nullopt at the publisher or while orphaned
  bool subscribed = false;        ///< the parent confirmed
  std::optional<NodeId> standby;  ///< the first in line
  bool standby_ready = false;     ///< it confirmed and is heard
  bool suspected = false;         ///< the parent's beat is overdue
  unsigned hops = 0;              ///< to the gateway, as the parent says
  SliceSeq next_seq;
  Duration lateness{0};  ///< newest slice: arrival minus publisher time
};
struct LastRepair {
  NodeId lost;
  NodeId parent;  ///< who took over
  LossReason reason = LossReason::closed;
  Duration gap{0};
  TimePoint at{};
};
struct ChildStatus {
  NodeId child;
  std::size_t queued_bytes = 0;
  Duration queued_age{0};
  std::uint64_t sent_bytes = 0;  ///< media frames handed to the session
  std::uint64_t dropped_bytes = 0;
  unsigned stripes = 0;  ///< subscriptions, all streams
};
struct StreamStatus {
  StreamId stream;
  std::string name;
  bool publishing = false;
  std::vector<TrackId> playing;
  std::uint64_t objects_complete = 0;  ///< of played tracks
  std::uint64_t objects_late = 0;
  std::uint64_t objects_lost = 0;  ///< left the window incomplete
  std::uint64_t cached_bytes = 0;
  std::uint64_t revision = 0;
  Duration playout_window{0};
  std::uint64_t gateway_bytes = 0;  ///< rescued from a gateway by fetch
  std::uint64_t origin_bytes = 0;   ///< rescued from the origin
  std::uint64_t repairs = 0;
  std::optional<LastRepair> last_repair;
};
struct RelayCounters {
  std::uint64_t chunks_verified = 0;
  std::uint64_t chunks_bad = 0;
  std::uint64_t chunks_duplicate = 0;
  std::uint64_t chunks_unannounced = 0;  ///< no verified header for them: dropped
  std::uint64_t headers_verified = 0;
  std::uint64_t headers_bad = 0;
  std::uint64_t payload_bytes_in = 0;  ///< verified, new
  std::uint64_t media_bytes_out = 0;   ///< frames handed to sessions
  std::uint64_t dropped_bytes = 0;     ///< from children's queues
  std::uint64_t subscriptions_refused = 0;
  std::uint64_t suspicions = 0;
  std::uint64_t false_suspicions = 0;  ///< of them: the parent was heard before it was replaced
  std::uint64_t promotions = 0;
  std::uint64_t repairs = 0;
  std::uint64_t duplicate_bytes = 0;  ///< of chunks that were here already
  std::uint64_t fetched_slices = 0;   ///< asked of peers: holes, suspicions, hedges
  std::uint64_t hedged_slices = 0;    ///< of them, asked of a second source
  std::uint64_t gateway_bytes = 0;    ///< rescued from gateways by fetch
  std::uint64_t origin_bytes = 0;     ///< rescued from origins
  std::uint64_t origin_requests = 0;
  std::uint64_t rescues_refused = 0;  ///< by this gateway: its share was given
};

/// The relay: takes slices from parents or a local publisher, verifies each once, keeps a bounded
/// window of them, and forwards them to children at once, chunk by chunk.
///
/// Sans-IO: reads no clock, socket or random source. After every input call poll_action() until it
/// is empty; call on_timeout() at next_timeout(). Media for a child is pulled by next_media(): what
/// was not pulled can still be dropped, oldest object first. One owner, not thread-safe. Nothing
/// that did not verify is ever stored, forwarded or played.
class Relay {
 public:
  struct Connect {
    NodeId peer;
  };
  struct Disconnect {
    NodeId peer;
    std::string reason;
  };
  struct Send {
    NodeId peer;
    PeerMessage message;
  };
  struct MediaReady {
    NodeId peer;
  };  ///< next_media(peer) has something
  struct ParentLost {
    StreamId stream;
    TrackId track;
    StripeMask stripes = 0;
    NodeId parent;
    LossReason reason;
    std::uint64_t revision = 0;
    std::optional<NodeId> promoted;  ///< the standby that took over
  };
  /// A parent's beat is overdue; what it owes is fetched from the standby.
  struct Suspected {
    NodeId parent;
    Duration silence;
  };
  /// Stripes that lost their parent are whole again up to the new parent's head.
  struct Repaired {
    StreamId stream;
    TrackId track;
    StripeMask stripes = 0;
    NodeId lost;
    NodeId parent;
    LossReason reason;
    Duration gap;  ///< from the last beat of the lost parent
  };
  /// Ask the origin for a part of an object; the answer is on_origin_bytes() and, at its end or
  /// when there is none, on_origin_done().
  struct FetchOrigin {
    std::uint64_t request = 0;
    StreamId stream;
    std::string origin_url;  ///< the stream's playlist
    std::string path;        ///< the object's, relative to the playlist
    std::uint64_t offset = 0;
    std::uint64_t length = 0;  ///< 0 = to the end
  };
  /// `slice_header` and `chunk` are frame payloads: together they prove what the sender did, when
  /// the header's signature is good and the chunk does not match it.
  struct Tampered {
    NodeId sender;
    Bytes slice_header;
    Bytes chunk;
  };
  /// The stored objects of a track changed (bytes became readable, an object completed or left).
  struct Progress {
    StreamId stream;
    TrackId track;
  };
  using Action = std::variant<Connect, Disconnect, Send, MediaReady, ParentLost, Suspected,
                              Repaired, FetchOrigin, Tampered, Progress>;

  /// `identity` signs receipts and must outlive the relay.
  Relay(const crypto::SigningKey& identity, const RelayLimits& limits,
        Duration receipt_submit_interval);
  ~Relay();

  // Trust, from the control session. Without an online key no child is admitted.
  void on_network(const NetworkId& network);
  void on_online_keys(std::vector<media::OnlineKey> keys);

  /// Whether there is a control session; at first there is taken to be one. While it is away the
  /// last assignment stands, and allocations that nobody can renew are honoured for kOutageGrace
  /// past their end, here and towards parents. Said again without a change: nothing.
  enum class Control : std::uint8_t { connected, away };
  void on_control(Control control, Now now);

  // Target state, from the control session. Make before break: a new parent is subscribed from the
  // sequence that is missing, the old one is unsubscribed when the new one confirmed or after 1 s.
  void on_assignment(const Assignment& assignment, Now now);
  /// Which tracks are assembled for local players (or, at a gateway, for its own players).
  void on_local_demand(const StreamId& stream, std::vector<TrackId> tracks, Now now);

  // The local publisher (gateway).
  void on_publish_started(const StreamDescriptor& stream, Now now);
  void on_published(media::SignedSlice slice, Now now);
  void on_publish_stopped(const StreamId& stream, Now now);

  // Peers. At most one session per peer: the shell closes the surplus one before it tells us.
  /// Again for a peer that is up: another session replaced its old one. What was asked there is
  /// asked again, and nothing is reported as lost.
  void on_peer_up(const NodeId& peer, Now now);
  void on_connect_failed(const NodeId& peer, Now now);
  void on_peer_down(const NodeId& peer, LossReason reason, Now now);
  void on_message(const NodeId& from, const PeerMessage& message, Now now);
  /// slice_header and chunk frames. A peer that sends what it may not is disconnected.
  void on_media(const NodeId& from, wire::FrameType type, ByteView payload, Now now);

  // The origin. `offset` is that of `bytes` in the object; they may come in several pieces.
  void on_origin_bytes(std::uint64_t request, std::uint64_t offset, ByteView bytes, Now now);
  /// `size` = of the whole object when the origin said so. `ok` = all that was asked for came.
  struct OriginDone {
    bool ok = false;
    std::optional<std::uint64_t> size;
  };
  void on_origin_done(std::uint64_t request, const OriginDone& done, Now now);

  /// Whether children may be given anything. Closed: children are told to go within `grace`, those
  /// that feed us are refused, new ones too, until it is open again.
  enum class Serving : std::uint8_t { open, closed };
  void on_serving(Serving serving, Duration grace, Now now);
  /// Planned end: sends go_away with `grace` to everybody, final receipts, refuses new children.
  void on_shutdown(GoAwayReason reason, Duration grace, Now now);
  void on_timeout(Now now);

  [[nodiscard]] std::optional<Action> poll_action();
  [[nodiscard]] std::optional<MediaFrame> next_media(const NodeId& child, Now now);
  [[nodiscard]] std::optional<TimePoint> next_timeout() const;

  /// Objects of a track that is published or played here; nullptr otherwise. Valid until the next
  /// input.
  [[nodiscard]] const ObjectStore* objects(const StreamId& stream, TrackId track) const;
  /// In which order they are released to players; nullptr like objects().
  [[nodiscard]] const Playout* playout(const StreamId& stream, TrackId track) const;
  [[nodiscard]] ReceiptBook& receipt_book();

  [[nodiscard]] std::vector<StripeStatus> stripes() const;
  [[nodiscard]] std::vector<ChildStatus> children(TimePoint now) const;
  [[nodiscard]] std::vector<StreamStatus> streams() const;
  [[nodiscard]] const RelayCounters& counters() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tayga::relay
