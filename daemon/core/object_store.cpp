#include "daemon/core/object_store.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace tayga::relay {
namespace {

/// Objects that left: what still comes of them is not started again.
constexpr std::size_t kGoneObjectsMax = 64;

using Key = std::pair<PublisherEpoch, ObjectId>;

struct Piece {
  SharedBytes owner;
  ByteView bytes;
};

struct Object {
  ObjectInfo info;
  std::map<std::uint64_t, Piece> pieces;  // by offset
  std::uint64_t announced = 0;            // end of the furthest slice
  WallTime first_time{};                  // publisher's, of its oldest slice here
  bool has_first = false;
};

}  // namespace

class ObjectStore::Impl {
 public:
  void on_header(const media::SliceHeader& header, const std::optional<Now>& now,
                 const Late& late) {
    const Key key{header.epoch, header.object};
    if (std::find(gone.begin(), gone.end(), key) != gone.end()) return;
    auto [it, is_new] = objects.try_emplace(key);
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
    const auto it = objects.find(Key{header.epoch, header.object});
    if (it == objects.end()) return;
    Object& object = it->second;
    const std::uint64_t offset = header.offset + index * wire::kChunkSize;
    object.pieces.try_emplace(offset, Piece{std::move(frame), payload});
    settle(object, now, late);
  }

  void on_origin(const Key& key, std::uint64_t offset, SharedBytes bytes,
                 std::optional<std::uint64_t> size, Now now, const Late& late) {
    const auto it = objects.find(key);
    if (it == objects.end()) return;
    Object& object = it->second;
    if (!object.info.size && size && *size >= object.announced) object.info.size = size;
    const ByteView view{*bytes};
    if (!view.empty()) object.pieces.try_emplace(offset, Piece{std::move(bytes), view});
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
    objects.erase(it);
    if (gone.size() >= kGoneObjectsMax) gone.pop_front();
    gone.push_back(key);
  }

  [[nodiscard]] const Object* find(const Key& key) const {
    const auto it = objects.find(key);
    return it == objects.end() ? nullptr : &it->second;
  }

  std::map<Key, Object> objects;
  Counters counters;
  std::deque<Key> gone;
  // The first object that began after the track was joined: an earlier one may lack its begin.
  std::optional<Key> counted_from;

 private:
  void count_from(const Key& key) {
    if (!counted_from || key < *counted_from) counted_from = key;
  }

  void settle(Object& object, const std::optional<Now>& now, const Late& late) {
    ObjectInfo& info = object.info;
    if (info.completed_at) return;
    for (auto it = object.pieces.find(info.contiguous); it != object.pieces.end();
         it = object.pieces.find(info.contiguous)) {
      info.contiguous += it->second.bytes.size();
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
  auto it = object->pieces.upper_bound(offset);
  if (it == object->pieces.begin()) return std::nullopt;
  --it;
  const std::uint64_t inside = offset - it->first;
  if (inside >= it->second.bytes.size()) return std::nullopt;
  return ObjectBytes{it->second.owner, it->second.bytes.subspan(inside)};
}

const ObjectInfo* ObjectStore::next(const std::optional<Key>& after) const {
  const auto it = after ? impl_->objects.upper_bound(*after) : impl_->objects.begin();
  return it == impl_->objects.end() ? nullptr : &it->second.info;
}

std::optional<ObjectStore::Hole> ObjectStore::first_hole(PublisherEpoch epoch, ObjectId id) const {
  const Object* object = impl_->find(Key{epoch, id});
  if (object == nullptr || object->info.complete()) return std::nullopt;
  const std::uint64_t begin = object->info.contiguous;
  const auto behind = object->pieces.lower_bound(begin);
  if (behind != object->pieces.end()) return Hole{begin, behind->first};
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
