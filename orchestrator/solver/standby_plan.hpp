#pragma once

#include "common/base/ids.hpp"
#include "orchestrator/model/records.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tayga::orch {

/// A node as a standby for others: what it has left after every stream's plan.
struct StandbyNode {
  NodeId id;
  bool can_serve = false;            ///< may have more children: there, alive, not banned
  bool is_doubted = false;           ///< perhaps gone, or closed: stays a standby, becomes no other
  bool is_walled = false;            ///< may not get through to others that are
  std::uint64_t spare_bps = 0;       ///< uplink that no plan uses
  std::uint64_t load_bps = 0;        ///< what it stands by for already, in other streams
  std::uint32_t children_left = 0;   ///< sessions that it may still accept
  std::string network;               ///< equal: likely to fail together; empty = unknown
  std::span<const LinkState> links;  ///< of its telemetry, for round trips; borrowed
};

/// Parents, or standbys, per node; each list sorted.
using LinkPlan = std::map<NodeId, std::vector<UpstreamLink>>;

struct StandbyInput {
  std::vector<StandbyNode> nodes;  ///< sorted by id
  NodeId gateway;
  std::map<TrackId, std::uint64_t> rate_bps;     ///< of one stripe of each track
  std::vector<std::pair<NodeId, NodeId>> avoid;  ///< (child, parent) pairs not to choose
  /// Of present standbys that are not of the best kind.
  enum class Upgrade : std::uint8_t { now, later } upgrade = Upgrade::now;
};

/// Names one standby for each node in each tree of the plan in force, where there is one.
///
/// A standby is in the tree itself, and has room for what it stands by for of one parent's children
/// all at once: they lose it together. In this order:
///   1. a peer whose path to the gateway meets neither the node, nor its parent, nor the parent's
///      last kAncestorsAvoided ancestors (the gateway does not count: everything hangs on it);
///   2. the gateway, when it has uplink for it and is not the parent;
///   3. a peer whose path meets an ancestor further up than the parent;
///   4. the gateway all the same: silent it costs nothing.
/// A present standby of the first kind stays while it is valid, another one while there is none of
/// the first kind, or while it is valid when upgrades are for later. Among peers: one that all it
/// stands by for does not exceed, in another network than the parent, of few siblings, with a
/// session, near, with much room; ties by node id. Those for whom only the gateway can be it choose
/// first. Should any one node die and all its children turn to their standbys, there is no loop.
///
/// Pure and deterministic. Looks at a bounded sample of candidates per choice: about
/// O(links x log nodes). Source: ARCHITECTURE.md, "Routing".
LinkPlan plan_standbys(const StandbyInput& input, const LinkPlan& upstream,
                       const LinkPlan& present);

inline constexpr unsigned kAncestorsAvoided = 3;

}  // namespace tayga::orch
