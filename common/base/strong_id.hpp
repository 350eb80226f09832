#pragma once

#include <compare>
#include <cstddef>
#include <functional>

namespace tayga {

/// An integer that cannot be mixed up with another kind of integer.
template <class Tag, class Rep>
class StrongId {
 public:
  using rep = Rep;

  constexpr StrongId() = default;
  constexpr explicit StrongId(Rep value) noexcept : value_{value} {}

  [[nodiscard]] constexpr Rep value() const noexcept { return value_; }
  [[nodiscard]] constexpr StrongId next() const noexcept {
    return StrongId{static_cast<Rep>(value_ + 1)};
  }

  friend constexpr auto operator<=>(StrongId, StrongId) noexcept = default;

 private:
  Rep value_{};
};

}  // namespace tayga

template <class Tag, class Rep>
struct std::hash<tayga::StrongId<Tag, Rep>> {
  std::size_t operator()(tayga::StrongId<Tag, Rep> id) const noexcept {
    return std::hash<Rep>{}(id.value());
  }
};
