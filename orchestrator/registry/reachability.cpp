#include "orchestrator/registry/reachability.hpp"

#include <algorithm>

namespace tayga::orch {

void Reachability::on_no_way(const NodeId& a, const NodeId& b, TimePoint now) {
  if (a == b) return;
  note(a, b, now);
  note(b, a, now);
}

void Reachability::note(const NodeId& node, const NodeId& peer, TimePoint now) {
  auto& peers = failed_[node];
  std::erase_if(peers, [now](const auto& entry) { return entry.second + kForgetAfter <= now; });
  if (peers.size() >= kPeersMax && !peers.contains(peer)) {
    const auto earlier = [](const auto& x, const auto& y) { return x.second < y.second; };
    peers.erase(std::min_element(peers.begin(), peers.end(), earlier));
  }
  peers[peer] = now;
}

void Reachability::forget(const NodeId& node) {
  failed_.erase(node);
  for (auto it = failed_.begin(); it != failed_.end();) {
    it->second.erase(node);
    it = it->second.empty() ? failed_.erase(it) : std::next(it);
  }
}

bool Reachability::is_walled(const NodeId& node, TimePoint now) const {
  const auto peers = failed_.find(node);
  if (peers == failed_.end()) return false;
  return std::any_of(peers->second.begin(), peers->second.end(),
                     [now](const auto& entry) { return now < entry.second + kForgetAfter; });
}

}  // namespace tayga::orch
