#pragma once

#include "common/base/ids.hpp"
#include "orchestrator/rpc/node_messages.hpp"

#include <functional>
#include <optional>

namespace tayga::orch {

/// The stream whose slice the report proves to be broken: its header is signed by a stream that
/// `is_known` knows, and the chunk names that slice but is not a part of it. nullopt: proves
/// nothing.
///
/// A chunk carries no signature of who sent it, so this shows that the bytes are bad, and not from
/// where they came: the caller believes only nodes that it had made children of the accused.
/// Cost: one signature check (43 us) and one hash, after all cheap checks.
std::optional<StreamId> find_tampered_stream(const TamperReport& report,
                                             const std::function<bool(const StreamId&)>& is_known);

}  // namespace tayga::orch
