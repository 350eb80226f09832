#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/media/slice.hpp"
#include "daemon/core/now.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tayga::relay {

/// One object of a track as far as it is here.
struct ObjectInfo {
  PublisherEpoch epoch;
  ObjectId id;
  std::string path;  ///< empty until its first slice is here
  media::ObjectKind kind = media::ObjectKind::segment;
  bool key_frame = false;
  std::uint64_t contiguous = 0;       ///< bytes readable from the start without a hole
  std::optional<std::uint64_t> size;  ///< known when the last slice is
  [[nodiscard]] bool complete() const noexcept { return size && contiguous == *size; }
  WallTime publisher_time{};             ///< of its newest slice; of the last one when complete
  std::optional<WallTime> completed_at;  ///< here
  bool late = false;                     ///< completed after the playout window
};

/// Part of an object's bytes; `owner` keeps them alive.
struct ObjectBytes {
  SharedBytes owner;
  ByteView bytes;
};

/// Assembles the slices of one track into objects that players can read while they arrive.
///
/// Pure. Holds references to the relay's shared chunk frames, no copies. Objects leave with the
/// relay's window (trim). Several versions of one path (playlists): find() gives the newest
/// complete.
class ObjectStore {
 public:
  ObjectStore();
  ~ObjectStore();
  ObjectStore(ObjectStore&&) noexcept;
  ObjectStore& operator=(ObjectStore&&) noexcept;

  struct Late {
    Duration window;        ///< the stream's playout window
    WallTime played_since;  ///< what was published before the track was joined cannot be late by it
  };
  void on_header(const media::SliceHeader& header);
  /// The same, with the time: an empty last slice completes its object.
  void on_header(const media::SliceHeader& header, Now now, const Late& late);
  /// `frame` is the whole chunk frame, `payload` its media bytes inside it. Verified before.
  void on_chunk(const media::SliceHeader& header, std::size_t index, SharedBytes frame,
                ByteView payload, Now now, const Late& late);
  /// Drops objects older than `object` of the same publisher epoch (the window moved on).
  /// Returns how many of them were incomplete.
  std::size_t trim_before(PublisherEpoch epoch, ObjectId object);
  /// What may follow the newest slice of an object that never got its last one: `whole` = nothing
  /// was lost on the way, the publisher gave it up; `open` = slices are missing.
  enum class Tail : std::uint8_t { whole, open };
  /// Drops one object (its first bytes left the window). It counts as lost when it is incomplete,
  /// began after the track was joined, and the publisher did not give it up.
  void drop(PublisherEpoch epoch, ObjectId object, Tail tail);

  /// Newest complete object with this path, else the newest incomplete one that has its path.
  [[nodiscard]] std::optional<ObjectInfo> find(std::string_view path) const;
  [[nodiscard]] std::optional<ObjectInfo> get(PublisherEpoch epoch, ObjectId id) const;
  /// The same without a copy; nullptr when it is not here. Valid until the next change.
  [[nodiscard]] const ObjectInfo* peek(PublisherEpoch epoch, ObjectId id) const;
  /// The run of bytes that starts at `offset`, at most one chunk; nullopt when not here (yet).
  [[nodiscard]] std::optional<ObjectBytes> read(PublisherEpoch epoch, ObjectId id,
                                                std::uint64_t offset) const;
  /// Visits objects above `after` (all when nullopt), oldest first, until `visit(info)` is false.
  template <class Visit>
  void for_each_after(const std::optional<std::pair<PublisherEpoch, ObjectId>>& after,
                      Visit&& visit) const {
    for (const ObjectInfo* info = next(after); info != nullptr;
         info = next(std::pair{info->epoch, info->id})) {
      if (!visit(*info)) return;
    }
  }
  /// The lowest object above `after`; nullptr when there is none. Valid until the next change.
  [[nodiscard]] const ObjectInfo* next(
      const std::optional<std::pair<PublisherEpoch, ObjectId>>& after) const;
  /// The first run of bytes that is missing; nullopt when none is. `end` is 0 when the object's
  /// size is not known and nothing lies behind the hole.
  struct Hole {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  [[nodiscard]] std::optional<Hole> first_hole(PublisherEpoch epoch, ObjectId id) const;
  /// Bytes of an object that did not come as signed slices: the origin's. For players here only,
  /// never for children. `size` of the object when the origin said it.
  void on_origin(PublisherEpoch epoch, ObjectId id, std::uint64_t offset, SharedBytes bytes,
                 std::optional<std::uint64_t> size, Now now, const Late& late);
  /// All objects, oldest first.
  [[nodiscard]] std::vector<ObjectInfo> list() const;

  struct Counters {
    std::uint64_t complete = 0;
    std::uint64_t late = 0;
    std::uint64_t lost = 0;
  };
  [[nodiscard]] const Counters& counters() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tayga::relay
