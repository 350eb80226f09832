#pragma once

#include <cstdint>

namespace tayga {

/// Of the control plane (proto/tayga/v1/control.proto), said in a node's hello.
inline constexpr std::uint32_t kControlProtocolVersion = 1;

/// The DNS name in the orchestrator's server certificate. Nodes check this name, not the host that
/// they dialled: the network CA vouches for the orchestrator, wherever it moves.
inline constexpr char kOrchestratorTlsName[] = "tayga-orchestrator";

}  // namespace tayga
