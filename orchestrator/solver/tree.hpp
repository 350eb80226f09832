#pragma once

#include "orchestrator/solver/node_table.hpp"

#include <cstdint>
#include <set>
#include <vector>

namespace tayga::orch {

enum class Overflow : std::uint8_t {
  no,
  gateways,  ///< gateways may give more copies than the tree's share
};

/// What one (track, stripe) tree is built from. Vectors are indexed by node.
struct TreeSpec {
  std::uint64_t rate_bps = 0;  ///< of one copy
  std::vector<NodeIndex> gateways;
  std::vector<NodeIndex> viewers;         ///< must all be placed
  std::vector<NodeIndex> relays;          ///< may be placed; strongest first
  std::vector<std::uint32_t> slots;       ///< children that the node may have in this tree
  std::vector<NodeIndex> current_parent;  ///< kNoNode: none now
  unsigned copies = 1;                    ///< that gateways give before they overflow
  unsigned depth_max = 0;
};

/// A tree of one (track, stripe) while it is built: parents, depths, and an index of open places.
///
/// Borrows the table and the spec; movable. Invariants: an attached node's parent is attached, one
/// level above, and within its slots and distinct children; a detached node has no parent.
class Tree {
 public:
  Tree(const NodeTable& table, const TreeSpec& spec);

  [[nodiscard]] bool is_attached(NodeIndex node) const { return depth_[node] != kDetached; }
  [[nodiscard]] unsigned depth(NodeIndex node) const { return depth_[node]; }
  [[nodiscard]] NodeIndex parent(NodeIndex node) const { return parent_[node]; }
  [[nodiscard]] std::size_t child_count(NodeIndex node) const { return children_[node].size(); }
  [[nodiscard]] unsigned copies() const noexcept { return copies_; }
  /// Depth of the deepest node.
  [[nodiscard]] unsigned height() const;
  /// Attached nodes that are no gateway and not a viewer of the tree.
  [[nodiscard]] std::size_t relay_count() const;
  /// Attached nodes other than gateways, ascending.
  [[nodiscard]] std::vector<NodeIndex> attached() const;

  [[nodiscard]] bool can_attach(NodeIndex child, NodeIndex parent, Overflow overflow) const;
  /// The best open place above depth `below`: least depth, then the parent that it has now, then
  /// the shortest path. kNoNode when there is none.
  [[nodiscard]] NodeIndex find_parent(NodeIndex child, unsigned below, Overflow overflow) const;
  /// Pre: can_attach, `child` detached.
  void attach(NodeIndex child, NodeIndex parent);

  /// Moves nodes, deepest first, to open places at least one level higher.
  void lift();
  /// Removes relays that ended without children.
  void prune();

 private:
  static constexpr unsigned kDetached = 0xffff'ffff;

  [[nodiscard]] bool is_known_child(NodeIndex child, NodeIndex parent) const;
  void set_depths(NodeIndex root, unsigned depth);
  void unlink(NodeIndex child);
  void update_open(NodeIndex node);

  const NodeTable* table_;
  const TreeSpec* spec_;
  std::vector<bool> is_gateway_;
  std::vector<bool> is_viewer_;
  std::vector<NodeIndex> parent_;
  std::vector<unsigned> depth_;
  std::vector<std::uint64_t> path_rtt_us_;
  std::vector<std::vector<NodeIndex>> children_;
  std::vector<std::uint32_t> new_children_;         ///< not a child in an earlier tree
  std::vector<std::set<NodeIndex>> open_at_depth_;  ///< attached nodes with a slot left
  unsigned copies_ = 0;
};

}  // namespace tayga::orch
