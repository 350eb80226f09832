#pragma once

#include "orchestrator/solver/node_table.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace tayga::orch {

/// A viewer of a track, and how many children it could have if it relayed one stripe of it.
struct HomeCandidate {
  NodeIndex node = kNoNode;
  std::uint64_t hash = 0;  ///< stable for this node and track
  std::uint32_t slots = 0;
  std::uint32_t current_home = kNoHome;  ///< the stripe in which it has children now

  static constexpr std::uint32_t kNoHome = 0xffff'ffff;
};

/// Spreads a node's homes over its tracks; the same for ever.
std::uint64_t home_hash(const NodeId& node, TrackId track);

/// The one stripe of a track that each viewer relays; in the others it is a leaf, so that its loss
/// costs anybody at most one stripe. Strongest first onto the stripe with least room, ties by hash;
/// a home in use stays unless its stripe has more than twice the room of another. Result: home per
/// candidate, in their order. Pre: stripe_count > 0.
std::vector<std::uint32_t> choose_homes(std::span<const HomeCandidate> candidates,
                                        unsigned stripe_count);

}  // namespace tayga::orch
