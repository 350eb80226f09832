#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/wire/frame.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tayga::media {

inline constexpr std::size_t kSliceSizeMax = 64 * 1024;
inline constexpr Duration kSliceDurationMax = 40ms;  ///< of the publisher's time
inline constexpr std::size_t kChunksPerSliceMax = kSliceSizeMax / wire::kChunkSize;  // 16
inline constexpr std::size_t kChunkHashSize = 16;
inline constexpr std::size_t kObjectSizeMax = 64 * 1024 * 1024;
inline constexpr std::size_t kPathSizeMax = 512;

enum class Priority : std::uint8_t { init = 0, playlist = 1, key_frame = 2, rest = 3 };

/// What an object is; relays do not look, players' HTTP types follow from the path.
enum class ObjectKind : std::uint8_t {
  segment = 0,
  init = 1,
  playlist = 2,
  catalog = 3,
  other = 4
};

using ChunkHash = std::array<std::byte, kChunkHashSize>;  ///< SHA-256 truncated to 16 bytes

/// Announces a slice: sent before its bytes, signed by the stream key.
///
//  off len field                              off len field
//    0  16 tag "tayga/slice/v1\0\0"            60   8 slice_seq
//   16   1 version = 1                         68   8 object_id
//   17   1 hash algorithm = 1 (SHA-256/128)    76   8 offset of the slice in its object
//   18   1 flags: 1 first, 2 last, 4 key frame 84   8 publisher_time_us, Unix
//   19   1 priority                            92   4 length of the slice, 0..65536
//   20  32 stream id                           96   2 path_size, 0 unless first
//   52   4 track                               98   1 object kind
//   56   4 publisher epoch                     99   1 reserved = 0
//  100  16*n chunk hashes, n = ceil(length / 4096); then path; then 64 B Ed25519 signature over all
//  before
inline constexpr std::size_t kSliceHeaderFixedSize = 100;
inline constexpr std::size_t kSliceHeaderSizeMax =
    kSliceHeaderFixedSize + kChunksPerSliceMax * kChunkHashSize + kPathSizeMax + 64;

struct SliceHeader {
  StreamId stream;
  TrackId track;
  PublisherEpoch epoch;
  SliceSeq seq;
  ObjectId object;
  std::uint64_t offset = 0;
  bool first = false;      ///< of its object; carries the path
  bool last = false;       ///< of its object; the object's size is offset + length
  bool key_frame = false;  ///< decoding can start at this object
  Priority priority = Priority::rest;
  ObjectKind kind = ObjectKind::segment;
  WallTime publisher_time{};  ///< when the slice's last byte reached the publisher
  std::uint32_t length = 0;   ///< 0 only with `last`: the end came after the bytes
  std::vector<ChunkHash> chunk_hashes;
  std::string path;  ///< relative, '/'-separated, normalised; only with `first`

  [[nodiscard]] std::size_t chunk_count() const noexcept { return chunk_hashes.size(); }
  /// Size of chunk `index`: wire::kChunkSize for all but the last. Pre: index < chunk_count().
  [[nodiscard]] std::size_t chunk_size(std::size_t index) const noexcept;
  friend bool operator==(const SliceHeader&, const SliceHeader&) = default;
};

/// Only the identity of the slice: what a relay checks before it pays for a signature.
struct SliceKey {
  StreamId stream;
  TrackId track;
  PublisherEpoch epoch;
  SliceSeq seq;
  friend auto operator<=>(const SliceKey&, const SliceKey&) = default;
};

/// `payload` is that of a slice_header frame. Checks the whole layout, not the signature.
/// Errors: truncated, trailing_bytes, bad_tag, bad_version, reserved_not_zero, bad_field (offset +
/// length beyond kObjectSizeMax, an unsafe path, an empty slice that is not last, `first` at
/// another offset than 0 or missing there).
Result<SliceHeader> parse_slice_header(ByteView payload);

/// All bytes before the signature. Pre: the path and the number of hashes fit the layout.
Bytes serialize_slice_header_body(const SliceHeader& header);
/// The payload of a slice_header frame. Pre: `header.stream` is the key's; a consistent header.
Bytes sign_slice_header(const SliceHeader& header, const crypto::SigningKey& stream_key);
/// One hash per 4 KiB of a slice. Pre: at most kSliceSizeMax bytes.
std::vector<ChunkHash> hash_chunks(ByteView slice);

/// True when the blob's trailing signature is `stream`'s over the bytes before it.
[[nodiscard]] bool verify_slice_header(ByteView payload, const StreamId& stream) noexcept;

/// True when the bytes are chunk `index` of that slice, by size and hash. 2.3 us for 4 KiB.
[[nodiscard]] bool verify_chunk(const SliceHeader& header, std::size_t index,
                                ByteView bytes) noexcept;

/// A relative path without empty, "." or ".." segments, backslashes, control characters or a
/// leading slash, at most kPathSizeMax bytes: what may become a key in a cache or part of a URL.
[[nodiscard]] bool is_safe_path(std::string_view path) noexcept;

}  // namespace tayga::media
