#include "daemon/core/slice_cache.hpp"

#include <algorithm>
#include <utility>

namespace tayga::relay {

SliceCache::SliceCache(const Limits& limits) : limits_{limits} {}

bool SliceCache::is_sticky(const Item& item) {
  return item.window != nullptr && item.window->is_sticky(item.slice->header.object);
}

void SliceCache::add(SlicePtr slice, SliceWindow& window) {
  bytes_ += slice->bytes + kSliceOverhead;
  by_age_.push_back(Item{std::move(slice), &window});
}

void SliceCache::retire(SliceWindow& window, TimePoint now) {
  for (Item& item : by_age_) {
    if (item.window != &window) continue;
    item.window = nullptr;
    item.slice->retired = true;
  }
  // Players still need the old init segment as long as old segments are here.
  for (auto it = sticky_.begin(); it != sticky_.end();) {
    if (it->window != &window) {
      ++it;
      continue;
    }
    it->slice->retired = true;
    it->slice->arrived = now;
    by_age_.push_back(Item{it->slice, nullptr});
    it = sticky_.erase(it);
  }
  window.clear();
}

void SliceCache::forget(SliceWindow& window) {
  const auto drop = [&](const Item& item) {
    if (item.window != &window) return false;
    bytes_ -= item.slice->bytes + kSliceOverhead;
    item.slice->evicted = true;
    item.slice->frames = {};
    return true;
  };
  std::erase_if(by_age_, drop);
  std::erase_if(sticky_, drop);
  window.clear();
}

void SliceCache::release(const Item& item, const OnEvict& on_evict) {
  CachedSlice& slice = *item.slice;
  on_evict(slice);
  if (item.window != nullptr) item.window->erase(slice);
  bytes_ -= slice.bytes + kSliceOverhead;
  slice.evicted = true;
  slice.frames = {};
}

void SliceCache::release_unstuck(const OnEvict& on_evict) {
  bool changed = false;
  for (const Item& item : sticky_) {
    if (item.window->take_unstuck()) changed = true;
  }
  if (!changed) return;
  std::deque<Item> kept;
  for (const Item& item : sticky_) {
    if (is_sticky(item)) {
      kept.push_back(item);
    } else {
      release(item, on_evict);
    }
  }
  sticky_ = std::move(kept);
}

void SliceCache::evict(TimePoint now, const OnEvict& on_evict) {
  release_unstuck(on_evict);
  while (!by_age_.empty()) {
    const bool aged = by_age_.front().slice->arrived + limits_.age <= now;
    if (!aged && !over_bytes()) break;
    const Item item = std::move(by_age_.front());
    by_age_.pop_front();
    if (is_sticky(item)) {
      sticky_.push_back(item);
    } else {
      release(item, on_evict);
    }
  }
  while (over_bytes() && !sticky_.empty()) {
    const Item item = std::move(sticky_.front());
    sticky_.pop_front();
    release(item, on_evict);
  }
}

std::optional<TimePoint> SliceCache::next_timeout() const {
  if (by_age_.empty()) return std::nullopt;
  return by_age_.front().slice->arrived + limits_.age;
}

}  // namespace tayga::relay
