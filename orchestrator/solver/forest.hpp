#pragma once

#include "orchestrator/solver/node_table.hpp"

#include <compare>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace tayga::orch {

struct TrackDemand {
  TrackRecord track;
  std::uint64_t rate_bps = 0;      ///< per stripe
  std::vector<NodeIndex> viewers;  ///< ascending
};

struct ForestRules {
  std::vector<NodeIndex> gateways;  ///< ascending
  unsigned stripe_count = 1;
  unsigned depth_max = 0;
  unsigned gateway_copies = 1;

  [[nodiscard]] bool is_gateway(NodeIndex node) const;
};

/// A finished (track, stripe) tree. Vectors are indexed by node.
struct PlacedTree {
  TrackId track;
  unsigned stripe = 0;
  std::uint64_t rate_bps = 0;
  std::vector<NodeIndex> parent;  ///< kNoNode: not in the tree
  std::vector<unsigned> depth;    ///< gateways 0
};

/// All trees of a stream, what they leave of every node, and who found no room.
struct Forest {
  NodeTable table;
  std::vector<PlacedTree> trees;
  std::vector<std::pair<NodeIndex, TrackId>> unserved;
};

using TreeKey = std::pair<TrackId, unsigned>;  ///< track and stripe
/// Parents by node, per tree; kNoNode: none, or one that is not in the table.
std::map<TreeKey, std::vector<NodeIndex>> current_parents(
    const NodeTable& table, const std::map<NodeId, std::vector<UpstreamLink>>& upstream);

/// Hangs the unserved as leaves wherever room is left over, each into all stripes or none. Being
/// served counts more here than the parents' home stripes.
void admit_leaves(Forest& forest, const ForestRules& rules);

/// Smaller is better. Solving again and again with the plan in force comes to rest, because another
/// plan must be strictly better by this to replace it.
struct ForestScore {
  std::size_t unserved = 0;
  std::size_t copies = 0;   ///< by gateways, above their share
  std::size_t heights = 0;  ///< summed over the trees
  std::size_t relays = 0;   ///< and the trees that each is in
  std::size_t depths = 0;   ///< summed over all nodes and trees
  std::size_t moves = 0;
  friend auto operator<=>(const ForestScore&, const ForestScore&) = default;
};
ForestScore score_forest(const Forest& forest, const ForestRules& rules,
                         const std::vector<TrackDemand>& demands, const CurrentLinks& current);

}  // namespace tayga::orch
