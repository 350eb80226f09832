#pragma once

#include "orchestrator/solver/solver.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace tayga::orch {

/// Position of a node in a NodeTable. Ascending with the node id, so ties by index are ties by id.
using NodeIndex = std::uint32_t;
inline constexpr NodeIndex kNoNode = 0xffff'ffff;

/// The solver's nodes in id order, what each has left to give, and what is known between pairs.
class NodeTable {
 public:
  struct Node {
    NodeId id;
    bool can_relay = false;
    std::uint64_t uplink_left_bps = 0;
    std::uint32_t children_left = 0;              ///< distinct children that may still be added
    std::map<NodeIndex, std::uint32_t> children;  ///< in how many of the trees placed so far
    bool is_doubted = false;
    bool is_walled = false;
  };

  explicit NodeTable(const SolverInput& input);

  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  [[nodiscard]] const Node& operator[](NodeIndex index) const { return nodes_[index]; }
  /// kNoNode when the id is not among the solver's nodes.
  [[nodiscard]] NodeIndex find(const NodeId& id) const;
  /// For a link that is not in force already.
  [[nodiscard]] bool is_avoided(NodeIndex child, NodeIndex parent) const;
  [[nodiscard]] std::uint32_t rtt_us(NodeIndex a, NodeIndex b) const;
  /// Nodes whose round trip to `index` was measured, ascending.
  [[nodiscard]] const std::vector<std::pair<NodeIndex, std::uint32_t>>& neighbours(
      NodeIndex index) const {
    return neighbours_[index];
  }

  /// `child` counts as one of `parent`'s from now on, and its rate as used.
  void take(NodeIndex parent, NodeIndex child, std::uint64_t rate_bps);
  /// Undoes one take().
  void give_back(NodeIndex parent, NodeIndex child, std::uint64_t rate_bps);

 private:
  /// As far as is known of each of the two.
  [[nodiscard]] bool is_unwise(NodeIndex child, NodeIndex parent) const {
    return nodes_[parent].is_doubted || (nodes_[parent].is_walled && nodes_[child].is_walled);
  }

  std::vector<Node> nodes_;
  std::vector<NodeId> ids_;  // of nodes_: to find one touches few lines of memory
  std::vector<std::vector<std::pair<NodeIndex, std::uint32_t>>> neighbours_;
  std::set<std::pair<NodeIndex, NodeIndex>> avoided_;
  /// Links in force that would not be made now.
  std::set<std::pair<NodeIndex, NodeIndex>> kept_;
};

}  // namespace tayga::orch
