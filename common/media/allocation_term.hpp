#pragma once

#include "common/base/time.hpp"

/// How long an allocation counts: its issuer, sender and receiver and the ledger reckon alike.
///
///   issued    renewed (80 %)     end   +10 s        +45 min                       +24 h
///     |------------|--------------|------|--------------|----------------------------|
///     |  served, receipts signed         |              |
///     |  the same while the orchestrator is away        |
///     |  its receipts are settled                                                    |
///
/// Whoever cannot reach the orchestrator cannot have an allocation renewed: it goes on with what it
/// carries. Nobody gains by that: what an allocation pays is bounded by its max_bytes, and for
/// bytes that a receiver signed for.
namespace tayga::media {

inline constexpr Duration kAllocationTerm = 10min;
/// How far the clocks of two honest nodes, or a node's and the orchestrator's, may differ.
inline constexpr Duration kAllocationSkewMax = 60s;
/// Past its end an allocation is honoured for so long: its renewal may be under way.
inline constexpr Duration kAllocationGrace = 10s;
/// The same while the orchestrator is away: half an hour without it goes unnoticed, with a margin
/// for finding it again. Bounded, so that nobody is served for ever who was cut off for good.
inline constexpr Duration kOutageGrace = 45min;
/// For so long after the orchestrator is back kOutageGrace still counts: nodes dial again within
/// 40 s, and get new allocations with their next assignment.
inline constexpr Duration kReconnectGrace = 2min;
/// Past its end an allocation's receipts are settled for so long.
inline constexpr Duration kSettleGrace = 24h;
static_assert(kSettleGrace >= kOutageGrace + kAllocationTerm + kReconnectGrace);

}  // namespace tayga::media
