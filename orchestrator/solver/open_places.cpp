#include "orchestrator/solver/open_places.hpp"

#include "orchestrator/solver/home_stripes.hpp"

#include <algorithm>
#include <tuple>

namespace tayga::orch {
namespace {

/// Open places of one depth that are compared: most pairs were never measured, and looking at more
/// of them gains nothing.
constexpr std::size_t kCandidatesMax = 16;

}  // namespace

OpenPlaces::OpenPlaces(const ForestEditor& editor, const ForestRules& rules, const EditedTree& tree)
    : editor_{editor}, rules_{rules}, tree_{tree}, known_(editor.table().size()) {
  for (auto& by_depth : open_) by_depth.resize(rules.depth_max + 1);
  for (NodeIndex node = 0; node < known_.size(); ++node) update(node);
}

OpenPlaces::Fit OpenPlaces::fit_of(NodeIndex node) const {
  if (rules_.stripe_count == 1 || editor_.table()[node].can_relay) return Fit::good;
  if (!tree_.children[node].empty()) return Fit::good;
  if (editor_.children_in_track(node, tree_.placed.track) > 0) return Fit::foreign;
  const std::uint64_t hash = home_hash(editor_.table()[node].id, tree_.placed.track);
  return hash % rules_.stripe_count == tree_.placed.stripe ? Fit::good : Fit::idle;
}

OpenPlaces::Place OpenPlaces::place_of(NodeIndex node) const {
  const NodeTable::Node& entry = editor_.table()[node];
  const unsigned depth = tree_.placed.depth[node];
  const bool is_open = tree_.attached[node] && !rules_.is_gateway(node) &&
                       depth < rules_.depth_max && entry.uplink_left_bps >= tree_.placed.rate_bps;
  return is_open ? Place{fit_of(node), depth} : Place{};
}

void OpenPlaces::update(NodeIndex node) {
  const Place place = place_of(node);
  Place& known = known_[node];
  if (place == known) return;
  const auto list = [this](const Place& at) -> std::set<NodeIndex>& {
    return open_[static_cast<std::size_t>(at.fit)][at.depth];
  };
  if (known.depth != kNowhere) list(known).erase(node);
  if (place.depth != kNowhere) list(place).insert(node);
  known = place;
}

NodeIndex OpenPlaces::find(const Wanted& wanted) {
  for (const Fit fit : {Fit::good, Fit::idle, Fit::foreign}) {
    const unsigned depths = std::min(wanted.depth_max + 1, rules_.depth_max);
    for (unsigned depth = 1; depth < depths; ++depth) {
      const NodeIndex found = find_at(fit, depth, wanted);
      if (found != kNoNode) return found;
    }
  }
  return kNoNode;
}

NodeIndex OpenPlaces::find_at(Fit fit, unsigned depth, const Wanted& wanted) {
  const NodeTable& table = editor_.table();
  using Rank = std::tuple<bool, std::uint32_t, NodeIndex>;  // new session, round trip, id
  Rank best{true, 0, kNoNode};
  const auto consider = [&](NodeIndex node) {
    const NodeTable::Node& entry = table[node];
    if (node == wanted.child || !editor_.has_room(tree_, node, wanted.child)) return false;
    if (entry.uplink_left_bps < tree_.placed.rate_bps + wanted.spare_bps) return false;
    const Rank rank{!entry.children.contains(wanted.child), table.rtt_us(wanted.child, node), node};
    if (std::get<2>(best) == kNoNode || rank < best) best = rank;
    return true;
  };
  const Place here{fit, depth};
  for (const auto& [node, rtt_us] : table.neighbours(wanted.child)) {
    update(node);
    if (known_[node] == here) consider(node);
  }
  std::set<NodeIndex>& open = open_[static_cast<std::size_t>(fit)][depth];
  std::size_t valid = 0;
  for (auto it = open.begin(); it != open.end() && valid < kCandidatesMax;) {
    const NodeIndex node = *it++;
    update(node);  // may take it out of this list
    if (known_[node] == here && consider(node)) ++valid;
  }
  return std::get<2>(best);
}

}  // namespace tayga::orch
