#pragma once

#include "orchestrator/solver/forest.hpp"

#include <cstddef>
#include <vector>

namespace tayga::orch {

/// A (track, stripe) tree that is changed link by link. Vectors are indexed by node.
struct EditedTree {
  PlacedTree placed;
  const TrackDemand* demand = nullptr;  ///< borrowed
  std::vector<std::vector<NodeIndex>> children;
  std::vector<bool> attached;  ///< hangs on a gateway, directly or not
};

/// The trees of a stream while links are taken out of them and put into them.
///
/// Subtrees may hang on nothing for a while; they stay together, and what they use stays used.
/// Invariants: no node gives more uplink or has more children than the table allows; no loops.
/// Borrows rules and demands.
class ForestEditor {
 public:
  /// Trees without links, one per demand and stripe.
  ForestEditor(NodeTable table, const ForestRules& rules, const std::vector<TrackDemand>& demands);
  /// The trees of `forest`, which were made of the same demands.
  ForestEditor(const Forest& forest, const ForestRules& rules,
               const std::vector<TrackDemand>& demands);

  [[nodiscard]] std::vector<EditedTree>& trees() noexcept { return trees_; }
  [[nodiscard]] const NodeTable& table() const noexcept { return table_; }

  [[nodiscard]] static bool plays(const EditedTree& tree, NodeIndex node);
  /// Uplink for one copy more, and a session.
  [[nodiscard]] bool has_capacity(const EditedTree& tree, NodeIndex parent, NodeIndex child) const;
  /// And no quarantine.
  [[nodiscard]] bool has_room(const EditedTree& tree, NodeIndex parent, NodeIndex child) const;
  /// Levels below `root`.
  [[nodiscard]] static unsigned height(const EditedTree& tree, NodeIndex root);
  /// Whether the path of `node` meets `top`; a path begins with its node.
  [[nodiscard]] static bool is_below(const EditedTree& tree, NodeIndex node, NodeIndex top);
  /// Copies that gateways give.
  [[nodiscard]] std::size_t copies(const EditedTree& tree) const;
  /// How many of the node's children are in trees of this track, over all stripes.
  [[nodiscard]] std::size_t children_in_track(NodeIndex node, TrackId track) const;

  /// `child`, and what hangs below it, hangs on `parent`. Pre: has_capacity, no parent, no loop.
  void attach(EditedTree& tree, NodeIndex child, NodeIndex parent);
  /// `child`, and what hangs below it, hangs on nothing. Pre: has a parent.
  void detach(EditedTree& tree, NodeIndex child);
  /// The node is in the tree no more. Result: its children, which hang on nothing.
  std::vector<NodeIndex> remove(EditedTree& tree, NodeIndex node);
  /// Removes what hangs on nothing, and relays that feed nobody.
  void prune();

  /// Pre: pruned.
  [[nodiscard]] Forest finish(std::vector<std::pair<NodeIndex, TrackId>> unserved) &&;

 private:
  void make_trees(const std::vector<TrackDemand>& demands);
  void set_depths(EditedTree& tree, NodeIndex root);

  NodeTable table_;
  const ForestRules& rules_;
  std::vector<EditedTree> trees_;
};

}  // namespace tayga::orch
