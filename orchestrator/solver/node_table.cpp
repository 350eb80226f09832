#include "orchestrator/solver/node_table.hpp"

#include "common/base/check.hpp"

#include <algorithm>

namespace tayga::orch {

NodeTable::NodeTable(const SolverInput& input) {
  nodes_.reserve(input.nodes.size());
  for (const NodeView& view : input.nodes) {
    nodes_.push_back(Node{view.id,
                          view.can_relay,
                          view.uplink_bps,
                          view.children_max,
                          {},
                          view.is_doubted,
                          view.is_walled});
  }
  const auto by_id = [](const Node& a, const Node& b) { return a.id < b.id; };
  std::sort(nodes_.begin(), nodes_.end(), by_id);
  const auto same_id = [](const Node& a, const Node& b) { return a.id == b.id; };
  nodes_.erase(std::unique(nodes_.begin(), nodes_.end(), same_id), nodes_.end());
  ids_.reserve(nodes_.size());
  for (const Node& node : nodes_) ids_.push_back(node.id);

  neighbours_.resize(nodes_.size());
  for (const auto& [pair, rtt] : input.rtt_us) {
    const NodeIndex a = find(pair.first);
    const NodeIndex b = find(pair.second);
    if (a == kNoNode || b == kNoNode || a == b) continue;
    neighbours_[a].emplace_back(b, rtt);
    neighbours_[b].emplace_back(a, rtt);
  }
  // A pair may be given in both directions: the smaller one is kept.
  for (auto& list : neighbours_) {
    std::sort(list.begin(), list.end());
    const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
    list.erase(std::unique(list.begin(), list.end(), same), list.end());
  }
  for (const auto& [child, parent] : input.current.avoid) {
    avoided_.emplace(find(child), find(parent));
  }
  for (const auto& [child, links] : input.current.upstream) {
    const NodeIndex index = find(child);
    if (index == kNoNode) continue;
    for (const UpstreamLink& link : links) {
      const NodeIndex parent = find(link.parent);
      if (parent != kNoNode && is_unwise(index, parent)) kept_.emplace(index, parent);
    }
  }
}

NodeIndex NodeTable::find(const NodeId& id) const {
  const auto it = std::lower_bound(ids_.begin(), ids_.end(), id);
  if (it == ids_.end() || *it != id) return kNoNode;
  return static_cast<NodeIndex>(it - ids_.begin());
}

bool NodeTable::is_avoided(NodeIndex child, NodeIndex parent) const {
  if (avoided_.contains({child, parent})) return true;
  return is_unwise(child, parent) && !kept_.contains({child, parent});
}

std::uint32_t NodeTable::rtt_us(NodeIndex a, NodeIndex b) const {
  const auto& list = neighbours_[a];
  const auto it = std::lower_bound(list.begin(), list.end(), std::pair{b, std::uint32_t{0}});
  return it == list.end() || it->first != b ? kRttUnknownUs : it->second;
}

void NodeTable::take(NodeIndex parent, NodeIndex child, std::uint64_t rate_bps) {
  Node& node = nodes_[parent];
  TAYGA_CHECK(node.uplink_left_bps >= rate_bps);
  node.uplink_left_bps -= rate_bps;
  if (++node.children[child] > 1) return;
  TAYGA_CHECK(node.children_left > 0);
  --node.children_left;
}

void NodeTable::give_back(NodeIndex parent, NodeIndex child, std::uint64_t rate_bps) {
  Node& node = nodes_[parent];
  const auto it = node.children.find(child);
  TAYGA_CHECK(it != node.children.end());
  node.uplink_left_bps += rate_bps;
  if (--it->second > 0) return;
  node.children.erase(it);
  ++node.children_left;
}

}  // namespace tayga::orch
