#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace tayga::wire {

//  | type u8 | payload_size u24, big endian | payload ... |     every frame of a peer session
inline constexpr std::size_t kFrameHeaderSize = 4;
inline constexpr std::size_t kPayloadSizeMax = 64 * 1024;
/// A chunk that this project makes has at most kChunkSize bytes; what it accepts is kChunkSizeMax.
inline constexpr std::size_t kChunkSize = 4 * 1024;
inline constexpr std::size_t kChunkSizeMax = 16 * 1024;

enum class FrameType : std::uint8_t {
  control = 0x01,       ///< protobuf tayga.v1.PeerMessage
  slice_header = 0x10,  ///< common/media/slice.hpp, signed
  chunk = 0x11,         ///< ChunkFrame below
};

struct FrameHeader {
  FrameType type;
  std::uint32_t payload_size;
  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

/// Reads one header from the front of `in`; later bytes are not looked at. Never throws or
/// allocates. Errors: need_more = read more and call again; any other code = the peer is broken,
/// close the session.
Result<FrameHeader> parse_frame_header(ByteView in) noexcept;

/// Frame header followed by the payload, in one buffer. Pre: payload.size() <= kPayloadSizeMax.
Bytes serialize_frame(FrameType type, ByteView payload);

//  chunk payload: | stream_tag 8 | slice_seq u64 | track u32 | index u16 | reserved u16 = 0 | bytes
//  |
inline constexpr std::size_t kChunkHeaderSize = 24;

/// First 8 bytes of the stream id: enough to route a chunk to its verified slice header, which
/// carries the whole id. The same bytes go to every child, so a frame is encoded once per relay.
using StreamTag = OpaqueId<struct StreamTagTag, 8>;
StreamTag to_stream_tag(const StreamId& stream) noexcept;

struct ChunkView {
  StreamTag stream_tag;
  TrackId track;
  SliceSeq slice_seq;
  std::uint16_t index;  ///< in the slice, from 0
  ByteView bytes;       ///< borrows from the parsed payload
};

/// `payload` is the payload of a chunk frame. Errors: truncated, reserved_not_zero,
/// chunk_too_large, chunk_empty.
Result<ChunkView> parse_chunk(ByteView payload) noexcept;

/// A whole frame, frame header included, ready to be queued to any number of children.
SharedBytes serialize_chunk_frame(const ChunkView& chunk);

}  // namespace tayga::wire
