#pragma once

#include "orchestrator/solver/forest.hpp"

#include <cstddef>
#include <vector>

namespace tayga::orch {

/// The links in force, made whole with the fewest moves.
///
/// Every link stays that can: its parent is there, and has the uplink and the session. What nodes
/// promoted by themselves (`current.promoted`) comes after the rest, so that it takes nobody's
/// place; one gateway copy too many is taken back where a peer has room. Who lost its parent is
/// hung elsewhere together with all that hangs below it; newcomers are hung where room is left
/// over. A relay is recruited, and a leaf moved for it, only where a gateway would else give an
/// extra copy; at most `moves_max` leaves. A viewer is in all stripes of a track or in none.
Forest repair_forest(const NodeTable& table, const ForestRules& rules,
                     const std::vector<TrackDemand>& demands, const CurrentLinks& current,
                     std::size_t moves_max);

}  // namespace tayga::orch
