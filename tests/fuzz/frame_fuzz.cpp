#include "common/base/check.hpp"
#include "common/wire/frame.hpp"
#include "common/wire/wire_error.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>

// Reads the input as a session does: frame after frame until one is not whole or broken.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tayga;
  ByteView in = fuzz::to_view(data, size);
  for (;;) {
    const auto header = wire::parse_frame_header(in);
    if (!header) {
      TAYGA_CHECK((header.error() == wire::WireErrc::need_more) ==
                  (in.size() < wire::kFrameHeaderSize));
      return 0;
    }
    TAYGA_CHECK(header->payload_size <= wire::kPayloadSizeMax);
    const ByteView rest = in.subspan(wire::kFrameHeaderSize);
    if (rest.size() < header->payload_size) return 0;
    const ByteView payload = rest.first(header->payload_size);
    const Bytes again = wire::serialize_frame(header->type, payload);
    TAYGA_CHECK(std::ranges::equal(again, in.first(again.size())));
    in = rest.subspan(header->payload_size);
  }
}
