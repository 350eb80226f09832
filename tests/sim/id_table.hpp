#pragma once

#include "common/base/check.hpp"
#include "common/base/ids.hpp"
#include "tests/sim/network_model.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace tayga::sim {

/// The numbers of nodes by their ids: open addressing over the ids' first words, which are all
/// different. For ids of the simulator's own making only.
class IdTable {
 public:
  explicit IdTable(std::size_t ids) : places_(std::bit_ceil(2 * ids + 1)) {}

  /// Pre: no more than `ids`; an id with another first word than the others.
  void add(const NodeId& id, NodeIndex index) {
    Place& place = places_[find(word_of(id))];
    TAYGA_CHECK(!place.used);
    place = Place{word_of(id), index, true};
  }
  /// Pre: it was added.
  [[nodiscard]] NodeIndex at(const NodeId& id) const {
    const Place& place = places_[find(word_of(id))];
    TAYGA_CHECK(place.used);
    return place.index;
  }

 private:
  struct Place {
    std::uint64_t word = 0;
    NodeIndex index = 0;
    bool used = false;
  };
  static std::uint64_t word_of(const NodeId& id) noexcept { return std::hash<NodeId>{}(id); }
  [[nodiscard]] std::size_t find(std::uint64_t word) const noexcept {
    std::size_t place = word & (places_.size() - 1);
    while (places_[place].used && places_[place].word != word) {
      place = (place + 1) & (places_.size() - 1);
    }
    return place;
  }

  std::vector<Place> places_;  // a power of two, at most half full
};

}  // namespace tayga::sim
