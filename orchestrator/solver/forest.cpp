#include "orchestrator/solver/forest.hpp"

#include <algorithm>

namespace tayga::orch {
namespace {

bool may_take(const NodeTable& table, NodeIndex parent, NodeIndex child, std::uint64_t rate_bps) {
  const NodeTable::Node& node = table[parent];
  return node.uplink_left_bps >= rate_bps && !table.is_avoided(child, parent) &&
         (node.children_left > 0 || node.children.contains(child));
}

NodeIndex leaf_parent(const PlacedTree& tree, const NodeTable& table, const ForestRules& rules,
                      NodeIndex viewer) {
  NodeIndex best = kNoNode;
  for (NodeIndex node = 0; node < table.size(); ++node) {
    if (node == viewer || tree.depth[node] >= rules.depth_max) continue;
    if (!rules.is_gateway(node) && tree.parent[node] == kNoNode) continue;
    if (!may_take(table, node, viewer, tree.rate_bps)) continue;
    // Below a peer rather than at a gateway, then as high as possible.
    const auto rank = [&](NodeIndex n) { return std::pair{rules.is_gateway(n), tree.depth[n]}; };
    if (best == kNoNode || rank(node) < rank(best)) best = node;
  }
  return best;
}

bool admit_leaf(Forest& forest, const ForestRules& rules, NodeIndex viewer, TrackId track) {
  std::vector<std::pair<PlacedTree*, NodeIndex>> places;
  NodeTable table = forest.table;
  for (PlacedTree& tree : forest.trees) {
    // As a relay for others it may have the stripe already.
    if (tree.track != track || tree.parent[viewer] != kNoNode) continue;
    const NodeIndex parent = leaf_parent(tree, table, rules, viewer);
    if (parent == kNoNode) return false;
    table.take(parent, viewer, tree.rate_bps);
    places.emplace_back(&tree, parent);
  }
  for (const auto& [tree, parent] : places) {
    tree->parent[viewer] = parent;
    tree->depth[viewer] = tree->depth[parent] + 1;
  }
  forest.table = std::move(table);
  return true;
}

}  // namespace

std::map<TreeKey, std::vector<NodeIndex>> current_parents(
    const NodeTable& table, const std::map<NodeId, std::vector<UpstreamLink>>& upstream) {
  std::map<TreeKey, std::vector<NodeIndex>> trees;
  for (const auto& [child, links] : upstream) {
    const NodeIndex index = table.find(child);
    if (index == kNoNode) continue;
    for (const UpstreamLink& link : links) {
      auto& parents = trees[{link.track, link.stripe.value()}];
      if (parents.empty()) parents.assign(table.size(), kNoNode);
      parents[index] = table.find(link.parent);
    }
  }
  return trees;
}

bool ForestRules::is_gateway(NodeIndex node) const {
  return std::binary_search(gateways.begin(), gateways.end(), node);
}

void admit_leaves(Forest& forest, const ForestRules& rules) {
  // Who is admitted may carry the next one: again until nothing changes.
  for (std::size_t before = forest.unserved.size() + 1; forest.unserved.size() < before;) {
    before = forest.unserved.size();
    std::erase_if(forest.unserved, [&](const auto& refused) {
      return admit_leaf(forest, rules, refused.first, refused.second);
    });
  }
}

ForestScore score_forest(const Forest& forest, const ForestRules& rules,
                         const std::vector<TrackDemand>& demands, const CurrentLinks& current) {
  const auto before = current_parents(forest.table, current.upstream);
  ForestScore score;
  score.unserved = forest.unserved.size();
  for (const PlacedTree& tree : forest.trees) {
    const auto demand = std::find_if(demands.begin(), demands.end(), [&](const TrackDemand& d) {
      return d.track.id == tree.track;
    });
    const auto known = before.find({tree.track, tree.stripe});
    std::size_t copies = 0;
    std::size_t height = 0;
    for (NodeIndex node = 0; node < tree.parent.size(); ++node) {
      const NodeIndex parent = tree.parent[node];
      const NodeIndex was = known == before.end() ? kNoNode : known->second[node];
      // Losing one's place, to whom it may be, is a move as well.
      score.moves += was != kNoNode && was != parent ? 1U : 0U;
      if (parent == kNoNode) continue;
      copies += rules.is_gateway(parent) ? 1U : 0U;
      height = std::max<std::size_t>(height, tree.depth[node]);
      score.depths += tree.depth[node];
      const bool plays = std::binary_search(demand->viewers.begin(), demand->viewers.end(), node);
      score.relays += plays ? 0U : 1U;
    }
    score.copies += copies - std::min<std::size_t>(copies, rules.gateway_copies);
    score.heights += height;
  }
  return score;
}

}  // namespace tayga::orch
