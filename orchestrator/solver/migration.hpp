#pragma once

#include "orchestrator/solver/forest.hpp"

#include <cstddef>
#include <vector>

namespace tayga::orch {

/// A part of the way from the forest that stands to one that was planned without regard to moves.
///
/// Moves at most `moves_max` of the links in force, from the top of the trees downwards, each only
/// where it shortens a path, saves a gateway's copy, or leaves a relay that the plan does without.
/// Every forest on the way keeps every rule and serves whom the standing one serves. Gateways give
/// no more copies than they do. Pre: both are made of `demands`, over the same nodes.
Forest migrate(const Forest& standing, const Forest& planned, const ForestRules& rules,
               const std::vector<TrackDemand>& demands, const CurrentLinks& current,
               std::size_t moves_max);

}  // namespace tayga::orch
