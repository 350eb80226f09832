#include "common/wire/frame.hpp"

#include "common/base/check.hpp"
#include "common/wire/big_endian.hpp"
#include "common/wire/wire_error.hpp"

#include <algorithm>
#include <memory>

namespace tayga::wire {
namespace {

bool is_known(FrameType type) noexcept {
  switch (type) {
    case FrameType::control:
    case FrameType::slice_header:
    case FrameType::chunk:
      return true;
  }
  return false;
}

void write_frame_header(Writer& out, FrameType type, std::size_t payload_size) noexcept {
  TAYGA_CHECK(payload_size <= kPayloadSizeMax);
  out.integer(static_cast<std::uint32_t>(type) << 24 | static_cast<std::uint32_t>(payload_size));
}

}  // namespace

Result<FrameHeader> parse_frame_header(ByteView in) noexcept {
  if (in.size() < kFrameHeaderSize) return WireErrc::need_more;
  const auto word = Reader{in}.integer<std::uint32_t>();
  const auto type = static_cast<FrameType>(word >> 24);
  if (!is_known(type)) return WireErrc::unknown_frame_type;
  const std::uint32_t size = word & 0xff'ffffU;
  if (size > kPayloadSizeMax) return WireErrc::payload_too_large;
  return FrameHeader{type, size};
}

Bytes serialize_frame(FrameType type, ByteView payload) {
  Bytes frame(kFrameHeaderSize + payload.size());
  Writer out{frame};
  write_frame_header(out, type, payload.size());
  out.raw(payload);
  return frame;
}

StreamTag to_stream_tag(const StreamId& stream) noexcept {
  return *StreamTag::from(stream.view().first(StreamTag::kSize));
}

Result<ChunkView> parse_chunk(ByteView payload) noexcept {
  if (payload.size() < kChunkHeaderSize) return WireErrc::truncated;
  Reader in{payload};
  ChunkView chunk{};
  chunk.stream_tag = in.id<StreamTag>();
  chunk.slice_seq = SliceSeq{in.integer<std::uint64_t>()};
  chunk.track = TrackId{in.integer<std::uint32_t>()};
  chunk.index = in.integer<std::uint16_t>();
  if (in.integer<std::uint16_t>() != 0) return WireErrc::reserved_not_zero;
  chunk.bytes = in.raw(in.remaining());
  if (chunk.bytes.empty()) return WireErrc::chunk_empty;
  if (chunk.bytes.size() > kChunkSizeMax) return WireErrc::chunk_too_large;
  return chunk;
}

SharedBytes serialize_chunk_frame(const ChunkView& chunk) {
  TAYGA_CHECK(!chunk.bytes.empty() && chunk.bytes.size() <= kChunkSizeMax);
  const std::size_t payload_size = kChunkHeaderSize + chunk.bytes.size();
  auto frame = std::make_shared<Bytes>(kFrameHeaderSize + payload_size);
  Writer out{*frame};
  write_frame_header(out, FrameType::chunk, payload_size);
  out.raw(chunk.stream_tag.view());
  out.integer(chunk.slice_seq.value());
  out.integer(chunk.track.value());
  out.integer(chunk.index);
  out.integer(std::uint16_t{0});
  out.raw(chunk.bytes);
  return frame;
}

}  // namespace tayga::wire
