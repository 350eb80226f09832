#include "daemon/core/object_store.hpp"

#include <algorithm>
#include <deque>
#include <iterator>
#include <utility>
#include <vector>

namespace tayga::relay {
namespace {

/// Objects that left: what still comes of them is not started again.
constexpr std::size_t kGoneObjectsMax = 64;

using Key = std::pair<PublisherEpoch, ObjectId>;

struct Piece {
  std::uint64_t offset = 0;
  SharedBytes owner;
  ByteView bytes;
};

/// Parts of one object by offset. They come in order but for a few; whoever sends them the other
/// way round moves at most the 16,384 of the largest object for each.
class Pieces {
 public:
  using Iterator = std::vector<Piece>::const_iterator;

  /// One that begins where another one does is not taken.
  void add(Piece piece) {
    const auto place = lower_bound(piece.offset);
    if (place != pieces_.end() && place->offset == piece.offset) return;
    pieces_.insert(place, std::move(piece));
  }
  /// nullptr: none begins there.
  [[nodiscard]] const Piece* find(std::uint64_t offset) const {
    const auto place = lower_bound(offset);
    return place == pieces_.end() || place->offset != offset ? nullptr : &*place;
  }
  /// The first one that begins at `offset` or behind it; nullptr when there is none.
  [[nodiscard]] const Piece* at_or_behind(std::uint64_t offset) const {
    const auto place = lower_bound(offset);
    return place == pieces_.end() ? nullptr : &*place;
  }
  /// The last one that begins at `offset` or before it; nullptr when there is none.
  [[nodiscard]] const Piece* at_or_before(std::uint64_t offset) const {
    const auto place = std::ranges::upper_bound(pieces_, offset, {}, &Piece::offset);
    return place == pieces_.begin() ? nullptr : &*std::prev(place);
  }

 private:
  [[nodiscard]] Iterator lower_bound(std::uint64_t offset) const {
    if (pieces_.empty() || pieces_.back().offset < offset) return pieces_.end();
    if (pieces_.back().offset == offset) return std::prev(pieces_.end());
    return std::ranges::lower_bound(pieces_, offset, {}, &Piece::offset);
  }

  std::vector<Piece> pieces_;
};

struct Object {
  ObjectInfo info;
  Pieces pieces;
  std::uint64_t announced = 0;  // end of the furthest slice
  WallTime first_time{};        // publisher's, of its oldest slice here
  bool has_first = false;
};

}  // namespace

class ObjectStore::Impl {
 public:
  void on_header(const media::SliceHeader& header, const std::optional<Now>& now,
                 const Late& late) {
    const Key key{header.epoch, header.object};
    auto it = find_recent(key);
    const bool is_new = it == objects.end();
    if (is_new && std::find(gone.begin(), gone.end(), key) != gone.end()) return;
    if (is_new) it = recent = objects.try_emplace(key).first;
    Object& object = it->second;
    if (is_new) {
      object.info.epoch = header.epoch;
      object.info.id = header.object;
      object.info.kind = header.kind;
      object.first_time = header.publisher_time;
    }
    object.info.key_frame = object.info.key_frame || header.key_frame;
    object.first_time = std::min(object.first_time, header.publisher_time);
    object.info.publisher_time = std::max(object.info.publisher_time, header.publisher_time);
    object.announced = std::max(object.announced, header.offset + header.length);
    if (header.first) {
      object.info.path = header.path;
      object.has_first = true;
      if (header.publisher_time >= late.played_since) count_from(key);
    }
    if (header.last && !object.info.size) object.info.size = header.offset + header.length;
    if (header.length == 0) settle(object, now, late);
  }

  void on_chunk(const media::SliceHeader& header, std::size_t index, SharedBytes frame,
                ByteView payload, Now now, const Late& late) {
    const auto it = find_recent(Key{header.epoch, header.object});
    if (it == objects.end()) return;
    Object& object = it->second;
    const std::uint64_t offset = header.offset + index * wire::kChunkSize;
    object.pieces.add(Piece{offset, std::move(frame), payload});
    settle(object, now, late);
  }

  void on_origin(const Key& key, std::uint64_t offset, SharedBytes bytes,
                 std::optional<std::uint64_t> size, Now now, const Late& late) {
    const auto it = objects.find(key);
    if (it == objects.end()) return;
    Object& object = it->second;
    if (!object.info.size && size && *size >= object.announced) object.info.size = size;
    const ByteView view{*bytes};
    if (!view.empty()) object.pieces.add(Piece{offset, std::move(bytes), view});
    settle(object, now, late);
  }

  void drop(const Key& key, Tail tail) {
    const auto it = objects.find(key);
    if (it == objects.end()) return;
    const Object& object = it->second;
    if (!object.info.complete() && counted_from && key >= *counted_from) {
      const bool given_up = tail == Tail::whole && !object.info.size && object.has_first &&
                            object.info.contiguous == object.announced;
      if (!given_up) ++counters.lost;
    }
    if (recent == it) recent = objects.end();
    objects.erase(it);
    if (gone.size() >= kGoneObjectsMax) gone.pop_front();
    gone.push_back(key);
  }

  [[nodiscard]] const Object* find(const Key& key) const {
    const auto it = objects.find(key);
    return it == objects.end() ? nullptr : &it->second;
  }

  using Objects = std::map<Key, Object>;

