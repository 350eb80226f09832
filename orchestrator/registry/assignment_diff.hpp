#pragma once

#include "orchestrator/model/records.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace tayga::orch {

/// What one node is to do for one stream.
struct NodeTarget {
  std::vector<UpstreamLink> upstream;
  std::vector<DownstreamLink> downstream;
  std::vector<UpstreamLink> standby = {};  ///< its standbys
  RescueTarget rescue = {};
  friend bool operator==(const NodeTarget&, const NodeTarget&) = default;
};

/// A plan seen from every node in it: its parents and its children, sorted; standbys and rescue are
/// left empty. `gateway` is in it even
/// without children: it goes on publishing.
std::map<NodeId, NodeTarget> to_targets(const std::map<NodeId, std::vector<UpstreamLink>>& upstream,
                                        const std::optional<NodeId>& gateway);

/// The nodes whose target differs from what they were told, or that must be told again (`stale`),
/// in the order in which to tell them: a parent before its children (by the least depth at which a
/// node has children; in several trees at once two nodes can be each other's parent, then either is
/// first), leaves after, and those that drop out last.
std::vector<NodeId> changed_nodes(const std::map<NodeId, NodeTarget>& told,
                                  const std::map<NodeId, NodeTarget>& targets,
                                  const std::set<NodeId>& stale, const NodeId& gateway);

/// Longest path in hops over all trees of a plan, the gateway being 0.
unsigned plan_depth(const std::map<NodeId, std::vector<UpstreamLink>>& upstream);

}  // namespace tayga::orch
