#pragma once

#include "orchestrator/solver/tree.hpp"

#include <vector>

namespace tayga::orch {

struct TreePlan {
  Tree tree;
  std::vector<NodeIndex> unplaced;  ///< viewers for whom there is no room at all
};

/// Builds one tree: keeps what exists where that is as good as a tree from nothing, in the order
/// nobody unplaced, fewest gateway copies, least depth, fewest relays; only then moves more nodes.
/// Sets spec.copies to what the slots allow. The plan borrows `table` and `spec`.
TreePlan plan_tree(const NodeTable& table, TreeSpec& spec);

}  // namespace tayga::orch
