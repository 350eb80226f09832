#pragma once

#include "common/base/result.hpp"
#include "daemon/core/peer_message.hpp"

#include <cstdint>

namespace tayga::sim {

/// The way of a peer's control messages through the production codec: what arrives is what real
/// bytes would say, and what real peers refuse to read does not arrive.
///
/// Heads are nearly all messages of a run and say the same again 25 ms later: kHeadsAlways of them
/// and then one in kHeadsOneIn make the way, the others are passed on as they are.
class PeerWire {
 public:
  static constexpr std::uint64_t kHeadsAlways = 1024;
  static constexpr std::uint64_t kHeadsOneIn = 64;

  /// Makes of the message what its bytes say. Errors: those of control::decode_control, and the
  /// message stays as it was; a real peer would close the session.
  Result<void> pass(relay::PeerMessage& message);

 private:
  std::uint64_t heads_ = 0;
};

}  // namespace tayga::sim
