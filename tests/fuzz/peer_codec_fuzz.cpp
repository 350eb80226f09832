#include "common/base/check.hpp"
#include "common/wire/frame.hpp"
#include "daemon/control/peer_codec.hpp"
#include "tests/fuzz/fuzz.hpp"

// What the codec accepts, it can say itself, and says the same.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tayga;
  const auto message = control::decode_control(fuzz::to_view(data, size));
  if (!message) return 0;
  const SharedBytes frame = control::encode_control_frame(*message);
  const auto again = control::decode_control(ByteView{*frame}.subspan(wire::kFrameHeaderSize));
  TAYGA_CHECK(again && *again == *message);
  return 0;
}
