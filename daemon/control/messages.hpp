#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/crypto/hash.hpp"
#include "common/transport/session.hpp"
#include "daemon/core/assignment.hpp"
#include "daemon/core/receipts.hpp"
#include "daemon/core/relay.hpp"

#include <boost/asio/ip/address.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

/// What a node and the orchestrator say to each other, as plain values; control_mapping maps them
/// to and from proto/tayga/v1/control.proto.
namespace tayga::control {

// ---- node -> orchestrator ----

enum class Role : std::uint8_t { gateway, relay, viewer };

/// How a node introduces itself.
struct NodeProfile {
  std::string software;  ///< "taygad/0.1.0"
  std::vector<Role> roles;
  std::vector<transport::Endpoint>
      endpoints;                 ///< where peers reach it, best first; the first 8 count
  std::uint64_t upload_bps = 0;  ///< declared uplink for relaying; 0 = unknown
  std::uint32_t children_max = 0;
  std::string name;  ///< the owner's label, at most 64 bytes
  friend bool operator==(const NodeProfile&, const NodeProfile&) = default;
};

/// What a node carries when its session begins: it keeps its place in the trees.
struct HeldStream {
  StreamId stream;
  std::uint64_t revision = 0;
  std::vector<relay::Upstream> upstream;
  std::vector<TrackId> playing;
  friend bool operator==(const HeldStream&, const HeldStream&) = default;
};

struct Hello {
  NodeProfile profile;
  std::vector<HeldStream> held;
};
struct JoinStream {
  std::string name;
  std::vector<TrackId> tracks;  ///< the whole wanted set; empty = the presentation track only
  friend bool operator==(const JoinStream&, const JoinStream&) = default;
};
struct LeaveStream {
  std::string name;
  friend bool operator==(const LeaveStream&, const LeaveStream&) = default;
};
/// A gateway publishes a stream that it was offered.
struct PublishAnnouncement {
  std::string stream_name;
  StreamId stream;
  crypto::Signature claim{};  ///< the stream key's, over media::serialize_publish_claim
  PublisherEpoch epoch;
  std::vector<relay::TrackInfo> tracks;
  friend bool operator==(const PublishAnnouncement&, const PublishAnnouncement&) = default;
};

struct HostLoad {
  std::uint32_t cpu_permille = 0;  ///< of one core, this process
  std::uint64_t rss_bytes = 0;
  std::uint64_t egress_bps = 0;  ///< peer sessions, last interval
  std::uint64_t ingress_bps = 0;
};
struct LinkReport {
  NodeId peer;
  Duration rtt{0};  ///< 0 = not measured
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  Duration queue_age{0};
  std::uint64_t dropped_bytes = 0;
  bool dialed = false;
};
struct StripeReport {
  TrackId track;
  StripeIndex stripe;
  SliceSeq next_seq;
  Duration lateness{0};
  std::optional<NodeId> parent;  ///< nullopt at a gateway or while orphaned
};
struct StreamReport {
  StreamId stream;
  std::vector<StripeReport> stripes;
  std::uint64_t objects_complete = 0;
  std::uint64_t objects_late = 0;
  std::uint64_t objects_lost = 0;
  std::uint64_t played_bytes = 0;
  std::uint64_t origin_bytes = 0;
  std::uint64_t gateway_bytes = 0;
  std::uint64_t repairs = 0;
};
struct AppliedRevision {
  StreamId stream;
  std::uint64_t revision = 0;
};
/// One second of a node's life. Sequence and time are added when it is sent.
struct TelemetrySnapshot {
  HostLoad host;
  std::vector<LinkReport> links;
  std::vector<StreamReport> streams;
  std::vector<AppliedRevision> applied;
  std::uint64_t suspicions = 0;  ///< since the node's start, as relay::RelayCounters
  std::uint64_t false_suspicions = 0;
};
/// A TelemetrySnapshot as it goes out.
struct Telemetry {
  std::uint64_t seq = 0;
  WallTime sent_at{};
  TelemetrySnapshot snapshot;
};
struct Goodbye {
  std::string reason;
};

using Outgoing = std::variant<Hello, JoinStream, LeaveStream, PublishAnnouncement, Telemetry,
                              relay::ReceiptBook::Batch, relay::Relay::ParentLost,
                              relay::Relay::Tampered, Goodbye>;

// ---- orchestrator -> node ----

/// As it arrives; ControlClient hands on the verified form, SessionInfo.
struct WelcomeMessage {
  NetworkId network;
  WallTime time{};
  std::uint64_t incarnation = 0;
  Duration telemetry_interval{};
  Duration receipt_submit_interval{};
  std::vector<Bytes> online_keys;  ///< blobs, not verified
  std::optional<boost::asio::ip::address> observed_address;
};
struct PeerAddress {
  NodeId node;
  std::vector<transport::Endpoint> endpoints;  ///< best first
  friend bool operator==(const PeerAddress&, const PeerAddress&) = default;
};
struct AssignmentMessage {
  relay::Assignment assignment;
  std::vector<PeerAddress> peers;
};
struct PublishOffer {
  std::string stream_name;
  unsigned stripe_count = 1;
  std::optional<crypto::Sha256Digest> ingest_key_hash;  ///< nullopt = no push ingest
  std::string origin_url;                               ///< to pull; empty = none
  Duration window{};
  friend bool operator==(const PublishOffer&, const PublishOffer&) = default;
};
struct PublishWithdrawn {
  std::string stream_name;
};
struct ReceiptAnswers {
  std::uint64_t batch = 0;
  std::vector<relay::ReceiptBook::Answer> items;
};
enum class JoinRefusal : std::uint8_t { no_such_stream, not_live, no_capacity, not_allowed };
struct JoinRefused {
  std::string stream_name;
  JoinRefusal reason = JoinRefusal::no_such_stream;
  std::string message;
};
struct Drain {
  Duration grace{};
};
struct Ban {
  std::string reason;
};

using Incoming = std::variant<WelcomeMessage, AssignmentMessage, PublishOffer, PublishWithdrawn,
                              ReceiptAnswers, JoinRefused, Drain, Ban>;

}  // namespace tayga::control
