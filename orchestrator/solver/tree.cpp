#include "orchestrator/solver/tree.hpp"

#include "common/base/check.hpp"

#include <algorithm>
#include <tuple>

namespace tayga::orch {
namespace {

/// Open places of one depth that are compared, beside those with a measured round trip: most pairs
/// were never measured, and looking at more of them gains nothing.
constexpr std::size_t kCandidatesMax = 16;
/// Every lift shortens a path; more rounds than levels change nothing.
constexpr unsigned kLiftRoundsMax = 16;

}  // namespace

Tree::Tree(const NodeTable& table, const TreeSpec& spec)
    : table_{&table},
      spec_{&spec},
      is_gateway_(table.size(), false),
      is_viewer_(table.size(), false),
      parent_(table.size(), kNoNode),
      depth_(table.size(), kDetached),
      path_rtt_us_(table.size(), 0),
      children_(table.size()),
      new_children_(table.size(), 0),
      open_at_depth_(spec.depth_max + 1) {
  for (const NodeIndex viewer : spec.viewers) is_viewer_[viewer] = true;
  for (const NodeIndex gateway : spec.gateways) {
    is_gateway_[gateway] = true;
    depth_[gateway] = 0;
    update_open(gateway);
  }
}

unsigned Tree::height() const {
  unsigned height = 0;
  for (const unsigned depth : depth_) {
    if (depth != kDetached) height = std::max(height, depth);
  }
  return height;
}

std::size_t Tree::relay_count() const {
  std::size_t count = 0;
  for (const NodeIndex node : attached()) count += is_viewer_[node] ? 0U : 1U;
  return count;
}

std::vector<NodeIndex> Tree::attached() const {
  std::vector<NodeIndex> nodes;
  for (NodeIndex node = 0; node < depth_.size(); ++node) {
    if (is_attached(node) && !is_gateway_[node]) nodes.push_back(node);
  }
  return nodes;
}

bool Tree::is_known_child(NodeIndex child, NodeIndex parent) const {
  return (*table_)[parent].children.contains(child);
}

bool Tree::can_attach(NodeIndex child, NodeIndex parent, Overflow overflow) const {
  if (child == parent || !is_attached(parent) || is_gateway_[child]) return false;
  if (depth_[parent] >= spec_->depth_max) return false;
  if (children_[parent].size() >= spec_->slots[parent]) return false;
  if (is_gateway_[parent] && overflow == Overflow::no && copies_ >= spec_->copies) return false;
  if (table_->is_avoided(child, parent)) return false;
  return new_children_[parent] < (*table_)[parent].children_left || is_known_child(child, parent);
}

NodeIndex Tree::find_parent(NodeIndex child, unsigned below, Overflow overflow) const {
  const NodeIndex current = spec_->current_parent[child];
  using Rank = std::tuple<std::uint64_t, bool, NodeIndex>;  // path, new session, id
  const unsigned depth_end = std::min(below, spec_->depth_max);
  for (unsigned depth = 0; depth < depth_end; ++depth) {
    const auto& open = open_at_depth_[depth];
    if (open.empty()) continue;
    if (current != kNoNode && open.contains(current) && can_attach(child, current, overflow)) {
      return current;
    }
    Rank best{~std::uint64_t{0}, true, kNoNode};
    const auto consider = [&](NodeIndex parent, std::uint32_t rtt_us) {
      if (!can_attach(child, parent, overflow)) return false;
      best = std::min(best,
                      Rank{path_rtt_us_[parent] + rtt_us, !is_known_child(child, parent), parent});
      return true;
    };
    for (const auto& [parent, rtt_us] : table_->neighbours(child)) {
      if (depth_[parent] == depth) consider(parent, rtt_us);
    }
    std::size_t seen = 0;
    for (auto it = open.begin(); it != open.end() && seen < kCandidatesMax; ++it) {
      if (consider(*it, table_->rtt_us(child, *it))) ++seen;
    }
    if (std::get<NodeIndex>(best) != kNoNode) return std::get<NodeIndex>(best);
  }
  return kNoNode;
}

void Tree::attach(NodeIndex child, NodeIndex parent) {
  TAYGA_CHECK(parent_[child] == kNoNode && !is_gateway_[child]);
  parent_[child] = parent;
  children_[parent].push_back(child);
  if (!is_known_child(child, parent)) ++new_children_[parent];
  if (is_gateway_[parent]) ++copies_;
  update_open(parent);
  set_depths(child, depth_[parent] + 1);
}

void Tree::unlink(NodeIndex child) {
  const NodeIndex parent = parent_[child];
  std::erase(children_[parent], child);
  if (!is_known_child(child, parent)) --new_children_[parent];
  if (is_gateway_[parent]) --copies_;
  parent_[child] = kNoNode;
  update_open(parent);
}

void Tree::set_depths(NodeIndex root, unsigned depth) {
  std::vector<std::pair<NodeIndex, unsigned>> todo{{root, depth}};
  while (!todo.empty()) {
    const auto [node, node_depth] = todo.back();
    todo.pop_back();
    if (is_attached(node)) open_at_depth_[depth_[node]].erase(node);
    depth_[node] = node_depth;
    path_rtt_us_[node] = path_rtt_us_[parent_[node]] + table_->rtt_us(node, parent_[node]);
    update_open(node);
    for (const NodeIndex child : children_[node]) todo.emplace_back(child, node_depth + 1);
  }
}

void Tree::update_open(NodeIndex node) {
  auto& open = open_at_depth_[depth_[node]];
  if (children_[node].size() < spec_->slots[node]) {
    open.insert(node);
  } else {
    open.erase(node);
  }
}

void Tree::lift() {
  bool moved = true;
  for (unsigned round = 0; moved && round < kLiftRoundsMax; ++round) {
    moved = false;
    std::vector<NodeIndex> order = attached();
    const auto deeper = [this](NodeIndex a, NodeIndex b) { return depth_[a] > depth_[b]; };
    std::stable_sort(order.begin(), order.end(), deeper);
    for (const NodeIndex node : order) {
      if (depth_[node] < 2) continue;
      // A parent at least two levels above cannot be below the node: no loop.
      const NodeIndex parent = find_parent(node, depth_[node] - 1, Overflow::no);
      if (parent == kNoNode) continue;
      unlink(node);
      attach(node, parent);
      moved = true;
    }
  }
}

void Tree::prune() {
  std::vector<NodeIndex> order = attached();
  const auto deeper = [this](NodeIndex a, NodeIndex b) { return depth_[a] > depth_[b]; };
  std::stable_sort(order.begin(), order.end(), deeper);
  for (const NodeIndex node : order) {
    if (is_viewer_[node] || !children_[node].empty()) continue;
    open_at_depth_[depth_[node]].erase(node);
    unlink(node);
    depth_[node] = kDetached;
    path_rtt_us_[node] = 0;
  }
}

}  // namespace tayga::orch
