#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/media/slice.hpp"

#include <optional>
#include <string>
#include <vector>

namespace tayga::media {

/// A signed slice ready to be forwarded: header and chunks as whole frames (frame headers
/// included).
struct SignedSlice {
  SliceHeader header;
  SharedBytes header_frame;
  std::vector<SharedBytes> chunk_frames;
};

/// Turns the objects of one track into signed slices as their bytes arrive.
///
/// Sans-IO. Several objects may be open at once (a playlist arrives while a segment is being
/// uploaded): each gets its own ObjectId at open, slices take their sequence when they are cut, so
/// sequences never wait. One owner, not thread-safe. The signing key must outlive it. Drain
/// poll_slice() after every call: one append makes at most bytes / kSliceSizeMax + 1 slices. The
/// owner bounds how many objects are open; each holds at most one slice of bytes.
class Slicer {
 public:
  struct ObjectInfo {
    std::string path;  ///< must satisfy is_safe_path
    ObjectKind kind = ObjectKind::segment;
    bool key_frame = false;
  };

  Slicer(const crypto::SigningKey& stream_key, TrackId track, PublisherEpoch epoch);

  ObjectId open(ObjectInfo info, TimePoint now);
  /// Takes bytes; cuts a slice whenever kSliceSizeMax is reached. Error: object_too_large
  /// (bad_field) beyond kObjectSizeMax: abort() the object then. Pre: `object` is open.
  Result<void> append(ObjectId object, ByteView bytes, TimePoint now, WallTime wall);
  /// Cuts what is left and marks it last (an empty last slice when nothing is left).
  void finish(ObjectId object, TimePoint now, WallTime wall);
  /// Gives up an object: nobody will complete it. Slices already cut stay valid.
  void abort(ObjectId object);
  /// Cuts open slices that are kSliceDurationMax old.
  void on_timeout(TimePoint now, WallTime wall);

  [[nodiscard]] std::optional<SignedSlice> poll_slice();
  [[nodiscard]] std::optional<TimePoint> next_timeout() const;
  [[nodiscard]] std::uint64_t object_size(ObjectId object) const;

 private:
  struct OpenObject {
    ObjectId id;
    ObjectInfo info;
    std::uint64_t cut = 0;  // bytes already in slices
    Bytes pending;
    std::optional<TimePoint> pending_since;
    WallTime last_byte_at{};  // of pending
  };
  void cut(OpenObject& object, bool last, WallTime wall);
  OpenObject& find(ObjectId object);

  const crypto::SigningKey& key_;
  TrackId track_;
  PublisherEpoch epoch_;
  SliceSeq next_seq_{0};
  ObjectId next_object_{0};
  std::vector<OpenObject> open_;
  std::vector<SignedSlice> ready_;  // in sequence; poll_slice takes from the front
  std::size_t ready_taken_ = 0;
};

}  // namespace tayga::media
