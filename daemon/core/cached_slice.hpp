#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/media/slice.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace tayga::relay {

/// Which frames of a slice: bit 0 is the header, bit i + 1 is chunk i.
using FrameMask = std::uint32_t;
inline constexpr std::size_t kFramesPerSliceMax = media::kChunksPerSliceMax + 1;
static_assert(kFramesPerSliceMax < 32);
inline constexpr FrameMask kHeaderBit = 1;
constexpr FrameMask chunk_bit(std::size_t index) noexcept {
  return FrameMask{2} << index;
}
constexpr FrameMask full_mask(std::size_t chunk_count) noexcept {
  return (FrameMask{2} << chunk_count) - 1;
}

/// What a cached slice costs besides its frames, so that many tiny slices cannot hide from the
/// bound.
inline constexpr std::size_t kSliceOverhead = 1024;

/// One verified slice as far as it is here: its frames are shared by all children and the player.
///
/// Owned by the SliceCache and by the queues that still name it. Eviction lets go of the frames at
/// once, so that a queue which names it keeps no media alive; `bytes` stays, for the queues' sums.
struct CachedSlice {
  media::SliceHeader header;
  std::array<SharedBytes, kFramesPerSliceMax> frames;
  FrameMask have = 0;
  FrameMask full = 0;
  std::size_t bytes = 0;  ///< of the frames that arrived
  TimePoint arrived{};    ///< its header
  TimePoint last_frame{};
  std::uint64_t arrival_no = 0;  ///< rises over all slices of the relay
  bool evicted = false;
  bool retired = false;  ///< of an earlier publisher epoch: kept for players only
  /// Sessions that sent this very header, 0 = free. Only such a sender can be blamed for a chunk
  /// that does not match: another one may be a publisher epoch behind.
  std::array<std::uint64_t, 3> announcers{};

  [[nodiscard]] bool complete() const noexcept { return have == full; }
  [[nodiscard]] bool announced_by(std::uint64_t session) const noexcept {
    for (const auto announcer : announcers) {
      if (announcer == session) return true;
    }
    return false;
  }
  void add_announcer(std::uint64_t session) noexcept {
    if (announced_by(session)) return;
    for (auto& announcer : announcers) {
      if (announcer != 0) continue;
      announcer = session;
      return;
    }
  }
};
using SlicePtr = std::shared_ptr<CachedSlice>;

/// Media bytes inside a chunk frame.
ByteView chunk_payload(const SharedBytes& frame) noexcept;

/// Kinds whose newest objects a late joiner needs whatever their age.
constexpr bool is_sticky_kind(media::ObjectKind kind) noexcept {
  return kind != media::ObjectKind::segment;
}

}  // namespace tayga::relay
