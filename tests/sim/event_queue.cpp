#include "tests/sim/event_queue.hpp"

#include <algorithm>

namespace tayga::sim {
namespace {

constexpr std::size_t kChildren = 4;

bool is_before(const Event& a, const Event& b) noexcept {
  return a.at != b.at ? a.at < b.at : a.sequence < b.sequence;
}

}  // namespace

void EventQueue::push(TimePoint at, Event::Kind kind, std::uint32_t subject) {
  const Event event{at, next_sequence_++, kind, subject};
  heap_.push_back(event);
  std::size_t place = heap_.size() - 1;
  while (place > 0) {
    const std::size_t parent = (place - 1) / kChildren;
    if (!is_before(event, heap_[parent])) break;
    heap_[place] = heap_[parent];
    place = parent;
  }
  heap_[place] = event;
}

Event EventQueue::pop() {
  const Event first = heap_.front();
  const Event last = heap_.back();
  heap_.pop_back();
  if (heap_.empty()) return first;
  std::size_t place = 0;
  for (;;) {
    const std::size_t begin = place * kChildren + 1;
    if (begin >= heap_.size()) break;
    const std::size_t end = std::min(begin + kChildren, heap_.size());
    std::size_t least = begin;
    for (std::size_t child = begin + 1; child < end; ++child) {
      if (is_before(heap_[child], heap_[least])) least = child;
    }
    if (!is_before(heap_[least], last)) break;
    heap_[place] = heap_[least];
    place = least;
  }
  heap_[place] = last;
  return first;
}

}  // namespace tayga::sim
