#pragma once

#include "orchestrator/solver/forest_editor.hpp"

#include <array>
#include <cstdint>
#include <set>
#include <vector>

namespace tayga::orch {

/// Where in one tree another child may hang, best first.
///
/// An index beside the tree: tell it of nodes whose place or room changed with update(). Entries
/// that are outdated are put right when a search meets them. Borrows editor and rules.
class OpenPlaces {
 public:
  OpenPlaces(const ForestEditor& editor, const ForestRules& rules, const EditedTree& tree);

  /// The node's place, children or uplink changed.
  void update(NodeIndex node);

  struct Wanted {
    NodeIndex child = kNoNode;
    unsigned depth_max = 0;       ///< of the parent
    std::uint64_t spare_bps = 0;  ///< uplink that must be left beside the copy
  };
  /// Among peers: a relay, or a viewer that relays in this stripe already or has its home in it;
  /// then one that relays nowhere; then one that relays in another stripe. Within that the least
  /// depth, then who is its parent elsewhere already, then the shortest round trip. kNoNode: none.
  NodeIndex find(const Wanted& wanted);

 private:
  enum class Fit : std::uint8_t { good, idle, foreign };
  static constexpr std::size_t kFits = 3;
  static constexpr unsigned kNowhere = 0xffff'ffff;

  struct Place {
    Fit fit = Fit::good;
    unsigned depth = kNowhere;  ///< kNowhere: not open
    friend bool operator==(const Place&, const Place&) = default;
  };
  [[nodiscard]] Place place_of(NodeIndex node) const;
  [[nodiscard]] Fit fit_of(NodeIndex node) const;
  NodeIndex find_at(Fit fit, unsigned depth, const Wanted& wanted);

  const ForestEditor& editor_;
  const ForestRules& rules_;
  const EditedTree& tree_;
  std::vector<Place> known_;
  std::array<std::vector<std::set<NodeIndex>>, kFits> open_;  ///< by fit and depth
};

}  // namespace tayga::orch
