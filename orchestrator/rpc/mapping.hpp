#pragma once

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "orchestrator/rpc/node_messages.hpp"
#include "orchestrator/rpc/rpc_error.hpp"

#include <string>

namespace tayga::orch {

/// Who sent a message: proven by the session, never taken from the message.
struct MessageOrigin {
  NodeId node;
  std::string observed_address;  ///< numeric; replaces an unspecified address in a hello
};

/// Reads one serialized tayga.v1.NodeMessage and checks every size, bound and text in it, so that
/// nobody behind has to. Never throws on input. Errors: RpcErrc; unknown_message = skip it and go
/// on (a newer node), anything else = close the session. Cost: O(message), which is bounded.
Result<NodeEvent> parse_node_message(ByteView message, const MessageOrigin& origin);

/// Serialized tayga.v1.OrchestratorMessage.
std::string serialize_orchestrator_message(const OrchestratorEvent& event);

}  // namespace tayga::orch
