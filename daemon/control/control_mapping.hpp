#pragma once

#include "common/base/result.hpp"
#include "daemon/control/control_error.hpp"
#include "daemon/control/messages.hpp"

#include <cstddef>

namespace tayga::v1 {
class NodeMessage;
class OrchestratorMessage;
}  // namespace tayga::v1

namespace tayga::control {

// What the orchestrator takes in one message (orchestrator/rpc); more is cut off, least useful
// first.
inline constexpr std::size_t kControlMessageMax = 64 * 1024;
inline constexpr std::size_t kReceiptMessageMax = 1024 * 1024;
inline constexpr std::size_t kEndpointsMax = 8;
inline constexpr std::size_t kHeldStreamsMax = 64;
inline constexpr std::size_t kRescueGatewaysMax = 8;
inline constexpr std::size_t kLinkReportsMax = 256;
inline constexpr std::size_t kStreamReportsMax = 64;
inline constexpr std::size_t kAppliedMax = 256;
inline constexpr std::size_t kLabelSizeMax = 64;

/// Fits the message into what the orchestrator takes: a telemetry or hello that is too large loses
/// stripe reports or held streams from its end.
v1::NodeMessage to_proto(const Outgoing& message);

/// Checks every size and range. Errors: unknown_message = ignore it, a newer orchestrator may say
/// more; bad_size, bad_value = the message is useless, the session may go on.
Result<Incoming> to_incoming(const v1::OrchestratorMessage& message);

}  // namespace tayga::control
