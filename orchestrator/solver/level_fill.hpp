#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace tayga::orch {

/// How good a tree can be, from nothing but how many children each node may have.
struct TreeBound {
  unsigned copies = 0;     ///< that gateways must give at least
  unsigned depth = 0;      ///< of the shallowest tree with that many
  std::size_t relays = 0;  ///< the strongest so many are needed for that depth
  bool feasible = false;   ///< false: not everybody fits, even with all copies and relays
};

struct TreeBoundInput {
  std::span<const std::uint32_t> viewer_slots;  ///< descending; all must be placed
  std::span<const std::uint32_t> relay_slots;   ///< descending; placed where they help
  unsigned copies_wanted = 1;
  unsigned copies_max = 0;
  unsigned depth_max = 0;
};

/// Depth of the tree that fills level after level with the strongest node left, or nullopt when it
/// does not hold every viewer within depth_max. No tree with these slots is shallower: wherever a
/// weaker node stands above a stronger one, swapping them (and, where the stronger is a relay,
/// hanging the weaker under it) loses no place at any level.
std::optional<unsigned> level_fill_depth(const TreeBoundInput& input, unsigned copies,
                                         std::size_t relays);

/// Fewest copies first, then the least depth, then the fewest relays. O(nodes x log nodes).
TreeBound bound_tree(const TreeBoundInput& input);

}  // namespace tayga::orch
