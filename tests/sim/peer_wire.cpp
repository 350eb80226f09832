#include "tests/sim/peer_wire.hpp"

#include "common/wire/frame.hpp"
#include "daemon/control/peer_codec.hpp"

#include <utility>

namespace tayga::sim {

Result<void> PeerWire::pass(relay::PeerMessage& message) {
  if (std::holds_alternative<relay::Head>(message)) {
    const std::uint64_t number = heads_++;
    if (number >= kHeadsAlways && number % kHeadsOneIn != 0) return {};
  }
  const SharedBytes frame = control::encode_control_frame(message);
  auto read = control::decode_control(ByteView{*frame}.subspan(wire::kFrameHeaderSize));
  if (!read) return read.error();
  message = std::move(*read);
  return {};
}

}  // namespace tayga::sim
