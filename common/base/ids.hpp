#pragma once

#include "common/base/bytes.hpp"
#include "common/base/strong_id.hpp"

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>

namespace tayga {

/// A fixed-size opaque identifier; Tag keeps kinds apart. Ordered bytewise.
template <class Tag, std::size_t Size>
struct OpaqueId {
  static constexpr std::size_t kSize = Size;
  static_assert(Size >= sizeof(std::uint64_t));

  std::array<std::byte, Size> bytes{};

  /// nullopt unless `in` has exactly Size bytes.
  static std::optional<OpaqueId> from(ByteView in) noexcept {
    if (in.size() != Size) return std::nullopt;
    OpaqueId id;
    std::copy(in.begin(), in.end(), id.bytes.begin());
    return id;
  }

  [[nodiscard]] ByteView view() const noexcept { return bytes; }
  [[nodiscard]] bool is_zero() const noexcept { return *this == OpaqueId{}; }

  friend bool operator==(const OpaqueId& a, const OpaqueId& b) noexcept {
    return std::memcmp(a.bytes.data(), b.bytes.data(), Size) == 0;
  }
  /// Ids that differ do so in their first word nearly always: no call for them.
  friend std::strong_ordering operator<=>(const OpaqueId& a, const OpaqueId& b) noexcept {
    const std::uint64_t first = a.first_word();
    const std::uint64_t second = b.first_word();
    if (first != second) return first <=> second;
    return std::memcmp(a.bytes.data(), b.bytes.data(), Size) <=> 0;
  }

 private:
  [[nodiscard]] std::uint64_t first_word() const noexcept {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < sizeof word; ++i) {
      word = word << 8U | std::to_integer<std::uint64_t>(bytes[i]);
    }
    return word;
  }
};

/// Ed25519 public key of a node.
using NodeId = OpaqueId<struct NodeIdTag, 32>;
/// Ed25519 public key that signs a stream's slices.
using StreamId = OpaqueId<struct StreamIdTag, 32>;
/// First 8 bytes of SHA-256 of the network CA certificate (DER).
using NetworkId = OpaqueId<struct NetworkIdTag, 8>;
/// expiry in seconds (8 B, big endian) then 8 random bytes.
using AllocationId = OpaqueId<struct AllocationIdTag, 16>;
/// BLAKE2b-128(stream id, key = epoch secret): names a stream in an allocation without revealing
/// it.
using StreamHandle = OpaqueId<struct StreamHandleTag, 16>;

/// One rendition of a stream. Track 0 carries the catalog, master playlists and other files.
using TrackId = StrongId<struct TrackIdTag, std::uint32_t>;
inline constexpr TrackId kPresentationTrack{0};
/// Rises by one per slice within (stream, track, publisher epoch), from 0.
using SliceSeq = StrongId<struct SliceSeqTag, std::uint64_t>;
/// Rises by one per object within (stream, track, publisher epoch), from 0.
using ObjectId = StrongId<struct ObjectIdTag, std::uint64_t>;
/// Unix seconds at which this run of the publisher began; a later one replaces an earlier one.
using PublisherEpoch = StrongId<struct PublisherEpochTag, std::uint32_t>;
/// Slices with `seq mod K` equal to it, K = the stream's stripe count.
using StripeIndex = StrongId<struct StripeIndexTag, std::uint8_t>;
inline constexpr unsigned kStripeCountMax = 32;  ///< a stripe mask is 32 bits

}  // namespace tayga

template <class Tag, std::size_t Size>
struct std::hash<tayga::OpaqueId<Tag, Size>> {
  /// Ids are uniformly distributed keys or random bytes, so their first word is already a hash.
  /// NodeIds are chosen by strangers: bound any table that they can fill.
  std::size_t operator()(const tayga::OpaqueId<Tag, Size>& id) const noexcept {
    std::size_t word;
    std::memcpy(&word, id.bytes.data(), sizeof word);
    return word;
  }
};
