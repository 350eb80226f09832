#include "tests/sim/repair_meter.hpp"

#include <algorithm>
#include <map>

namespace tayga::sim {
namespace {

constexpr Duration kLook = 20ms;
constexpr Duration kFaultOver = 30s;
/// After a fault, beyond the window: what is missed later has another cause.
constexpr Duration kBlamed = 5s;

}  // namespace

RepairMeter::RepairMeter(const SimOptions& options, SimNet& net) : options_{options}, net_{net} {}

void RepairMeter::on_fault(NodeIndex victim) {
  Fault& fault = faults_.emplace_back();
  fault.at = net_.now();
  fault.victim = victim;
  // Per (track, stripe): who is a child of whom.
  std::map<std::pair<TrackId, StripeIndex>, std::multimap<NodeIndex, NodeIndex>> trees;
  for (NodeIndex node = 0; node < net_.size(); ++node) {
    if (!net_.is_running(node) || node == victim) continue;
    bool is_child = false;
    for (const relay::StripeStatus& stripe : net_.relay(node).stripes()) {
      if (!stripe.parent) continue;
      const NodeIndex parent = net_.index(*stripe.parent);
      is_child = is_child || (parent == victim && stripe.track == kSimTrack);
      trees[{stripe.track, stripe.stripe}].emplace(parent, node);
    }
    if (!is_child) continue;
    Orphan& orphan = fault.orphans.emplace_back();
    orphan.node = node;
    for (const SimNet::LinkView& link : net_.links(node)) {
      if (link.peer == victim) orphan.way = link.round_trip / 2;
    }
  }
  std::set<NodeIndex> below;
  for (const auto& [key, children] : trees) {
    if (key.first != kSimTrack) continue;
    std::vector<NodeIndex> heads{victim};
    std::set<NodeIndex> seen{victim};
    while (!heads.empty()) {
      const NodeIndex head = heads.back();
      heads.pop_back();
      const auto [begin, end] = children.equal_range(head);
      for (auto child = begin; child != end; ++child) {
        if (seen.insert(child->second).second) heads.push_back(child->second);
      }
    }
    below.insert(seen.begin(), seen.end());
  }
  below.erase(victim);
  fault.below.assign(below.begin(), below.end());
  arm();
}

void RepairMeter::on_action(NodeIndex node, const relay::Relay::Action& action) {
  if (const auto* repaired = std::get_if<relay::Relay::Repaired>(&action)) {
    totals_.own_repairs.add(repaired->gap);
    if (was_victim(net_.index(repaired->lost))) totals_.kill_repairs.add(repaired->gap);
    return;
  }
  const auto* suspected = std::get_if<relay::Relay::Suspected>(&action);
  const auto* lost = std::get_if<relay::Relay::ParentLost>(&action);
  if (suspected == nullptr && lost == nullptr) return;
  const NodeIndex parent = net_.index(suspected != nullptr ? suspected->parent : lost->parent);
  for (std::size_t i = first_open_; i < faults_.size(); ++i) {
    Fault& fault = faults_[i];
    if (fault.victim != parent || net_.now() > fault.at + kFaultOver) continue;
    for (Orphan& orphan : fault.orphans) {
      if (orphan.node != node || orphan.detected || orphan.gone || orphan.whole_at) continue;
      orphan.detected = true;
      const Duration since = net_.now() - fault.at;
      totals_.detection.add(since);
      totals_.silence.add(std::max(Duration{0}, since - orphan.way));
    }
  }
}

bool RepairMeter::was_victim(NodeIndex parent) const {
  for (std::size_t i = first_open_; i < faults_.size(); ++i) {
    if (faults_[i].victim == parent && net_.now() <= faults_[i].at + kBlamed) return true;
  }
  return false;
}

void RepairMeter::on_restart(NodeIndex node) {
  for (std::size_t i = first_open_; i < faults_.size(); ++i) {
    for (Orphan& orphan : faults_[i].orphans) {
      if (orphan.node == node && !orphan.whole_at) orphan.gone = true;
    }
    std::erase(faults_[i].below, node);
  }
}

bool RepairMeter::is_whole(NodeIndex node) const {
  unsigned stripes = 0;
  for (const relay::StripeStatus& stripe : net_.relay(node).stripes()) {
    if (stripe.track != kSimTrack) continue;
    const bool is_fed = stripe.parent && stripe.subscribed && !stripe.suspected &&
                        net_.is_running(net_.index(*stripe.parent)) &&
                        !net_.is_stopped(net_.index(*stripe.parent));
    if (!is_fed) return false;
    ++stripes;
  }
  return stripes > 0;
}

void RepairMeter::arm() {
  if (armed_ || first_open_ == faults_.size()) return;
  armed_ = true;
  net_.at(net_.now() + kLook, [this] {
    armed_ = false;
    look();
    arm();
  });
}

void RepairMeter::look() {
  open_ = 0;
  for (std::size_t i = first_open_; i < faults_.size(); ++i) {
    Fault& fault = faults_[i];
    for (Orphan& orphan : fault.orphans) {
      if (orphan.whole_at || orphan.gone) continue;
      if (!net_.is_running(orphan.node)) {
        orphan.gone = true;
      } else if (is_whole(orphan.node)) {
        orphan.whole_at = net_.now();
        totals_.reattached.add(net_.now() - fault.at);
      } else {
        ++open_;
      }
    }
  }
  while (first_open_ < faults_.size() && net_.now() > faults_[first_open_].at + kFaultOver) {
    ++first_open_;
  }
}

RepairMeter::Totals RepairMeter::totals(const PlayoutMeter& playout) const {
  Totals sum = totals_;
  for (const Fault& fault : faults_) {
    const TimePoint over = fault.at + options_.window + kBlamed;
    for (const Orphan& orphan : fault.orphans) {
      if (orphan.gone) continue;
      if (!orphan.whole_at) {
        ++sum.unrepaired;
        continue;
      }
      ++sum.repairs;
      bool has_loss = false;
      for (const PlayoutMeter::Miss& miss : playout.misses(orphan.node)) {
        has_loss = has_loss || (miss.lost && miss.due >= fault.at && miss.due <= over);
      }
      if (!has_loss) ++sum.without_loss;
    }
    for (const NodeIndex viewer : fault.below) {
      Duration largest{0};
      for (const PlayoutMeter::Miss& miss : playout.misses(viewer)) {
        if (miss.due >= fault.at && miss.due <= over) largest = std::max(largest, miss.gap);
      }
      sum.gaps.add(largest);
    }
  }
  return sum;
}

}  // namespace tayga::sim
