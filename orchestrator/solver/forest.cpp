#include "orchestrator/solver/forest.hpp"

#include <algorithm>
#include <deque>
#include <map>

namespace tayga::orch {
namespace {

using Parents = std::vector<NodeIndex>;
using TreeKey = std::pair<TrackId, unsigned>;

std::map<TreeKey, Parents> current_parents(const NodeTable& table, const CurrentLinks& current) {
  std::map<TreeKey, Parents> trees;
  for (const auto& [child, links] : current.upstream) {
    const NodeIndex index = table.find(child);
    if (index == kNoNode) continue;
    for (const UpstreamLink& link : links) {
      Parents& parents = trees[{link.track, link.stripe.value()}];
      if (parents.empty()) parents.assign(table.size(), kNoNode);
      parents[index] = table.find(link.parent);
    }
  }
  return trees;
}

bool may_take(const NodeTable& table, NodeIndex parent, NodeIndex child, std::uint64_t rate_bps) {
  const NodeTable::Node& node = table[parent];
  return node.uplink_left_bps >= rate_bps && !table.is_avoided(child, parent) &&
         (node.children_left > 0 || node.children.contains(child));
}

PlacedTree make_tree(const TrackDemand& demand, unsigned stripe, std::size_t nodes) {
  PlacedTree tree{demand.track.id, stripe, demand.rate_bps, {}, {}};
  tree.parent.assign(nodes, kNoNode);
  tree.depth.assign(nodes, 0);
  return tree;
}

// ---- leaves ----

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

// ---- what stands ----

/// Viewers, and the relays above them. A relay without a viewer below is not worth keeping.
std::vector<bool> needed_nodes(const TrackDemand& demand, const ForestRules& rules,
                               const Parents& parents) {
  std::vector<bool> needed(parents.size(), false);
  for (const NodeIndex viewer : demand.viewers) {
    for (NodeIndex at = viewer; at != kNoNode && !needed[at]; at = parents[at]) {
      if (rules.is_gateway(at)) break;  // what a liar hangs it below does not matter
      needed[at] = true;
    }
  }
  return needed;
}

/// False when a link that is needed cannot stay.
bool keep_tree(PlacedTree& tree, NodeTable& table, const ForestRules& rules,
               const TrackDemand& demand, const Parents& parents) {
  const std::vector<bool> needed = needed_nodes(demand, rules, parents);
  std::vector<std::vector<NodeIndex>> children(table.size());
  for (NodeIndex child = 0; child < table.size(); ++child) {
    if (parents[child] == kNoNode || !needed[child] || rules.is_gateway(child)) continue;
    children[parents[child]].push_back(child);
  }
  std::deque<NodeIndex> todo{rules.gateways.begin(), rules.gateways.end()};
  while (!todo.empty()) {
    const NodeIndex parent = todo.front();
    todo.pop_front();
    for (const NodeIndex child : children[parent]) {
      const bool plays = std::binary_search(demand.viewers.begin(), demand.viewers.end(), child);
      if (!plays && !table[child].can_relay) return false;
      if (tree.depth[parent] >= rules.depth_max) return false;
      if (!may_take(table, parent, child, tree.rate_bps)) return false;
      table.take(parent, child, tree.rate_bps);
      tree.parent[child] = parent;
      tree.depth[child] = tree.depth[parent] + 1;
      todo.push_back(child);
    }
  }
  return true;
}

bool has_part_of(const Forest& forest, NodeIndex node, TrackId track) {
  return std::any_of(forest.trees.begin(), forest.trees.end(), [&](const PlacedTree& tree) {
    return tree.track == track && tree.parent[node] != kNoNode;
  });
}

}  // namespace

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

std::optional<Forest> standing_forest(const NodeTable& table, const ForestRules& rules,
                                      const std::vector<TrackDemand>& demands,
                                      const CurrentLinks& current) {
  Forest forest{table, {}, {}};
  const auto parents = current_parents(table, current);
  for (const TrackDemand& demand : demands) {
    std::vector<std::size_t> stripes(table.size(), 0);
    for (unsigned stripe = 0; stripe < rules.stripe_count; ++stripe) {
      PlacedTree tree = make_tree(demand, stripe, table.size());
      const auto known = parents.find({demand.track.id, stripe});
      if (known != parents.end() && !keep_tree(tree, forest.table, rules, demand, known->second)) {
        return std::nullopt;
      }
      for (const NodeIndex viewer : demand.viewers) {
        stripes[viewer] += tree.parent[viewer] != kNoNode ? 1U : 0U;
      }
      forest.trees.push_back(std::move(tree));
    }
    for (const NodeIndex viewer : demand.viewers) {
      if (stripes[viewer] < rules.stripe_count) {
        forest.unserved.emplace_back(viewer, demand.track.id);
      }
    }
  }
  admit_leaves(forest, rules);
  for (const auto& [viewer, track] : forest.unserved) {
    if (has_part_of(forest, viewer, track)) return std::nullopt;
  }
  return forest;
}

ForestScore score_forest(const Forest& forest, const ForestRules& rules,
                         const std::vector<TrackDemand>& demands, const CurrentLinks& current) {
  const auto before = current_parents(forest.table, current);
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
