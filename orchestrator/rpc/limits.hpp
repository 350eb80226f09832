#pragma once

#include "common/base/time.hpp"

#include <cstddef>
#include <cstdint>

/// What a stranger may make the control plane hold or do. Policy when full: see each.
namespace tayga::orch {

// One message; more closes the session.
inline constexpr std::size_t kControlMessageMax = 64 * 1024;
inline constexpr std::size_t kReceiptMessageMax = 1024 * 1024;
inline constexpr int kProtobufDepthMax = 16;
inline constexpr int kEndpointsMax = 8;
inline constexpr int kHeldStreamsMax = 64;
inline constexpr int kUpstreamPerStreamMax = 1024;
inline constexpr int kLinkReportsMax = 512;  ///< of telemetry, as the next three: more is cut off
inline constexpr int kStreamReportsMax = 64;
inline constexpr int kStripeReportsMax = 2048;
inline constexpr int kAppliedMax = 256;
inline constexpr int kTracksMax = 64;
inline constexpr std::uint32_t kTrackIdMax = 65'535;
inline constexpr int kReceiptItemsMax = 512;
inline constexpr std::size_t kNodeNameMax = 64;
inline constexpr std::size_t kSoftwareMax = 64;
inline constexpr std::size_t kReasonMax = 256;
inline constexpr std::size_t kStreamNameMax = 63;
inline constexpr std::size_t kPlaylistPathMax = 512;
inline constexpr std::uint32_t kChildrenDeclaredMax = 4096;
inline constexpr std::uint64_t kRateMaxBps = 1'000'000'000'000;  ///< 1 Tbit/s

// One session.
inline constexpr Duration kHelloDeadline = 5s;   ///< then it is closed
inline constexpr Duration kWriteStallMax = 15s;  ///< a write that the peer does not take: cancelled
inline constexpr Duration kSilenceMax = 60s;     ///< telemetry comes at least every 5 s
inline constexpr std::size_t kOutboxReceiptsMax =
    64;                                          ///< the oldest answer goes: nodes submit again
inline constexpr std::size_t kOutboxMax = 4096;  ///< then the session is closed

// The process.
inline constexpr std::size_t kSessionsMax = 30'000;         ///< one more is refused: UNAVAILABLE
inline constexpr std::size_t kUngreetedSessionsMax = 512;   ///< before their hello; the same
inline constexpr std::size_t kUngreetedPerNetworkMax = 32;  ///< of one /24 or /48; the same
inline constexpr Duration kWatchdogInterval = 500ms;

}  // namespace tayga::orch
