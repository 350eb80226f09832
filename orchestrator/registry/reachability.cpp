#include "orchestrator/registry/reachability.hpp"

#include <algorithm>

namespace tayga::orch {

void Reachability::on_no_way(const NodeId& child, const NodeId& parent, TimePoint now) {
  if (child == parent) return;
  note(as_child_, child, parent, now);
  note(as_parent_, parent, child, now);
}

void Reachability::note(Failures& failures, const NodeId& node, const NodeId& peer, TimePoint now) {
  auto& peers = failures[node];
  std::erase_if(peers, [now](const auto& entry) { return entry.second + kForgetAfter <= now; });
  if (peers.size() >= kPeersMax && !peers.contains(peer)) {
    const auto earlier = [](const auto& x, const auto& y) { return x.second < y.second; };
    peers.erase(std::min_element(peers.begin(), peers.end(), earlier));
  }
  peers[peer] = now;
}

void Reachability::forget(const NodeId& node) {
  forget(as_child_, node);
  forget(as_parent_, node);
}

void Reachability::forget(Failures& failures, const NodeId& node) {
  failures.erase(node);
  for (auto it = failures.begin(); it != failures.end();) {
    it->second.erase(node);
    it = it->second.empty() ? failures.erase(it) : std::next(it);
  }
}

bool Reachability::is_walled(const NodeId& node, TimePoint now) const {
  const auto is_recent = [now](TimePoint at) { return now < at + kForgetAfter; };
  const auto parents = as_child_.find(node);
  const bool failed_as_child =
      parents != as_child_.end() &&
      std::any_of(parents->second.begin(), parents->second.end(), [&](const auto& entry) {
        return is_recent(entry.second) && !is_closed(entry.first, now);
      });
  if (failed_as_child) return true;
  const auto children = as_parent_.find(node);
  return children != as_parent_.end() &&
         std::any_of(children->second.begin(), children->second.end(),
                     [&](const auto& entry) { return is_recent(entry.second); });
}

bool Reachability::is_closed(const NodeId& node, TimePoint now) const {
  const auto children = as_parent_.find(node);
  if (children == as_parent_.end()) return false;
  const auto failed =
      std::count_if(children->second.begin(), children->second.end(),
                    [now](const auto& entry) { return now < entry.second + kForgetAfter; });
  return static_cast<std::size_t>(failed) >= kClosedAfter;
}

}  // namespace tayga::orch
