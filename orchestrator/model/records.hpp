#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/crypto/hash.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

/// The facts that the orchestrator keeps, as plain values. orchestrator/rpc maps them from
/// protobuf, orchestrator/store persists those that say so.
namespace tayga::orch {

enum class Role : std::uint8_t { gateway = 1, relay = 2, viewer = 4 };
using Roles = std::uint8_t;  ///< or of Role values
constexpr bool has_role(Roles roles, Role role) noexcept {
  return (roles & static_cast<Roles>(role)) != 0;
}

/// Numeric address and port where peers reach a node (the same on UDP and TCP).
struct Endpoint {
  std::string address;
  std::uint16_t port = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// What a node said of itself at its last hello. Persisted.
struct NodeRecord {
  NodeId id;
  std::string name;
  std::string software;
  Roles roles = 0;
  std::vector<Endpoint> endpoints;
  std::uint64_t declared_upload_bps = 0;
  std::uint32_t children_max = 0;
  std::int64_t first_seen_ms = 0;
  std::int64_t last_seen_ms = 0;
  std::string ban_reason;  ///< empty = welcome
  friend bool operator==(const NodeRecord&, const NodeRecord&) = default;
};

struct TrackRecord {
  TrackId id;
  std::string playlist_path;
  std::uint64_t bitrate_bps = 0;
  friend bool operator==(const TrackRecord&, const TrackRecord&) = default;
};

/// Below a second no repair ends in time; above ten, nobody would call it live.
inline constexpr Duration kPlayoutWindowMin = 1s;
inline constexpr Duration kPlayoutWindowMax = 10s;

/// A stream as the operator added it, and the key that its gateway claimed it with. Persisted.
struct StreamRecord {
  std::string name;  ///< [a-z0-9][a-z0-9._-]{0,62}
  unsigned stripe_count = 1;
  crypto::Sha256Digest ingest_key_hash{};
  std::string origin_url;
  std::optional<NodeId>
      gateway;  ///< only this node may publish it; nullopt = the first gateway to connect
  Duration playout_window = 2s;
  std::int64_t created_ms = 0;
  std::optional<StreamId> id;  ///< pinned by the first valid claim
  std::vector<TrackRecord> tracks;
  std::uint32_t publisher_epoch = 0;
  friend bool operator==(const StreamRecord&, const StreamRecord&) = default;
};

/// Newest telemetry of one peer session, as one end reports it.
struct LinkState {
  NodeId peer;
  std::uint32_t rtt_us = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t sent_bps = 0;  ///< over the last report interval; the registry derives it
  std::uint32_t queue_ms = 0;
  std::uint64_t dropped_bytes = 0;
  bool dialed = false;
};
struct StripeState {
  TrackId track;
  StripeIndex stripe;
  SliceSeq next_seq;
  std::uint32_t lateness_ms = 0;
  std::optional<NodeId> parent;
};
struct NodeStreamState {
  StreamId stream;
  std::vector<StripeState> stripes;
  std::uint64_t objects_complete = 0;
  std::uint64_t objects_late = 0;
  std::uint64_t objects_lost = 0;
  std::uint64_t played_bytes = 0;
  std::uint64_t origin_bytes = 0;   ///< rescued from the origin
  std::uint64_t gateway_bytes = 0;  ///< rescued from a gateway
  std::uint64_t repairs = 0;
};
struct Telemetry {
  std::uint64_t seq = 0;
  std::uint32_t cpu_permille = 0;
  std::uint64_t rss_bytes = 0;
  std::uint64_t egress_bps = 0;
  std::uint64_t ingress_bps = 0;
  std::vector<LinkState> links;
  std::vector<NodeStreamState> streams;
  std::map<StreamId, std::uint64_t> applied;  ///< revision per stream
  std::uint64_t suspicions = 0;               ///< overdue parents, since the node's start
  std::uint64_t false_suspicions = 0;         ///< of them: heard again in time
};

struct UpstreamLink {
  TrackId track;
  StripeIndex stripe;
  NodeId parent;
  friend auto operator<=>(const UpstreamLink&, const UpstreamLink&) = default;
};
struct DownstreamLink {
  TrackId track;
  StripeIndex stripe;
  NodeId child;
  friend auto operator<=>(const DownstreamLink&, const DownstreamLink&) = default;
};

/// Who helps when no peer has a slice in time, and how much of the audience at once.
struct RescueTarget {
  std::vector<NodeId> gateways;  ///< none at a gateway itself
  unsigned share_permille = 0;
  std::uint32_t audience = 0;  ///< rounded up
  friend bool operator==(const RescueTarget&, const RescueTarget&) = default;
};

/// Target state of one stream at one node, before allocations are signed.
struct NodeAssignment {
  NodeId node;
  StreamId stream;
  std::uint64_t revision = 0;
  bool carry = true;
  std::vector<UpstreamLink> upstream;
  std::vector<DownstreamLink> downstream;
  std::vector<UpstreamLink> standby;  ///< silent parents, one per stripe where there is one
  RescueTarget rescue;
};

enum class LinkFailureReason : std::uint8_t {
  connect_failed = 1,
  closed,
  reset,
  silent,
  refused,
  tampered,
  go_away,
};

}  // namespace tayga::orch
