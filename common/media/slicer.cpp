#include "common/media/slicer.hpp"

#include "common/base/check.hpp"
#include "common/wire/frame.hpp"
#include "common/wire/wire_error.hpp"

#include <algorithm>
#include <utility>

namespace tayga::media {
namespace {

Priority to_priority(const Slicer::ObjectInfo& info) noexcept {
  switch (info.kind) {
    case ObjectKind::init:
      return Priority::init;
    case ObjectKind::playlist:
    case ObjectKind::catalog:
      return Priority::playlist;
    case ObjectKind::segment:
    case ObjectKind::other:
      break;
  }
  return info.key_frame ? Priority::key_frame : Priority::rest;
}

std::vector<SharedBytes> to_chunk_frames(const SliceHeader& header, ByteView slice) {
  std::vector<SharedBytes> frames;
  frames.reserve(header.chunk_count());
  for (std::size_t i = 0; i < header.chunk_count(); ++i) {
    const wire::ChunkView chunk{wire::to_stream_tag(header.stream), header.track, header.seq,
                                static_cast<std::uint16_t>(i),
                                slice.subspan(i * wire::kChunkSize, header.chunk_size(i))};
    frames.push_back(wire::serialize_chunk_frame(chunk));
  }
  return frames;
}

}  // namespace

Slicer::Slicer(const crypto::SigningKey& stream_key, TrackId track, PublisherEpoch epoch)
    : key_{stream_key}, track_{track}, epoch_{epoch} {}

ObjectId Slicer::open(ObjectInfo info, TimePoint) {
  TAYGA_CHECK(is_safe_path(info.path));
  const ObjectId id = next_object_;
  next_object_ = next_object_.next();
  OpenObject object;
  object.id = id;
  object.info = std::move(info);
  open_.push_back(std::move(object));
  return id;
}

Result<void> Slicer::append(ObjectId id, ByteView bytes, TimePoint now, WallTime wall) {
  OpenObject& object = find(id);
  if (bytes.size() > kObjectSizeMax - object.cut - object.pending.size()) {
    return wire::WireErrc::bad_field;
  }
  while (!bytes.empty()) {
    if (object.pending.empty()) object.pending_since = now;
    const std::size_t size = std::min(kSliceSizeMax - object.pending.size(), bytes.size());
    const ByteView part = bytes.first(size);
    object.pending.insert(object.pending.end(), part.begin(), part.end());
    object.last_byte_at = wall;
    bytes = bytes.subspan(size);
    if (object.pending.size() == kSliceSizeMax) cut(object, /*last=*/false, wall);
  }
  return {};
}

void Slicer::finish(ObjectId id, TimePoint, WallTime wall) {
  cut(find(id), /*last=*/true, wall);
  abort(id);
}

void Slicer::abort(ObjectId id) {
  const OpenObject& object = find(id);
  open_.erase(open_.begin() + (&object - open_.data()));
}

void Slicer::on_timeout(TimePoint now, WallTime wall) {
  for (OpenObject& object : open_) {
    if (object.pending_since && *object.pending_since + kSliceDurationMax <= now) {
      cut(object, /*last=*/false, wall);
    }
  }
}

std::optional<SignedSlice> Slicer::poll_slice() {
  if (ready_taken_ == ready_.size()) return std::nullopt;
  SignedSlice slice = std::move(ready_[ready_taken_++]);
  if (ready_taken_ == ready_.size()) {
    ready_.clear();
    ready_taken_ = 0;
  }
  return slice;
}

std::optional<TimePoint> Slicer::next_timeout() const {
  std::optional<TimePoint> earliest;
  for (const OpenObject& object : open_) {
    if (!object.pending_since) continue;
    const TimePoint due = *object.pending_since + kSliceDurationMax;
    if (!earliest || due < *earliest) earliest = due;
  }
  return earliest;
}

std::uint64_t Slicer::object_size(ObjectId id) const {
  const auto found = std::ranges::find(open_, id, &OpenObject::id);
  TAYGA_CHECK(found != open_.end());
  return found->cut + found->pending.size();
}

void Slicer::cut(OpenObject& object, bool last, WallTime wall) {
  SliceHeader header;
  header.stream = key_.stream_id();
  header.track = track_;
  header.epoch = epoch_;
  header.seq = next_seq_;
  header.object = object.id;
  header.offset = object.cut;
  header.first = object.cut == 0;
  header.last = last;
  header.key_frame = object.info.key_frame;
  header.priority = to_priority(object.info);
  header.kind = object.info.kind;
  header.publisher_time = object.pending.empty() ? wall : object.last_byte_at;
  header.length = static_cast<std::uint32_t>(object.pending.size());
  header.chunk_hashes = hash_chunks(object.pending);
  if (header.first) header.path = object.info.path;

  SignedSlice slice;
  slice.header_frame = std::make_shared<const Bytes>(
      wire::serialize_frame(wire::FrameType::slice_header, sign_slice_header(header, key_)));
  slice.chunk_frames = to_chunk_frames(header, object.pending);
  slice.header = std::move(header);
  ready_.push_back(std::move(slice));

  next_seq_ = next_seq_.next();
  object.cut += object.pending.size();
  object.pending.clear();
  object.pending_since.reset();
}

Slicer::OpenObject& Slicer::find(ObjectId id) {
  const auto found = std::ranges::find(open_, id, &OpenObject::id);
  TAYGA_CHECK(found != open_.end());
  return *found;
}

}  // namespace tayga::media
