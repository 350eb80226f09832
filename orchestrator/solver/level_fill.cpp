#include "orchestrator/solver/level_fill.hpp"

#include <algorithm>

namespace tayga::orch {
namespace {

/// Least value in [low, high] for which `holds` (monotone, true at `high`) is true.
template <class Value, class Holds>
Value least_where(Value low, Value high, const Holds& holds) {
  while (low < high) {
    const Value middle = low + (high - low) / 2;
    if (holds(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace

std::optional<unsigned> level_fill_depth(const TreeBoundInput& input, unsigned copies,
                                         std::size_t relays) {
  std::size_t viewer = 0;
  std::size_t relay = 0;
  std::uint64_t places = copies;
  for (unsigned depth = 1; depth <= input.depth_max && places > 0; ++depth) {
    if (input.viewer_slots.size() - viewer <= places) return depth;
    std::uint64_t places_below = 0;
    for (; places > 0; --places) {
      const bool relay_is_stronger =
          relay < relays && input.relay_slots[relay] > input.viewer_slots[viewer];
      places_below += relay_is_stronger ? input.relay_slots[relay++] : input.viewer_slots[viewer++];
      if (viewer == input.viewer_slots.size()) return depth;
    }
    places = places_below;
  }
  return std::nullopt;
}

TreeBound bound_tree(const TreeBoundInput& input) {
  TreeBound bound;
  if (input.viewer_slots.empty()) {
    bound.feasible = true;
    return bound;
  }
  const std::size_t all = input.relay_slots.size();
  const auto fits = [&](unsigned copies) {
    return level_fill_depth(input, copies, all).has_value();
  };
  bound.copies = input.copies_max;
  bound.relays = all;
  bound.depth = input.depth_max;
  bound.feasible = input.copies_max > 0 && fits(input.copies_max);
  if (!bound.feasible) return bound;
  const unsigned copies_first = std::clamp(input.copies_wanted, 1U, input.copies_max);
  bound.copies = least_where(copies_first, input.copies_max, fits);
  bound.depth = *level_fill_depth(input, bound.copies, all);
  bound.relays = least_where(std::size_t{0}, all, [&](std::size_t relays) {
    return level_fill_depth(input, bound.copies, relays) == bound.depth;
  });
  return bound;
}

}  // namespace tayga::orch
