#pragma once

#include "common/base/bytes.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace tayga::fuzz {

/// The bytes of one run, as choices; what is missing reads as zero.
class Input {
 public:
  explicit Input(ByteView bytes) : bytes_{bytes} {}
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  std::uint8_t byte() {
    if (bytes_.empty()) return 0;
    const auto value = std::to_integer<std::uint8_t>(bytes_.front());
    bytes_ = bytes_.subspan(1);
    return value;
  }
  /// Pre: 0 < count <= 256.
  std::size_t below(std::size_t count) { return byte() % count; }
  /// Small, or near the end of the range.
  std::uint64_t number() {
    const std::uint8_t value = byte();
    return value < 240 ? value : ~std::uint64_t{0} - (255U - value);
  }
  std::size_t number16() {
    const std::size_t high = byte();
    return high << 8U | byte();
  }
  ByteView take(std::size_t size) {
    const ByteView part = bytes_.first(std::min(size, bytes_.size()));
    bytes_ = bytes_.subspan(part.size());
    return part;
  }

 private:
  ByteView bytes_;
};

}  // namespace tayga::fuzz
