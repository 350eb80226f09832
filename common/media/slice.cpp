#include "common/media/slice.hpp"

#include "common/crypto/hash.hpp"
#include "common/wire/big_endian.hpp"
#include "common/wire/wire_error.hpp"

#include <algorithm>
#include <limits>

namespace tayga::media {
namespace {

using namespace std::string_view_literals;
using wire::WireErrc;

constexpr std::string_view kTag = "tayga/slice/v1\0\0"sv;
static_assert(kTag.size() == 16);
constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kHashSha256Truncated = 1;
constexpr std::uint8_t kFlagFirst = 1;
constexpr std::uint8_t kFlagLast = 2;
constexpr std::uint8_t kFlagKeyFrame = 4;
constexpr std::uint8_t kFlagsKnown = kFlagFirst | kFlagLast | kFlagKeyFrame;
constexpr std::size_t kSignatureSize = sizeof(crypto::Signature);
constexpr std::uint64_t kTimeMax = std::numeric_limits<std::int64_t>::max();

std::uint8_t to_flags(const SliceHeader& header) noexcept {
  return static_cast<std::uint8_t>((header.first ? kFlagFirst : 0) | (header.last ? kFlagLast : 0) |
                                   (header.key_frame ? kFlagKeyFrame : 0));
}

std::size_t chunk_count_of(std::uint32_t length) noexcept {
  return (length + wire::kChunkSize - 1) / wire::kChunkSize;
}

/// The fixed fields against each other and against the limits.
bool is_possible(const SliceHeader& header) noexcept {
  if (header.length > kSliceSizeMax) return false;
  if (header.length == 0 && !header.last) return false;
  if (header.offset > kObjectSizeMax - header.length) return false;
  // No slice before the last is empty, so exactly the first one starts at 0.
  return header.first == (header.offset == 0);
}

ChunkHash hash_chunk(ByteView bytes) noexcept {
  const crypto::Sha256Digest digest = crypto::sha256(bytes);
  ChunkHash hash;
  std::copy_n(digest.begin(), hash.size(), hash.begin());
  return hash;
}

struct FixedPart {
  SliceHeader header;
  std::size_t path_size = 0;
};

/// Pre: at least kSliceHeaderFixedSize bytes are left in `in`.
Result<FixedPart> parse_fixed_part(wire::Reader& in) {
  if (as_text(in.raw(kTag.size())) != kTag) return WireErrc::bad_tag;
  if (in.integer<std::uint8_t>() != kVersion) return WireErrc::bad_version;
  if (in.integer<std::uint8_t>() != kHashSha256Truncated) return WireErrc::bad_version;
  FixedPart part;
  SliceHeader& header = part.header;
  const auto flags = in.integer<std::uint8_t>();
  if ((flags & ~kFlagsKnown) != 0) return WireErrc::reserved_not_zero;
  header.first = (flags & kFlagFirst) != 0;
  header.last = (flags & kFlagLast) != 0;
  header.key_frame = (flags & kFlagKeyFrame) != 0;
  const auto priority = in.integer<std::uint8_t>();
  if (priority > static_cast<std::uint8_t>(Priority::rest)) return WireErrc::bad_field;
  header.priority = static_cast<Priority>(priority);
  header.stream = in.id<StreamId>();
  header.track = TrackId{in.integer<std::uint32_t>()};
  header.epoch = PublisherEpoch{in.integer<std::uint32_t>()};
  header.seq = SliceSeq{in.integer<std::uint64_t>()};
  header.object = ObjectId{in.integer<std::uint64_t>()};
  header.offset = in.integer<std::uint64_t>();
  const auto time_us = in.integer<std::uint64_t>();
  if (time_us > kTimeMax) return WireErrc::bad_field;
  header.publisher_time = WallTime{std::chrono::microseconds{static_cast<std::int64_t>(time_us)}};
  header.length = in.integer<std::uint32_t>();
  part.path_size = in.integer<std::uint16_t>();
  const auto kind = in.integer<std::uint8_t>();
  if (kind > static_cast<std::uint8_t>(ObjectKind::other)) return WireErrc::bad_field;
  header.kind = static_cast<ObjectKind>(kind);
  if (in.integer<std::uint8_t>() != 0) return WireErrc::reserved_not_zero;
  if (!is_possible(header)) return WireErrc::bad_field;
  const bool path_fits =
      header.first ? part.path_size > 0 && part.path_size <= kPathSizeMax : part.path_size == 0;
  if (!path_fits) return WireErrc::bad_field;
  return part;
}

}  // namespace

std::size_t SliceHeader::chunk_size(std::size_t index) const noexcept {
  TAYGA_CHECK(index < chunk_hashes.size());
  return std::min(wire::kChunkSize, length - index * wire::kChunkSize);
}

Result<SliceHeader> parse_slice_header(ByteView payload) {
  if (payload.size() < kSliceHeaderFixedSize + kSignatureSize) return WireErrc::truncated;
  wire::Reader in{payload};
  Result<FixedPart> fixed = parse_fixed_part(in);
  if (!fixed) return fixed.error();
  SliceHeader header = std::move(fixed->header);
  const std::size_t count = chunk_count_of(header.length);
  const std::size_t size = count * kChunkHashSize + fixed->path_size + kSignatureSize;
  if (in.remaining() < size) return WireErrc::truncated;
  if (in.remaining() > size) return WireErrc::trailing_bytes;
  header.chunk_hashes.resize(count);
  for (ChunkHash& hash : header.chunk_hashes) {
    std::ranges::copy(in.raw(hash.size()), hash.begin());
  }
  header.path = as_text(in.raw(fixed->path_size));
  if (header.first && !is_safe_path(header.path)) return WireErrc::bad_field;
  return header;
}

Bytes serialize_slice_header_body(const SliceHeader& header) {
  TAYGA_CHECK(header.path.size() <= kPathSizeMax);
  TAYGA_CHECK(header.chunk_hashes.size() == chunk_count_of(header.length));
  Bytes body(kSliceHeaderFixedSize + header.chunk_hashes.size() * kChunkHashSize +
             header.path.size());
  wire::Writer out{body};
  out.raw(as_bytes(kTag));
  out.integer(kVersion);
  out.integer(kHashSha256Truncated);
  out.integer(to_flags(header));
  out.integer(static_cast<std::uint8_t>(header.priority));
  out.raw(header.stream.view());
  out.integer(header.track.value());
  out.integer(header.epoch.value());
  out.integer(header.seq.value());
  out.integer(header.object.value());
  out.integer(header.offset);
  out.integer(static_cast<std::uint64_t>(header.publisher_time.time_since_epoch().count()));
  out.integer(header.length);
  out.integer(static_cast<std::uint16_t>(header.path.size()));
  out.integer(static_cast<std::uint8_t>(header.kind));
  out.integer(std::uint8_t{0});  // reserved
  for (const ChunkHash& hash : header.chunk_hashes) out.raw(hash);
  out.raw(as_bytes(header.path));
  TAYGA_CHECK(out.used() == body.size());
  return body;
}

Bytes sign_slice_header(const SliceHeader& header, const crypto::SigningKey& stream_key) {
  TAYGA_CHECK(header.stream == stream_key.stream_id());
  Bytes payload = serialize_slice_header_body(header);
  const crypto::Signature signature = stream_key.sign(payload);
  payload.insert(payload.end(), signature.begin(), signature.end());
  return payload;
}

std::vector<ChunkHash> hash_chunks(ByteView slice) {
  TAYGA_CHECK(slice.size() <= kSliceSizeMax);
  std::vector<ChunkHash> hashes;
  hashes.reserve(chunk_count_of(static_cast<std::uint32_t>(slice.size())));
  while (!slice.empty()) {
    const std::size_t size = std::min(wire::kChunkSize, slice.size());
    hashes.push_back(hash_chunk(slice.first(size)));
    slice = slice.subspan(size);
  }
  return hashes;
}

bool verify_slice_header(ByteView payload, const StreamId& stream) noexcept {
  if (payload.size() < kSliceHeaderFixedSize + kSignatureSize) return false;
  return crypto::verify(stream.bytes, payload.first(payload.size() - kSignatureSize),
                        payload.last(kSignatureSize));
}

bool verify_chunk(const SliceHeader& header, std::size_t index, ByteView bytes) noexcept {
  if (index >= header.chunk_count() || bytes.size() != header.chunk_size(index)) return false;
  return hash_chunk(bytes) == header.chunk_hashes[index];
}

bool is_safe_path(std::string_view path) noexcept {
  if (path.empty() || path.size() > kPathSizeMax) return false;
  const auto is_forbidden = [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u < 0x20 || u == 0x7f || c == '\\';
  };
  if (std::ranges::any_of(path, is_forbidden)) return false;
  for (;;) {
    const std::size_t slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    if (segment.empty() || segment == "." || segment == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace tayga::media
