#pragma once

#include "common/base/time.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tayga::sim {

/// What is due: the engine knows what `subject` means for each kind.
struct Event {
  enum class Kind : std::uint32_t { call, node_timer, uplink, lane };
  TimePoint at{};
  std::uint64_t sequence = 0;
  Kind kind = Kind::call;
  std::uint32_t subject = 0;
};

/// All that will happen, ordered by (time, order of scheduling): a total order, so a run depends on
/// nothing else. A heap of four children per place: half the levels of a binary one.
class EventQueue {
 public:
  void push(TimePoint at, Event::Kind kind, std::uint32_t subject);
  [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
  /// Pre: not empty.
  [[nodiscard]] const Event& top() const noexcept { return heap_.front(); }
  /// Pre: not empty.
  Event pop();
  [[nodiscard]] std::uint64_t pushed() const noexcept { return next_sequence_; }

 private:
  std::vector<Event> heap_;
  std::uint64_t next_sequence_ = 0;
};

}  // namespace tayga::sim
