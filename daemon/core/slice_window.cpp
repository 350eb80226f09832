#include "daemon/core/slice_window.hpp"

#include "common/base/check.hpp"
#include "common/wire/frame.hpp"

#include <algorithm>
#include <utility>

namespace tayga::relay {

ByteView chunk_payload(const SharedBytes& frame) noexcept {
  return ByteView{*frame}.subspan(wire::kFrameHeaderSize + wire::kChunkHeaderSize);
}

namespace {

std::size_t versions_max(media::ObjectKind kind, bool path_known) noexcept {
  if (kind == media::ObjectKind::playlist) return kStickyPlaylistVersions;
  return path_known ? kStickyVersions : kStickyUnknownPath;
}

}  // namespace

void SliceWindow::insert(const SlicePtr& slice) {
  const media::SliceHeader& header = slice->header;
  const std::size_t before = slices_.size();
  const auto place = slices_.emplace_hint(slices_.end(), header.seq, slice);
  TAYGA_CHECK(slices_.size() == before + 1);
  Recent& recent = recent_[header.seq.value() % kRecent];
  if (recent.seq <= header.seq) recent = Recent{header.seq, &place->second};
  if (!head_ || *head_ < header.seq) head_ = header.seq;

  auto it = find_object(header.object);
  const bool is_new = it == objects_.end();
  if (is_new) it = recent_object_ = objects_.try_emplace(header.object).first;
  Object& object = it->second;
  if (is_new) {
    object.kind = header.kind;
    object.first_seq = object.last_seq = header.seq;
  }
  object.first_seq = std::min(object.first_seq, header.seq);
  object.last_seq = std::max(object.last_seq, header.seq);
  ++object.slices;
  object.bytes += slice->bytes;
  if (header.first) object.path = header.path;
  if (is_sticky_kind(object.kind) && (is_new || header.first)) choose_sticky();
}

void SliceWindow::erase(const CachedSlice& slice) {
  const SliceSeq seq = slice.header.seq;
  const auto object = objects_.find(slice.header.object);
  TAYGA_CHECK(object != objects_.end());
  if (!is_sticky_kind(slice.header.kind)) floor_ = std::max(floor_, seq.next());
  const auto oldest = slices_.begin();
  const auto place = oldest != slices_.end() && oldest->first == seq ? oldest : slices_.find(seq);
  if (place != slices_.end()) {
    Recent& recent = recent_[seq.value() % kRecent];
    if (recent.seq == seq) recent.place = nullptr;
    slices_.erase(place);
  }
  object->second.bytes -= slice.bytes;
  if (--object->second.slices > 0) return;
  if (recent_object_ == object) recent_object_ = objects_.end();
  objects_.erase(object);
}

void SliceWindow::clear() {
  slices_.clear();
  recent_.fill(Recent{});
  objects_.clear();
  recent_object_ = objects_.end();
  head_.reset();
  floor_ = SliceSeq{0};
  unstuck_ = true;
}

void SliceWindow::on_bytes(const CachedSlice& slice, std::size_t bytes) {
  const auto object = find_object(slice.header.object);
  TAYGA_CHECK(object != objects_.end());
  object->second.bytes += bytes;
  // Growth alone can push a track over its sticky bytes.
  if (object->second.sticky) choose_sticky();
}

SliceWindow::Objects::iterator SliceWindow::find_object(ObjectId object) {
  if (recent_object_ == objects_.end() || recent_object_->first != object) {
    recent_object_ = objects_.find(object);
  }
  return recent_object_;
}

const SlicePtr* SliceWindow::find(SliceSeq seq) const {
  if (!head_ || *head_ < seq) return nullptr;
  const Recent& recent = recent_[seq.value() % kRecent];
  if (recent.seq == seq) return recent.place;
  if (recent.seq < seq) return nullptr;
  const auto it = slices_.find(seq);
  return it == slices_.end() ? nullptr : &it->second;
}

bool SliceWindow::is_complete(SliceSeq seq) const {
  const SlicePtr* slice = find(seq);
  return slice != nullptr && (*slice)->complete();
}

bool SliceWindow::is_sticky(ObjectId object) const {
  const auto it = objects_.find(object);
  return it != objects_.end() && it->second.sticky;
}

bool SliceWindow::take_unstuck() noexcept {
  return std::exchange(unstuck_, false);
}

SliceSeq SliceWindow::late_join_start() const {
  SliceSeq start = head_ ? head_->next() : SliceSeq{0};
  std::size_t found = 0;
  for (auto it = objects_.rbegin(); it != objects_.rend() && found < kLateJoinSegments; ++it) {
    if (is_sticky_kind(it->second.kind)) continue;
    start = std::min(start, it->second.first_seq);
    ++found;
  }
  return start;
}

bool SliceWindow::is_gapless(SliceSeq after, std::size_t span) const {
  SliceSeq seq = after;
  for (std::size_t i = 0; i < span; ++i) {
    seq = seq.next();
    if (!head_ || *head_ < seq) return true;
    if (find(seq) == nullptr) return false;
  }
  return true;
}

std::optional<SliceSeq> SliceWindow::last_seq_of(ObjectId object) const {
  const auto it = objects_.find(object);
  if (it == objects_.end()) return std::nullopt;
  return it->second.last_seq;
}

void SliceWindow::choose_sticky() {
  using Group = std::pair<media::ObjectKind, std::string_view>;
  std::map<Group, std::size_t> versions;
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (auto it = objects_.rbegin(); it != objects_.rend(); ++it) {
    Object& object = it->second;
    if (!is_sticky_kind(object.kind)) continue;
    std::size_t& version = versions[Group{object.kind, object.path}];
    const bool chosen = version < versions_max(object.kind, !object.path.empty()) &&
                        count < kStickyObjectsMax && bytes + object.bytes <= kStickyBytesMax;
    if (chosen) {
      ++version;
      ++count;
      bytes += object.bytes;
    }
    if (object.sticky && !chosen) unstuck_ = true;
    object.sticky = chosen;
  }
}

}  // namespace tayga::relay
