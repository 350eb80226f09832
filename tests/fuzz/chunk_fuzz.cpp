#include "common/base/check.hpp"
#include "common/wire/frame.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tayga;
  const ByteView payload = fuzz::to_view(data, size);
  const auto chunk = wire::parse_chunk(payload);
  if (!chunk) return 0;
  const SharedBytes frame = wire::serialize_chunk_frame(*chunk);
  TAYGA_CHECK(std::ranges::equal(ByteView{*frame}.subspan(wire::kFrameHeaderSize), payload));
  const auto header = wire::parse_frame_header(*frame);
  TAYGA_CHECK(header && header->type == wire::FrameType::chunk);
  return 0;
}
