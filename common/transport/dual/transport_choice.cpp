#include "common/transport/dual/transport_choice.hpp"

namespace tayga::transport {

Kind TransportChoice::leader(const NodeId& peer, TimePoint now) const {
  const auto found = entries_.find(peer);
  if (found == entries_.end()) return Kind::quic;
  const Memory& memory = found->second.memory;
  return memory.reached_by == Kind::tcp && now < memory.since + kTcpLeads ? Kind::tcp : Kind::quic;
}

void TransportChoice::on_reached(const NodeId& peer, Kind led, Kind winner, TimePoint now) {
  const auto found = entries_.find(peer);
  if (found == entries_.end()) {
    if (entries_.size() >= peers_max_) {
      entries_.erase(order_.back());
      order_.pop_back();
    }
    order_.push_front(peer);
    entries_.emplace(peer, Entry{{winner, led, now}, order_.begin()});
    return;
  }
  Entry& entry = found->second;
  order_.splice(order_.begin(), order_, entry.position);
  const bool tcp_as_before =
      winner == Kind::tcp && led == Kind::tcp && entry.memory.reached_by == Kind::tcp;
  entry.memory.led_by = led;
  if (tcp_as_before) return;  // says nothing about QUIC
  entry.memory.reached_by = winner;
  entry.memory.since = now;
}

std::optional<TransportChoice::Memory> TransportChoice::memory_of(const NodeId& peer) const {
  const auto found = entries_.find(peer);
  if (found == entries_.end()) return std::nullopt;
  return found->second.memory;
}

}  // namespace tayga::transport
