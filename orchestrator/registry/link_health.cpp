#include "orchestrator/registry/link_health.hpp"

#include <algorithm>

namespace tayga::orch {

void LinkHealth::on_failed(const NodeId& child, const NodeId& parent, TimePoint now) {
  failed_[{child, parent}] = Failure{now, now + quarantine_};
}

std::size_t LinkHealth::on_complaint(const NodeId& child, const NodeId& parent, TimePoint now) {
  const auto is_old = [now](const auto& entry) { return entry.second + kComplaintWindow < now; };
  for (auto it = complaints_.begin(); it != complaints_.end();) {
    std::erase_if(it->second, is_old);
    it = it->second.empty() ? complaints_.erase(it) : std::next(it);
  }
  auto& children = complaints_[parent];
  children[child] = now;
  return children.size();
}

void LinkHealth::forgive(const NodeId& node) {
  std::erase_if(failed_, [&](const auto& entry) {
    return entry.first.first == node || entry.first.second == node;
  });
  complaints_.erase(node);
}

std::optional<TimePoint> LinkHealth::shorten(const NodeId& child) {
  std::optional<TimePoint> next;
  for (auto it = failed_.lower_bound({child, NodeId{}});
       it != failed_.end() && it->first.first == child; ++it) {
    it->second.until = std::min(it->second.until, it->second.at + kLastResort);
    next = next ? std::min(*next, it->second.until) : it->second.until;
  }
  return next;
}

bool LinkHealth::is_avoided(const NodeId& child, const NodeId& parent, TimePoint now) const {
  const auto it = failed_.find({child, parent});
  return it != failed_.end() && now < it->second.until;
}

std::vector<std::pair<NodeId, NodeId>> LinkHealth::avoided(TimePoint now) {
  std::erase_if(failed_, [now](const auto& entry) { return entry.second.until <= now; });
  std::vector<std::pair<NodeId, NodeId>> pairs;
  pairs.reserve(failed_.size());
  for (const auto& [pair, failure] : failed_) pairs.push_back(pair);
  return pairs;
}

}  // namespace tayga::orch
