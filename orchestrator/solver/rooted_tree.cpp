#include "orchestrator/solver/rooted_tree.hpp"

namespace tayga::orch {

RootedTree::RootedTree(std::size_t nodes, NodeIndex root,
                       const std::vector<std::pair<NodeIndex, NodeIndex>>& links)
    : root_{root},
      parent_(nodes, kNoNode),
      branch_(nodes, kNoNode),
      enter_(nodes, kDetached),
      size_(nodes, 0) {
  for (const auto& [child, parent] : links) {
    if (child != root) parent_[child] = parent;
  }
  // Children of each node one after another: begin[p] .. begin[p + 1].
  std::vector<std::uint32_t> begin(nodes + 1, 0);
  for (const NodeIndex parent : parent_) {
    if (parent != kNoNode) ++begin[parent + 1];
  }
  for (std::size_t i = 0; i < nodes; ++i) begin[i + 1] += begin[i];
  std::vector<NodeIndex> children(begin[nodes]);
  std::vector<std::uint32_t> filled = begin;
  for (NodeIndex node = 0; node < nodes; ++node) {
    if (parent_[node] != kNoNode) children[filled[parent_[node]]++] = node;
  }

  std::vector<NodeIndex> todo{root};
  while (!todo.empty()) {
    const NodeIndex node = todo.back();
    todo.pop_back();
    enter_[node] = static_cast<std::uint32_t>(order_.size());
    order_.push_back(node);
    for (std::uint32_t i = begin[node]; i < begin[node + 1]; ++i) {
      const NodeIndex child = children[i];
      branch_[child] = node == root ? child : branch_[node];
      if (node == root) branches_.push_back(child);
      todo.push_back(child);
    }
  }
  for (std::size_t i = order_.size(); i-- > 0;) {
    const NodeIndex node = order_[i];
    size_[node] += 1;
    if (node != root) size_[parent_[node]] += size_[node];
  }
}

}  // namespace tayga::orch
