#include "tests/sim/peer_wire.hpp"

#include "common/wire/frame.hpp"
#include "daemon/control/peer_codec.hpp"

namespace tayga::sim {

Result<relay::PeerMessage> PeerWire::pass(const relay::PeerMessage& message) {
  if (std::holds_alternative<relay::Head>(message)) {
    const std::uint64_t number = heads_++;
    if (number >= kHeadsAlways && number % kHeadsOneIn != 0) return message;
  }
  const SharedBytes frame = control::encode_control_frame(message);
  return control::decode_control(ByteView{*frame}.subspan(wire::kFrameHeaderSize));
}

}  // namespace tayga::sim
