#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"

#include <cstddef>
#include <list>
#include <unordered_map>
#include <utility>

namespace tayga::transport::quic {

/// Session tickets by peer, for the next dial; the peer least recently heard of is forgotten first.
class TicketCache {
 public:
  static constexpr std::size_t kPeersMax = 256;

  void put(const NodeId& peer, Bytes ticket) {
    const auto found = places_.find(peer);
    if (found != places_.end()) {
      entries_.erase(found->second);
      places_.erase(found);
    } else if (entries_.size() >= kPeersMax) {
      places_.erase(entries_.back().first);
      entries_.pop_back();
    }
    entries_.emplace_front(peer, std::move(ticket));
    places_.emplace(peer, entries_.begin());
  }
  /// A ticket is used once; the connection it opens brings the next one. Empty: none.
  Bytes take(const NodeId& peer) {
    const auto found = places_.find(peer);
    if (found == places_.end()) return {};
    Bytes ticket = std::move(found->second->second);
    entries_.erase(found->second);
    places_.erase(found);
    return ticket;
  }
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  using Entries = std::list<std::pair<NodeId, Bytes>>;
  Entries entries_;
  std::unordered_map<NodeId, Entries::iterator> places_;
};

}  // namespace tayga::transport::quic
