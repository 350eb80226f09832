#pragma once

#include "orchestrator/solver/node_table.hpp"

#include <cstdint>
#include <utility>
#include <vector>

namespace tayga::orch {

/// A finished tree, for questions about paths: who is above whom, in constant time.
///
/// Made from any set of links: what does not hang on the root (a loop, a parent that is gone) is
/// not attached. Every node has one parent; of several the last counts.
class RootedTree {
 public:
  /// `links` = (child, parent). Cost: O(nodes + links).
  RootedTree(std::size_t nodes, NodeIndex root,
             const std::vector<std::pair<NodeIndex, NodeIndex>>& links);

  [[nodiscard]] NodeIndex root() const noexcept { return root_; }
  /// kNoNode: none.
  [[nodiscard]] NodeIndex parent(NodeIndex node) const { return parent_[node]; }
  [[nodiscard]] bool is_attached(NodeIndex node) const { return enter_[node] != kDetached; }
  /// Whether the path from `node` to the root meets `top`; a path begins with its node. Pre: both
  /// attached.
  [[nodiscard]] bool passes(NodeIndex node, NodeIndex top) const {
    return enter_[node] - enter_[top] < size_[top];
  }
  /// The last node below the root on the path of `node`. Pre: attached, not the root.
  [[nodiscard]] NodeIndex branch(NodeIndex node) const { return branch_[node]; }
  /// The root's children, in the order of the nodes.
  [[nodiscard]] const std::vector<NodeIndex>& branches() const noexcept { return branches_; }
  /// Attached nodes, each after its parent; the root first.
  [[nodiscard]] const std::vector<NodeIndex>& order() const noexcept { return order_; }

 private:
  static constexpr std::uint32_t kDetached = 0xffff'ffff;

  NodeIndex root_;
  std::vector<NodeIndex> parent_;
  std::vector<NodeIndex> branch_;
  std::vector<std::uint32_t> enter_;  ///< position in order_
  std::vector<std::uint32_t> size_;   ///< of the subtree
  std::vector<NodeIndex> branches_;
  std::vector<NodeIndex> order_;  ///< depth first: a subtree lies together
};

}  // namespace tayga::orch
