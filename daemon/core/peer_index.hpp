#pragma once

#include "common/base/ids.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace tayga::relay {

/// Finds a peer by its node id on the media path: a sorted array of the ids' first words beside
/// pointers, so that a look-up of some dozens touches two or three lines of memory and no stranger
/// who chooses his id can make it slower.
///
/// `Peer` has an `id`; the owner keeps peers at their place while they are here.
template <class Peer>
class PeerIndex {
 public:
  /// nullptr: it is not here.
  [[nodiscard]] Peer* find(const NodeId& id) const noexcept {
    const std::uint64_t word = word_of(id);
    for (auto at = lower_bound(word); at != entries_.end() && at->word == word; ++at) {
      if (at->peer->id == id) return at->peer;
    }
    return nullptr;
  }
  /// Pre: no peer of that id is here.
  void add(Peer& peer) {
    const std::uint64_t word = word_of(peer.id);
    entries_.insert(lower_bound(word), Entry{word, &peer});
  }
  void erase(const Peer& peer) {
    std::erase_if(entries_, [&peer](const Entry& entry) { return entry.peer == &peer; });
  }

 private:
  struct Entry {
    std::uint64_t word = 0;
    Peer* peer = nullptr;
  };
  static std::uint64_t word_of(const NodeId& id) noexcept { return std::hash<NodeId>{}(id); }
  [[nodiscard]] typename std::vector<Entry>::const_iterator lower_bound(
      std::uint64_t word) const noexcept {
    return std::ranges::lower_bound(entries_, word, {}, &Entry::word);
  }

  std::vector<Entry> entries_;  // by word
};

}  // namespace tayga::relay
