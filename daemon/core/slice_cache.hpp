#pragma once

#include "common/base/time.hpp"
#include "daemon/core/cached_slice.hpp"
#include "daemon/core/slice_window.hpp"

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>

namespace tayga::relay {

/// Decides which slices of all tracks leave, oldest arrival first: by age, except sticky objects,
/// and by bytes, sticky objects last.
///
/// Keeps slices of an earlier publisher epoch (retired) for players until their age.
class SliceCache {
 public:
  struct Limits {
    Duration age;
    std::size_t bytes;
  };
  /// Called for a slice that leaves, before its frames are let go of.
  using OnEvict = std::function<void(const CachedSlice&)>;

  explicit SliceCache(const Limits& limits);

  /// `window` must hold the slice and outlive it here (or call forget()).
  void add(SlicePtr slice, SliceWindow& window);
  void on_bytes(std::size_t bytes) noexcept { bytes_ += bytes; }
  /// The window starts over: its slices stay here, as retired ones.
  void retire(SliceWindow& window, TimePoint now);
  /// The window goes away with all its slices.
  void forget(SliceWindow& window);
  /// Lets go of what is too old or too much.
  void evict(TimePoint now, const OnEvict& on_evict);

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] bool over_bytes() const noexcept { return bytes_ > limits_.bytes; }
  [[nodiscard]] std::optional<TimePoint> next_timeout() const;

 private:
  struct Item {
    SlicePtr slice;
    SliceWindow* window;  // null once retired
  };
  void release(const Item& item, const OnEvict& on_evict);
  void release_unstuck(const OnEvict& on_evict);
  [[nodiscard]] static bool is_sticky(const Item& item);

  Limits limits_;
  std::deque<Item> by_age_;  // in order of arrival
  std::deque<Item> sticky_;  // past their age, kept while sticky
  std::size_t bytes_ = 0;
};

}  // namespace tayga::relay
