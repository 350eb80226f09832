#include "orchestrator/rpc/ungreeted_sessions.hpp"

#include "orchestrator/rpc/peer_address.hpp"

#include <utility>

namespace tayga::orch {

bool UngreetedSessions::add(SessionId id, const std::string& address) {
  if (network_of_.size() >= limits_.total_max) return false;
  std::string network = network_of_address(address);
  const auto known = by_network_.find(network);
  if (known != by_network_.end() && known->second >= limits_.per_network_max) return false;
  ++by_network_[network];
  network_of_.emplace(id, std::move(network));
  return true;
}

void UngreetedSessions::remove(SessionId id) {
  const auto at = network_of_.find(id);
  if (at == network_of_.end()) return;
  const auto network = by_network_.find(at->second);
  if (--network->second == 0) by_network_.erase(network);
  network_of_.erase(at);
}

}  // namespace tayga::orch
