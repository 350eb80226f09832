#pragma once

#include "common/base/time.hpp"

#include <cstddef>
#include <utility>
#include <vector>

namespace tayga::transport::quic {

/// The connections' next timeouts: earliest first, changed in place. T has `std::size_t
/// timer_place`, SIZE_MAX while it is not here. Allocates only to grow.
template <class T>
class TimerHeap {
 public:
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  [[nodiscard]] TimePoint next() const noexcept {
    return entries_.empty() ? TimePoint::max() : entries_.front().at;
  }
  /// Pre: not empty.
  [[nodiscard]] T& front() noexcept { return *entries_.front().who; }

  /// TimePoint::max() takes it out.
  void set(T& who, TimePoint at) {
    if (at == TimePoint::max()) return remove(who);
    if (who.timer_place == SIZE_MAX) {
      who.timer_place = entries_.size();
      entries_.push_back({at, &who});
      return rise(who.timer_place);
    }
    const TimePoint before = entries_[who.timer_place].at;
    entries_[who.timer_place].at = at;
    if (at < before) {
      rise(who.timer_place);
    } else {
      sink(who.timer_place);
    }
  }

  void remove(T& who) {
    const std::size_t place = std::exchange(who.timer_place, SIZE_MAX);
    if (place == SIZE_MAX) return;
    const Entry last = entries_.back();
    entries_.pop_back();
    if (place == entries_.size()) return;
    put(place, last);
    rise(place);
    sink(last.who->timer_place);
  }

 private:
  struct Entry {
    TimePoint at;
    T* who;
  };
  void put(std::size_t place, const Entry& entry) noexcept {
    entries_[place] = entry;
    entry.who->timer_place = place;
  }
  void rise(std::size_t place) noexcept {
    const Entry entry = entries_[place];
    while (place > 0 && entry.at < entries_[(place - 1) / 2].at) {
      put(place, entries_[(place - 1) / 2]);
      place = (place - 1) / 2;
    }
    put(place, entry);
  }
  void sink(std::size_t place) noexcept {
    const Entry entry = entries_[place];
    for (std::size_t child = 2 * place + 1; child < entries_.size(); child = 2 * place + 1) {
      if (child + 1 < entries_.size() && entries_[child + 1].at < entries_[child].at) ++child;
      if (entry.at <= entries_[child].at) break;
      put(place, entries_[child]);
      place = child;
    }
    put(place, entry);
  }

  std::vector<Entry> entries_;
};

}  // namespace tayga::transport::quic
