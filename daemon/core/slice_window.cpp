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
  const bool inserted = slices_.emplace(header.seq, slice).second;
  TAYGA_CHECK(inserted);
  if (!head_ || *head_ < header.seq) head_ = header.seq;

  auto [it, is_new] = objects_.try_emplace(header.object);
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
  const auto object = objects_.find(slice.header.object);
  TAYGA_CHECK(object != objects_.end());
  if (!is_sticky_kind(slice.header.kind)) {
    floor_ = std::max(floor_, slice.header.seq.next());
  }
  slices_.erase(slice.header.seq);
  object->second.bytes -= slice.bytes;
  if (--object->second.slices == 0) objects_.erase(object);
}

void SliceWindow::clear() {
  slices_.clear();
  objects_.clear();
  head_.reset();
  floor_ = SliceSeq{0};
  unstuck_ = true;
}

void SliceWindow::on_bytes(const CachedSlice& slice, std::size_t bytes) {
  const auto object = objects_.find(slice.header.object);
  TAYGA_CHECK(object != objects_.end());
  object->second.bytes += bytes;
  // Growth alone can push a track over its sticky bytes.
  if (object->second.sticky) choose_sticky();
}

const SlicePtr* SliceWindow::find(SliceSeq seq) const {
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
