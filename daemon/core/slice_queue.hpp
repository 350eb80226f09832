#pragma once

#include "daemon/core/cached_slice.hpp"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace tayga::relay {

/// One child's place in one slice.
struct QueuedSlice {
  SlicePtr slice;
  FrameMask sent = 0;
  std::size_t sent_bytes = 0;
  bool live = true;      ///< counts against the child's bounds; false while it catches up
  TimePoint asked_at{};  ///< when it was fetched; the begin of time when it came in its turn

  [[nodiscard]] bool available() const noexcept {
    return !slice->evicted && (slice->have & ~sent) != 0;
  }
  [[nodiscard]] bool finished() const noexcept { return slice->evicted || sent == slice->full; }
  /// Since when it waits: what was fetched is not late because it is old.
  [[nodiscard]] TimePoint waits_since() const noexcept {
    return std::max(slice->last_frame, asked_at);
  }
  /// Frames that arrived and were not sent; of a live one they are in the child's sum.
  [[nodiscard]] std::size_t unsent_bytes() const noexcept { return slice->bytes - sent_bytes; }
};

/// Slices of one priority that one child still waits for, in the order in which they were queued.
///
/// Holds no media, only places in the shared cache. In steady state push and pop do not allocate.
class SliceQueue {
 public:
  void push(QueuedSlice entry) { items_.push_back(std::move(entry)); }
  /// What was fetched is more urgent than what comes in its turn.
  void push_front(QueuedSlice entry) {
    items_.insert(items_.begin() + static_cast<std::ptrdiff_t>(head_), std::move(entry));
  }

  /// The first entry that has a frame to send; nullptr when none has. Finished ones at the front
  /// are forgotten; `on_gone(entry)` is called for those that left the cache unsent.
  template <class OnGone>
  QueuedSlice* front_available(OnGone&& on_gone) {
    trim(on_gone);
    for (std::size_t i = head_; i < items_.size(); ++i) {
      if (items_[i].available()) return &items_[i];
    }
    return nullptr;
  }
  /// The first entry that counts against the child's bounds and has a frame to send.
  [[nodiscard]] const QueuedSlice* front_live() const noexcept {
    for (std::size_t i = head_; i < items_.size(); ++i) {
      if (items_[i].live && items_[i].available()) return &items_[i];
    }
    return nullptr;
  }
  template <class Visit>
  void for_each(Visit&& visit) {
    for (std::size_t i = head_; i < items_.size(); ++i) visit(items_[i]);
  }

  /// Removes the entries for which `pred(entry)` holds.
  template <class Pred>
  void remove_if(Pred&& pred) {
    items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
    std::erase_if(items_, pred);
  }
  [[nodiscard]] bool contains(const CachedSlice& slice) const noexcept {
    for (std::size_t i = items_.size(); i > head_; --i) {
      if (items_[i - 1].slice.get() == &slice && !items_[i - 1].finished()) return true;
    }
    return false;
  }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size() - head_; }

 private:
  static constexpr std::size_t kCompactAfter = 32;

  template <class OnGone>
  void trim(OnGone&& on_gone) {
    while (head_ < items_.size() && items_[head_].finished()) {
      if (items_[head_].slice->evicted) on_gone(items_[head_]);
      items_[head_].slice.reset();
      ++head_;
    }
    if (head_ == items_.size()) {
      items_.clear();
      head_ = 0;
    } else if (head_ >= kCompactAfter && head_ * 2 >= items_.size()) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
  }

  std::vector<QueuedSlice> items_;
  std::size_t head_ = 0;
};

}  // namespace tayga::relay
