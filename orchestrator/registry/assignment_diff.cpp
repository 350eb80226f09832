#include "orchestrator/registry/assignment_diff.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

namespace tayga::orch {
namespace {

using TreeKey = std::pair<TrackId, StripeIndex>;
using Tree = std::map<NodeId, NodeId>;  // child -> parent

std::map<TreeKey, Tree> to_trees(const std::map<NodeId, std::vector<UpstreamLink>>& upstream) {
  std::map<TreeKey, Tree> trees;
  for (const auto& [child, links] : upstream) {
    for (const UpstreamLink& link : links) trees[{link.track, link.stripe}][child] = link.parent;
  }
  return trees;
}

/// Hops to the root. Links that nodes hold may form a loop: cut at the number of nodes.
unsigned depth_in(const Tree& tree, NodeId node) {
  unsigned depth = 0;
  for (auto it = tree.find(node); it != tree.end() && depth <= tree.size(); it = tree.find(node)) {
    node = it->second;
    ++depth;
  }
  return depth;
}

}  // namespace

std::map<NodeId, NodeTarget> to_targets(const std::map<NodeId, std::vector<UpstreamLink>>& upstream,
                                        const std::optional<NodeId>& gateway) {
  std::map<NodeId, NodeTarget> targets;
  if (gateway) targets[*gateway];
  for (const auto& [child, links] : upstream) {
    targets[child].upstream = links;
    for (const UpstreamLink& link : links) {
      targets[link.parent].downstream.push_back(DownstreamLink{link.track, link.stripe, child});
    }
  }
  for (auto& [node, target] : targets) {
    std::sort(target.upstream.begin(), target.upstream.end());
    std::sort(target.downstream.begin(), target.downstream.end());
  }
  return targets;
}

std::vector<NodeId> changed_nodes(const std::map<NodeId, NodeTarget>& told,
                                  const std::map<NodeId, NodeTarget>& targets,
                                  const std::set<NodeId>& stale, const NodeId& gateway) {
  std::map<NodeId, std::vector<UpstreamLink>> upstream;
  for (const auto& [node, target] : targets) {
    if (!target.upstream.empty()) upstream[node] = target.upstream;
  }
  const auto trees = to_trees(upstream);
  constexpr unsigned kLeaf = std::numeric_limits<unsigned>::max() - 1;
  constexpr unsigned kDropped = std::numeric_limits<unsigned>::max();
  const auto order_of = [&](const NodeId& node) {
    const auto target = targets.find(node);
    if (target == targets.end()) return kDropped;
    if (node == gateway) return 0U;
    unsigned order = kLeaf;
    for (const DownstreamLink& link : target->second.downstream) {
      const auto tree = trees.find({link.track, link.stripe});
      if (tree != trees.end()) order = std::min(order, depth_in(tree->second, node));
    }
    return order;
  };

  std::vector<std::pair<unsigned, NodeId>> changed;
  for (const auto& [node, target] : targets) {
    const auto before = told.find(node);
    const bool same = before == told.end() ? target == NodeTarget{} : before->second == target;
    if (!same || stale.contains(node)) changed.emplace_back(order_of(node), node);
  }
  for (const auto& [node, target] : told) {
    if (!targets.contains(node)) changed.emplace_back(kDropped, node);
  }
  std::sort(changed.begin(), changed.end());
  std::vector<NodeId> nodes;
  nodes.reserve(changed.size());
  for (const auto& [order, node] : changed) nodes.push_back(node);
  return nodes;
}

unsigned plan_depth(const std::map<NodeId, std::vector<UpstreamLink>>& upstream) {
  unsigned depth = 0;
  for (const auto& [key, tree] : to_trees(upstream)) {
    for (const auto& [child, parent] : tree) depth = std::max(depth, depth_in(tree, child));
  }
  return depth;
}

}  // namespace tayga::orch
