#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/crypto/hash.hpp"
#include "common/media/slicer.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

namespace tayga::sim {

/// Every frame that the publisher made in the last kFrameMemory, and all of what is no segment,
/// which relays keep for as long: what honest ones may forward.
class FrameBank {
 public:
  /// Longer than any relay keeps a slice and any session delays one.
  static constexpr Duration kFrameMemory = 90s;

  struct Slice {
    media::SliceHeader header;
    std::vector<SharedBytes> frames;            ///< 0 is the header's, i + 1 chunk i's
    std::vector<crypto::Sha256Digest> digests;  ///< of the chunks' bytes
  };

  void add(const media::SignedSlice& slice, TimePoint now);
  /// nullptr: never published, or too long ago.
  [[nodiscard]] const Slice* find(TrackId track, PublisherEpoch epoch, SliceSeq seq) const;
  /// Chunks do not name their epoch: the slice of the newest one of which `frame` is frame `index`,
  /// else just the newest one's.
  struct Match {
    const Slice* slice = nullptr;
    bool genuine = false;
  };
  [[nodiscard]] Match match_chunk(TrackId track, SliceSeq seq, std::size_t index,
                                  const SharedBytes& frame) const;
  /// It was published, and longer ago than what is remembered.
  [[nodiscard]] bool is_forgotten(TrackId track, SliceSeq seq) const;
  struct Next {
    PublisherEpoch epoch{0};  ///< the track's newest
    std::uint64_t seq = 0;    ///< one past its newest slice
  };
  [[nodiscard]] Next next(TrackId track) const;
  /// `frame` is frame `index` of `slice`, bit by bit.
  [[nodiscard]] static bool is_genuine(const Slice& slice, std::size_t index,
                                       const SharedBytes& frame);

 private:
  struct Run {
    std::uint64_t first_seq = 0;
    std::deque<Slice> slices;
    std::deque<TimePoint> added;
    std::map<std::uint64_t, Slice> kept;  ///< older ones that are no segment's
  };
  std::map<std::pair<TrackId, PublisherEpoch>, Run> runs_;
};

}  // namespace tayga::sim
