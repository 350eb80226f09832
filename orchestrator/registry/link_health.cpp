#include "orchestrator/registry/link_health.hpp"

#include <algorithm>

namespace tayga::orch {

void LinkHealth::on_failed(const NodeId& child, const NodeId& parent, TimePoint now) {
  Failure& failure = note(child, parent, now);
  failure.until = std::max(failure.until, now + quarantine_);
}

void LinkHealth::on_faltered(const NodeId& child, const NodeId& parent, TimePoint now) {
  Failure& failure = note(child, parent, now);
  Duration held_back = std::min(kFirstQuarantine, quarantine_);
  for (unsigned i = 0; i < failure.repeats && held_back < quarantine_; ++i) {
    held_back = std::min(2 * held_back, quarantine_);
  }
  failure.until = std::max(failure.until, now + held_back);
}

LinkHealth::Failure& LinkHealth::note(const NodeId& child, const NodeId& parent, TimePoint now) {
  const std::pair pair{child, parent};
  if (failed_.size() >= kPairsMax && !failed_.contains(pair)) make_room();
  const auto [it, is_new] = failed_.try_emplace(pair, Failure{now, now, 0});
  Failure& failure = it->second;
  if (is_new) return failure;
  failure.at = now;
  if (failure.until + kForgetAfter <= now) {
    failure.repeats = 0;
  } else if (failure.until <= now) {
    ++failure.repeats;
  }
  return failure;
}

void LinkHealth::make_room() {
  std::vector<TimePoint> ends;
  ends.reserve(failed_.size());
  for (const auto& [pair, failure] : failed_) ends.push_back(failure.until);
  const auto middle = ends.begin() + static_cast<std::ptrdiff_t>(ends.size() / 2);
  std::nth_element(ends.begin(), middle, ends.end());
  std::erase_if(failed_, [&](const auto& entry) { return entry.second.until <= *middle; });
}

std::size_t LinkHealth::on_complaint(const NodeId& child, const NodeId& parent, TimePoint now) {
  const auto is_old = [&](const auto& entry) { return entry.second + complaint_window_ < now; };
  for (auto it = complaints_.begin(); it != complaints_.end();) {
    std::erase_if(it->second, is_old);
    it = it->second.empty() ? complaints_.erase(it) : std::next(it);
  }
  auto& children = complaints_[parent];
  children[child] = now;
  return children.size();
}

std::optional<TimePoint> LinkHealth::last_complaint(const NodeId& parent) const {
  const auto children = complaints_.find(parent);
  if (children == complaints_.end()) return std::nullopt;
  std::optional<TimePoint> last;
  for (const auto& [child, at] : children->second) last = last ? std::max(*last, at) : at;
  return last;
}

std::size_t LinkHealth::complaints(const NodeId& parent, TimePoint now) const {
  const auto children = complaints_.find(parent);
  if (children == complaints_.end()) return 0;
  const auto is_recent = [&](const auto& entry) { return now <= entry.second + complaint_window_; };
  return static_cast<std::size_t>(
      std::count_if(children->second.begin(), children->second.end(), is_recent));
}

void LinkHealth::forgive(const NodeId& node) {
  std::erase_if(failed_, [&](const auto& entry) {
    return entry.first.first == node || entry.first.second == node;
  });
  complaints_.erase(node);
}

std::optional<TimePoint> LinkHealth::shorten(const NodeId& child, TimePoint now) {
  std::optional<TimePoint> next;
  for (auto it = failed_.lower_bound({child, NodeId{}});
       it != failed_.end() && it->first.first == child; ++it) {
    if (it->second.until <= now) continue;
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
  std::erase_if(failed_,
                [now](const auto& entry) { return entry.second.until + kForgetAfter <= now; });
  std::vector<std::pair<NodeId, NodeId>> pairs;
  for (const auto& [pair, failure] : failed_) {
    if (now < failure.until) pairs.push_back(pair);
  }
  return pairs;
}

}  // namespace tayga::orch
