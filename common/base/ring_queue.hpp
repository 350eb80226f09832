#pragma once

#include "common/base/check.hpp"

#include <cstddef>
#include <utility>
#include <vector>

namespace tayga {

/// A first-in-first-out queue on one block of memory that grows by doubling and is kept: in steady
/// state neither push nor pop allocates, as a std::deque's do. T is default-constructible; a popped
/// place holds T{} until it is used again. Bounded by its user.
template <class T>
class RingQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Pre: index < size(); 0 is the front.
  [[nodiscard]] T& operator[](std::size_t index) noexcept { return slots_[place(index)]; }
  [[nodiscard]] const T& operator[](std::size_t index) const noexcept {
    return slots_[place(index)];
  }
  [[nodiscard]] T& front() noexcept { return (*this)[0]; }
  [[nodiscard]] const T& front() const noexcept { return (*this)[0]; }

  void push_back(T value) {
    if (size_ == slots_.size()) grow();
    slots_[place(size_)] = std::move(value);
    ++size_;
  }
  /// Pre: not empty.
  T pop_front() {
    TAYGA_CHECK(size_ > 0);
    T value = std::exchange(slots_[head_], T{});
    head_ = (head_ + 1) & (slots_.size() - 1);
    --size_;
    return value;
  }
  /// Forgets all, and the memory.
  void clear() {
    slots_ = {};
    head_ = size_ = 0;
  }

 private:
  static constexpr std::size_t kFirstCapacity = 8;  // a power of two, as all that follow

  [[nodiscard]] std::size_t place(std::size_t index) const noexcept {
    return (head_ + index) & (slots_.size() - 1);
  }
  void grow() {
    std::vector<T> larger(slots_.empty() ? kFirstCapacity : slots_.size() * 2);
    for (std::size_t i = 0; i < size_; ++i) larger[i] = std::move((*this)[i]);
    slots_.swap(larger);
    head_ = 0;
  }

  std::vector<T> slots_;
  std::size_t head_ = 0;
  std::size_t size_ = 0;
};

}  // namespace tayga
