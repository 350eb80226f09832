#pragma once

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "daemon/control/control_error.hpp"
#include "daemon/core/peer_message.hpp"

#include <cstddef>
#include <cstdint>

namespace tayga::control {

/// Repeated elements in one message, all levels together. Protobuf makes an object of ~64 bytes out
/// of a 2-byte element, so this, not the size of the message, bounds what a peer can make us
/// allocate.
inline constexpr std::size_t kPeerMessagePartsMax = 2048;
inline constexpr std::size_t kSoftwareSizeMax = 64;
inline constexpr std::uint64_t kFetchRangeSlicesMax = 256;
/// No tree is that deep; a greater number says the same.
inline constexpr std::uint32_t kHopsMax = 255;

/// A whole frame (wire::FrameType::control), ready for Session::send_control.
///
/// A Head that would exceed kPeerMessagePartsMax loses its last tracks: heads are soft state and
/// say the same again 50 ms later. A range of more than kFetchRangeSlicesMax slices is split, and
/// what does not fit in relay::kFetchRangesMax ranges is left out. Times are cut to whole
/// milliseconds. Pre: the message keeps the other limits that decode_control() checks.
SharedBytes encode_control_frame(const relay::PeerMessage& message);

/// Reads the payload of a control frame; checks every size and range, so that the core may trust
/// the result. Errors: unknown_message = ignore it, a newer version may say more; any other
/// ControlErrc = the peer is broken, close the session. Unknown reasons of a refusal or a go_away
/// become the mildest known one. Never throws on input.
Result<relay::PeerMessage> decode_control(ByteView payload);

}  // namespace tayga::control
