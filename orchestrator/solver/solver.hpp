#pragma once

#include "common/base/ids.hpp"
#include "orchestrator/model/records.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace tayga::orch {

/// One node as the solver sees it. All rates in bit/s.
struct NodeView {
  NodeId id;
  bool can_relay = false;          ///< may carry what it does not play
  std::uint64_t uplink_bps = 0;    ///< left for this stream; taken literally, 0 = none
  std::uint32_t children_max = 0;  ///< distinct children left for this stream; 0 = none
  bool is_doubted = false;         ///< perhaps gone, or closed: keeps its links, gets no others
  bool is_walled = false;          ///< may not get through to others that are: no new link
};

/// What one stream needs: a tree per (track, stripe).
struct StreamDemand {
  StreamId stream;
  unsigned stripe_count = 1;
  std::vector<NodeId> gateways;                    ///< roots: have every track
  std::vector<TrackRecord> tracks;                 ///< with measured bitrate
  std::map<NodeId, std::vector<TrackId>> viewers;  ///< who must get which tracks
};

/// Links that exist now: they stay where they can, see Effort. One that failed is not among them.
struct CurrentLinks {
  std::map<NodeId, std::vector<UpstreamLink>> upstream;
  std::vector<std::pair<NodeId, NodeId>> avoid;  ///< (child, parent) pairs for no new link
  /// Of `upstream`: what nodes changed by themselves since the last plan. It stays where there is
  /// room beside all the rest, but for a gateway's copy beyond `gateway_copies` that a peer can
  /// give.
  std::map<NodeId, std::vector<UpstreamLink>> promoted = {};
};

/// For what nodes are moved that could stay where they are. Never for round trips alone.
enum class Effort : std::uint8_t {
  rest,     ///< to serve who would be unserved
  serve,    ///< and to save gateways' extra copies, or more than a level of an average tree
  improve,  ///< and for shallower trees or fewer relays
};

struct SolverInput {
  std::vector<NodeView> nodes;
  StreamDemand demand;
  CurrentLinks current;
  /// Measured round trip in microseconds, both directions the same; a missing pair counts as
  /// kRttUnknownUs.
  std::map<std::pair<NodeId, NodeId>, std::uint32_t> rtt_us;
  /// Copies of each stripe that gateways give while peers still have room: 1 keeps the origin's
  /// bill smallest. More are given when peers run out of uplink: nobody stays unserved.
  unsigned gateway_copies = 1;
  unsigned depth_max = 8;
  Effort effort = Effort::improve;
  /// Links that are moved at most although they could stay, but to serve who would be unserved.
  std::optional<std::size_t> moves_max = {};  ///< nullopt: a twentieth of the links, four at least
};
inline constexpr std::uint32_t kRttUnknownUs = 100'000;

struct SolverPlan {
  std::map<NodeId, std::vector<UpstreamLink>> upstream;  ///< sorted; includes recruited relays
  std::vector<std::pair<NodeId, TrackId>> unserved;      ///< no capacity anywhere
  unsigned depth = 0;                                    ///< longest path in hops, gateway = 0
  bool is_on_the_way = false;                            ///< to a better one, which moves more
};

/// Bitrate that is planned with until the gateway measured one.
inline constexpr std::uint64_t kBitrateUnknownBps = 3'000'000;
/// Playlists are rewritten with every segment: less than this is not planned with.
inline constexpr std::uint64_t kPresentationBitrateFloorBps = 50'000;

/// What one copy of one stripe costs its sender in bit/s: the track's bitrate / K, and 5 % for
/// slice headers, framing and TLS. Never 0. Pre: stripe_count > 0.
std::uint64_t stripe_rate_bps(const TrackRecord& track, unsigned stripe_count);

/// Places every viewer, and the relays that they need, under a parent per (track, stripe): respects
/// every uplink and child limit, has no loops. With links in force it changes as few of them as
/// serve everybody, and goes a part of the way to a better plan at a time (`effort`, `moves_max`).
/// From nothing it minimises copies by gateways, then depth, then path RTT.
/// Pure and deterministic: same input, same plan; ties by node id. Cost about
/// O(tracks x stripes x nodes x log nodes). Source: ARCHITECTURE.md, "Routing".
SolverPlan solve(const SolverInput& input);

}  // namespace tayga::orch