  Objects objects;
  Objects::iterator recent = objects.end();  // slices of one object come one after the other
  Counters counters;
  std::deque<Key> gone;
  // The first object that began after the track was joined: an earlier one may lack its begin.
  std::optional<Key> counted_from;

 private:
  Objects::iterator find_recent(const Key& key) {
    if (recent == objects.end() || recent->first != key) recent = objects.find(key);
    return recent;
  }
  void count_from(const Key& key) {
    if (!counted_from || key < *counted_from) counted_from = key;
  }

  void settle(Object& object, const std::optional<Now>& now, const Late& late) {
    ObjectInfo& info = object.info;
    if (info.completed_at) return;
    while (const Piece* next = object.pieces.find(info.contiguous)) {
      info.contiguous += next->bytes.size();
    }
    if (!info.complete()) return;
    info.completed_at = now ? now->wall : info.publisher_time;
    const WallTime due = std::max(info.publisher_time, late.played_since) + late.window;
    info.late = *info.completed_at > due;
    ++counters.complete;
    if (info.late) ++counters.late;
  }
};

ObjectStore::ObjectStore() : impl_{std::make_unique<Impl>()} {}
ObjectStore::~ObjectStore() = default;
ObjectStore::ObjectStore(ObjectStore&&) noexcept = default;
ObjectStore& ObjectStore::operator=(ObjectStore&&) noexcept = default;

void ObjectStore::on_header(const media::SliceHeader& header) {
  impl_->on_header(header, std::nullopt, Late{Duration::zero(), WallTime{}});
}

void ObjectStore::on_header(const media::SliceHeader& header, Now now, const Late& late) {
  impl_->on_header(header, now, late);
}

void ObjectStore::on_chunk(const media::SliceHeader& header, std::size_t index, SharedBytes frame,
                           ByteView payload, Now now, const Late& late) {
  impl_->on_chunk(header, index, std::move(frame), payload, now, late);
}

std::size_t ObjectStore::trim_before(PublisherEpoch epoch, ObjectId object) {
  std::size_t incomplete = 0;
  auto it = impl_->objects.lower_bound(Key{epoch, ObjectId{0}});
  while (it != impl_->objects.end() && it->first < Key{epoch, object}) {
    const Key key = it->first;
    if (!it->second.info.complete()) ++incomplete;
    ++it;
    impl_->drop(key, Tail::open);
  }
  return incomplete;
}

void ObjectStore::drop(PublisherEpoch epoch, ObjectId object, Tail tail) {
  impl_->drop(Key{epoch, object}, tail);
}

std::optional<ObjectInfo> ObjectStore::find(std::string_view path) const {
  const ObjectInfo* incomplete = nullptr;
  for (auto it = impl_->objects.rbegin(); it != impl_->objects.rend(); ++it) {
    const ObjectInfo& info = it->second.info;
    if (info.path != path) continue;
    if (info.complete()) return info;
    if (incomplete == nullptr) incomplete = &info;
  }
  if (incomplete == nullptr) return std::nullopt;
  return *incomplete;
}

std::optional<ObjectInfo> ObjectStore::get(PublisherEpoch epoch, ObjectId id) const {
  const Object* object = impl_->find(Key{epoch, id});
  if (object == nullptr) return std::nullopt;
  return object->info;
}

const ObjectInfo* ObjectStore::peek(PublisherEpoch epoch, ObjectId id) const {
  const Object* object = impl_->find(Key{epoch, id});
  return object == nullptr ? nullptr : &object->info;
}

std::optional<ObjectBytes> ObjectStore::read(PublisherEpoch epoch, ObjectId id,
                                             std::uint64_t offset) const {
  const Object* object = impl_->find(Key{epoch, id});
  if (object == nullptr) return std::nullopt;
  const Piece* piece = object->pieces.at_or_before(offset);
  if (piece == nullptr) return std::nullopt;
  const std::uint64_t inside = offset - piece->offset;
  if (inside >= piece->bytes.size()) return std::nullopt;
  return ObjectBytes{piece->owner, piece->bytes.subspan(inside)};
}

const ObjectInfo* ObjectStore::next(const std::optional<Key>& after) const {
  const auto it = after ? impl_->objects.upper_bound(*after) : impl_->objects.begin();
  return it == impl_->objects.end() ? nullptr : &it->second.info;
}

std::optional<ObjectStore::Hole> ObjectStore::first_hole(PublisherEpoch epoch, ObjectId id) const {
  const Object* object = impl_->find(Key{epoch, id});
  if (object == nullptr || object->info.complete()) return std::nullopt;
  const std::uint64_t begin = object->info.contiguous;
  if (const Piece* behind = object->pieces.at_or_behind(begin)) return Hole{begin, behind->offset};
  return Hole{begin, object->info.size.value_or(0)};
}

void ObjectStore::on_origin(PublisherEpoch epoch, ObjectId id, std::uint64_t offset,
                            SharedBytes bytes, std::optional<std::uint64_t> size, Now now,
                            const Late& late) {
  impl_->on_origin(Key{epoch, id}, offset, std::move(bytes), size, now, late);
}

std::vector<ObjectInfo> ObjectStore::list() const {
  std::vector<ObjectInfo> all;
  all.reserve(impl_->objects.size());
  for (const auto& [key, object] : impl_->objects) all.push_back(object.info);
  return all;
}

const ObjectStore::Counters& ObjectStore::counters() const noexcept {
  return impl_->counters;
}

}  // namespace tayga::relay
