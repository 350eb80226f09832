#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace tayga::sim {

/// First in, first out; the room that it once needed is kept, so that in a steady flow nothing is
/// allocated.
template <class Item>
class Fifo {
 public:
  void push(Item item) { items_.push_back(std::move(item)); }
  [[nodiscard]] bool empty() const noexcept { return head_ == items_.size(); }
  /// Pre: not empty.
  [[nodiscard]] const Item& front() const noexcept { return items_[head_]; }
  /// Pre: not empty.
  Item pop() {
    Item first = std::move(items_[head_++]);
    if (empty()) {
      items_.clear();
      head_ = 0;
    } else if (head_ >= kCompactAfter && head_ * 2 >= items_.size()) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    return first;
  }
  void clear() noexcept {
    items_.clear();
    head_ = 0;
  }

 private:
  static constexpr std::size_t kCompactAfter = 16;

  std::vector<Item> items_;
  std::size_t head_ = 0;
};

}  // namespace tayga::sim
