#include "orchestrator/solver/forest_editor.hpp"

#include "common/base/check.hpp"

#include <algorithm>
#include <utility>

namespace tayga::orch {

ForestEditor::ForestEditor(NodeTable table, const ForestRules& rules,
                           const std::vector<TrackDemand>& demands)
    : table_{std::move(table)}, rules_{rules} {
  make_trees(demands);
}

ForestEditor::ForestEditor(const Forest& forest, const ForestRules& rules,
                           const std::vector<TrackDemand>& demands)
    : table_{forest.table}, rules_{rules} {
  make_trees(demands);
  TAYGA_CHECK(trees_.size() == forest.trees.size());
  for (std::size_t i = 0; i < trees_.size(); ++i) {
    EditedTree& tree = trees_[i];
    const PlacedTree& placed = forest.trees[i];
    TAYGA_CHECK(placed.track == tree.placed.track && placed.stripe == tree.placed.stripe);
    tree.placed = placed;
    for (NodeIndex node = 0; node < table_.size(); ++node) {
      if (placed.parent[node] == kNoNode) continue;
      tree.children[placed.parent[node]].push_back(node);
      tree.attached[node] = true;
    }
  }
}

void ForestEditor::make_trees(const std::vector<TrackDemand>& demands) {
  const std::size_t nodes = table_.size();
  for (const TrackDemand& demand : demands) {
    for (unsigned stripe = 0; stripe < rules_.stripe_count; ++stripe) {
      EditedTree& tree = trees_.emplace_back();
      tree.placed = PlacedTree{demand.track.id, stripe, demand.rate_bps, {}, {}};
      tree.placed.parent.assign(nodes, kNoNode);
      tree.placed.depth.assign(nodes, 0);
      tree.demand = &demand;
      tree.children.resize(nodes);
      tree.attached.assign(nodes, false);
      for (const NodeIndex gateway : rules_.gateways) tree.attached[gateway] = true;
    }
  }
}

bool ForestEditor::plays(const EditedTree& tree, NodeIndex node) {
  const auto& viewers = tree.demand->viewers;
  return std::binary_search(viewers.begin(), viewers.end(), node);
}

bool ForestEditor::has_capacity(const EditedTree& tree, NodeIndex parent, NodeIndex child) const {
  const NodeTable::Node& node = table_[parent];
  return node.uplink_left_bps >= tree.placed.rate_bps &&
         (node.children_left > 0 || node.children.contains(child));
}

bool ForestEditor::has_room(const EditedTree& tree, NodeIndex parent, NodeIndex child) const {
  return has_capacity(tree, parent, child) && !table_.is_avoided(child, parent);
}

unsigned ForestEditor::height(const EditedTree& tree, NodeIndex root) {
  unsigned height = 0;
  std::vector<std::pair<NodeIndex, unsigned>> todo{{root, 0}};
  while (!todo.empty()) {
    const auto [node, depth] = todo.back();
    todo.pop_back();
    height = std::max(height, depth);
    for (const NodeIndex child : tree.children[node]) todo.emplace_back(child, depth + 1);
  }
  return height;
}

bool ForestEditor::is_below(const EditedTree& tree, NodeIndex node, NodeIndex top) {
  for (; node != kNoNode; node = tree.placed.parent[node]) {
    if (node == top) return true;
  }
  return false;
}

std::size_t ForestEditor::copies(const EditedTree& tree) const {
  std::size_t copies = 0;
  for (const NodeIndex gateway : rules_.gateways) copies += tree.children[gateway].size();
  return copies;
}

std::size_t ForestEditor::children_in_track(NodeIndex node, TrackId track) const {
  std::size_t children = 0;
  for (const EditedTree& tree : trees_) {
    if (tree.placed.track == track) children += tree.children[node].size();
  }
  return children;
}

void ForestEditor::attach(EditedTree& tree, NodeIndex child, NodeIndex parent) {
  TAYGA_CHECK(tree.placed.parent[child] == kNoNode && !rules_.is_gateway(child));
  table_.take(parent, child, tree.placed.rate_bps);
  tree.placed.parent[child] = parent;
  tree.children[parent].push_back(child);
  set_depths(tree, child);
}

void ForestEditor::detach(EditedTree& tree, NodeIndex child) {
  const NodeIndex parent = tree.placed.parent[child];
  TAYGA_CHECK(parent != kNoNode);
  table_.give_back(parent, child, tree.placed.rate_bps);
  std::erase(tree.children[parent], child);
  tree.placed.parent[child] = kNoNode;
  set_depths(tree, child);
}

std::vector<NodeIndex> ForestEditor::remove(EditedTree& tree, NodeIndex node) {
  const std::vector<NodeIndex> children = tree.children[node];
  for (const NodeIndex child : children) detach(tree, child);
  if (tree.placed.parent[node] != kNoNode) detach(tree, node);
  return children;
}

void ForestEditor::set_depths(EditedTree& tree, NodeIndex root) {
  std::vector<NodeIndex> todo{root};
  while (!todo.empty()) {
    const NodeIndex node = todo.back();
    todo.pop_back();
    const NodeIndex parent = tree.placed.parent[node];
    tree.placed.depth[node] = parent == kNoNode ? 0 : tree.placed.depth[parent] + 1;
    tree.attached[node] = parent != kNoNode && tree.attached[parent];
    todo.insert(todo.end(), tree.children[node].begin(), tree.children[node].end());
  }
}

void ForestEditor::prune() {
  for (EditedTree& tree : trees_) {
    for (NodeIndex node = 0; node < table_.size(); ++node) {
      if (!tree.attached[node] && !tree.children[node].empty()) remove(tree, node);
    }
    for (NodeIndex node = 0; node < table_.size(); ++node) {
      for (NodeIndex at = node; at != kNoNode && !rules_.is_gateway(at);) {
        const NodeIndex parent = tree.placed.parent[at];
        if (parent == kNoNode || !tree.children[at].empty() || plays(tree, at)) break;
        detach(tree, at);
        at = parent;
      }
    }
  }
}

Forest ForestEditor::finish(std::vector<std::pair<NodeIndex, TrackId>> unserved) && {
  std::vector<PlacedTree> trees;
  trees.reserve(trees_.size());
  for (EditedTree& tree : trees_) trees.push_back(std::move(tree.placed));
  return Forest{std::move(table_), std::move(trees), std::move(unserved)};
}

}  // namespace tayga::orch
