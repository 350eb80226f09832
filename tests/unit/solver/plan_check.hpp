#pragma once

#include "orchestrator/solver/solver.hpp"

#include <optional>
#include <string>

namespace tayga::orch::test {

/// Checks a plan against its input with nothing but the rules, by other means than the solver's:
/// links name known nodes and tracks, one parent per (track, stripe), no loops, every path ends at
/// a gateway, uplinks, distinct children and depth are respected, avoided pairs are not used, no
/// relay without a child, every viewer has all stripes of a track or is listed as unserved, and
/// nobody is unserved for whom every stripe has a place. Returns what is wrong, or nothing.
std::optional<std::string> check_plan(const SolverInput& input, const SolverPlan& plan);

/// Children of gateways in one (track, stripe) tree.
std::size_t gateway_copies(const SolverInput& input, const SolverPlan& plan, TrackId track,
                           StripeIndex stripe);

}  // namespace tayga::orch::test
