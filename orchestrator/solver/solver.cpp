#include "orchestrator/solver/solver.hpp"

#include "common/base/check.hpp"
#include "orchestrator/solver/forest.hpp"
#include "orchestrator/solver/home_stripes.hpp"
#include "orchestrator/solver/migration.hpp"
#include "orchestrator/solver/node_table.hpp"
#include "orchestrator/solver/repair.hpp"
#include "orchestrator/solver/tree_plan.hpp"

#include <algorithm>
#include <optional>
#include <tuple>

namespace tayga::orch {
namespace {

constexpr std::uint64_t kOverheadPercent = 5;
/// More is not planned with, whatever a gateway says: sums of rates stay far from overflow.
constexpr std::uint64_t kBitrateMaxBps = 1'000'000'000'000;
/// Rounds in which a track is planned again without those who found no room in every stripe, before
/// each round also drops as many again: admission ends after O(log viewers) more.
constexpr unsigned kExactAdmissionRounds = 8;
/// A plan moves this part of the links at most for another plan's sake.
constexpr std::size_t kMovesShare = 20;
/// Two nodes' links to their parents, in a small network.
constexpr std::size_t kMovesMin = 4;
/// A relay in use stays while a tree has at most this many above the need: one viewer who comes and
/// goes does not make others move each time.
constexpr std::size_t kRelaysTolerated = 1;
/// Trees of this height are not looked at for better ones when somebody joins or leaves.
constexpr std::size_t kHeightTolerated = 2;

std::uint64_t planned_bitrate_bps(const TrackRecord& track) {
  const std::uint64_t bitrate_bps = std::min(track.bitrate_bps, kBitrateMaxBps);
  if (track.id == kPresentationTrack) return std::max(bitrate_bps, kPresentationBitrateFloorBps);
  return bitrate_bps == 0 ? kBitrateUnknownBps : bitrate_bps;
}

/// Places the trees of a stream one after another: tracks by falling bitrate, then stripes. Each
/// takes its uplink from what the ones before left.
class Solver {
 public:
  explicit Solver(const SolverInput& input)
      : input_{input}, stripes_{input.demand.stripe_count}, table_{input} {
    TAYGA_CHECK(stripes_ > 0 && stripes_ <= kStripeCountMax);
    std::vector<NodeIndex>& gateways = rules_.gateways;
    for (const NodeId& gateway : input.demand.gateways) {
      const NodeIndex index = table_.find(gateway);
      if (index != kNoNode) gateways.push_back(index);
    }
    std::sort(gateways.begin(), gateways.end());
    gateways.erase(std::unique(gateways.begin(), gateways.end()), gateways.end());
    rules_.stripe_count = stripes_;
    rules_.depth_max = input.depth_max;
    rules_.gateway_copies = input.gateway_copies;
    collect_demands();
  }

  SolverPlan run() {
    if (input_.current.upstream.empty()) return make_plan(plan_forest());
    const std::size_t moves_max = input_.moves_max.value_or(default_moves_max());
    Forest standing = repair_forest(table_, rules_, demands_, input_.current,
                                    input_.effort == Effort::rest ? 0 : moves_max);
    const ForestScore stands = score(standing);
    if (stands.unserved == 0 && !may_gain(stands)) return make_plan(standing);
    const Forest planned = plan_forest();
    const ForestScore wanted = score(planned);
    if (wanted.unserved < stands.unserved) return make_plan(planned);
    if (wanted.unserved > stands.unserved || !is_better(wanted, stands)) {
      return make_plan(standing);
    }
    if (wanted.moves <= stands.moves + moves_max) return make_plan(planned);
    const Forest between = migrate(standing, planned, rules_, demands_, input_.current, moves_max);
    const ForestScore reached = score(between);
    if (reached.unserved > stands.unserved || reached.copies > stands.copies) {
      return make_plan(standing);
    }
    SolverPlan plan = make_plan(between);
    plan.is_on_the_way = reached.moves > stands.moves;
    return plan;
  }

 private:
  struct Attempt {
    NodeTable table;
    std::vector<PlacedTree> trees;
    std::vector<NodeIndex> unplaced;  ///< in some stripe
  };

  Forest plan_forest() {
    for (const TrackDemand& demand : demands_) reserved_bps_ += demand.rate_bps * stripes_;
    for (const TrackDemand& demand : demands_) place_track(demand);
    Forest forest{std::move(table_), std::move(trees_), std::move(unserved_)};
    // Whoever's own track left no room in one stripe may fit into what all tracks left over.
    admit_leaves(forest, rules_);
    return forest;
  }

  [[nodiscard]] std::size_t default_moves_max() const {
    std::size_t links = 0;
    for (const auto& [node, of_node] : input_.current.upstream) links += of_node.size();
    return std::max(kMovesMin, links / kMovesShare);
  }

  /// Whether any plan could be better by what the effort is for.
  [[nodiscard]] bool may_gain(const ForestScore& stands) const {
    switch (input_.effort) {
      case Effort::rest:
        return false;
      case Effort::serve:
        return stands.copies > 0 || stands.heights > kHeightTolerated * trees();
      case Effort::improve:
        return true;
    }
    return false;
  }

  [[nodiscard]] bool is_better(const ForestScore& wanted, const ForestScore& stands) const {
    if (input_.effort == Effort::rest) return false;
    if (wanted.copies != stands.copies) return wanted.copies < stands.copies;
    if (input_.effort == Effort::serve) return wanted.heights + trees() < stands.heights;
    if (wanted.heights != stands.heights) return wanted.heights < stands.heights;
    return wanted.relays + kRelaysTolerated * trees() < stands.relays;
  }

  [[nodiscard]] std::size_t trees() const { return demands_.size() * stripes_; }

  [[nodiscard]] ForestScore score(const Forest& forest) const {
    return score_forest(forest, rules_, demands_, input_.current);
  }

  void collect_demands() {
    std::map<TrackId, TrackDemand> by_track;
    for (const TrackRecord& track : input_.demand.tracks) {
      by_track[track.id] = TrackDemand{track, stripe_rate_bps(track, stripes_), {}};
    }
    for (const auto& [id, tracks] : input_.demand.viewers) {
      const NodeIndex viewer = table_.find(id);
      if (viewer == kNoNode || rules_.is_gateway(viewer)) continue;
      for (const TrackId track : tracks) {
        const auto it = by_track.find(track);
        if (it != by_track.end()) it->second.viewers.push_back(viewer);
      }
    }
    for (auto& [track, demand] : by_track) {
      auto& viewers = demand.viewers;
      std::sort(viewers.begin(), viewers.end());
      viewers.erase(std::unique(viewers.begin(), viewers.end()), viewers.end());
      if (viewers.empty()) continue;
      if (track == kPresentationTrack) presentation_rate_bps_ = demand.rate_bps;
      demands_.push_back(std::move(demand));
    }
    const auto heavier = [](const TrackDemand& a, const TrackDemand& b) {
      return a.rate_bps > b.rate_bps;
    };
    std::stable_sort(demands_.begin(), demands_.end(), heavier);
  }

  /// Whoever takes a child of a heavy track serves it the presentation track as well: room for
  /// both is kept, or the small one would need another parent.
  [[nodiscard]] std::uint64_t slot_rate_bps(const TrackDemand& demand) const {
    if (demand.track.id == kPresentationTrack) return demand.rate_bps;
    return demand.rate_bps + presentation_rate_bps_;
  }

  /// Admission is all stripes or none: a viewer that misses one stripe gives back the others.
  void place_track(const TrackDemand& demand) {
    std::vector<NodeIndex> viewers = demand.viewers;
    Attempt attempt = try_track(demand, viewers);
    for (unsigned round = 0; !attempt.unplaced.empty(); ++round) {
      std::vector<NodeIndex> dropped = attempt.unplaced;
      if (round >= kExactAdmissionRounds) {
        const std::size_t more = std::min(viewers.size(), dropped.size() * round);
        dropped.insert(dropped.end(), viewers.end() - static_cast<std::ptrdiff_t>(more),
                       viewers.end());
        std::sort(dropped.begin(), dropped.end());
      }
      for (const NodeIndex node : dropped) {
        std::erase(viewers, node);
      }
      attempt = try_track(demand, viewers);
    }
    for (const NodeIndex viewer : demand.viewers) {
      if (!std::binary_search(viewers.begin(), viewers.end(), viewer)) {
        unserved_.emplace_back(viewer, demand.track.id);
      }
    }
    table_ = std::move(attempt.table);
    for (PlacedTree& tree : attempt.trees) trees_.push_back(std::move(tree));
    reserved_bps_ -= demand.rate_bps * stripes_;
  }

  Attempt try_track(const TrackDemand& demand, const std::vector<NodeIndex>& viewers) const {
    Attempt attempt{table_, {}, {}};
    const std::vector<std::uint32_t> homes = homes_of(demand, viewers);
    std::vector<NodeIndex> placeable = viewers;
    for (unsigned stripe = 0; stripe < stripes_; ++stripe) {
      TreeSpec spec = spec_of(demand, placeable, attempt.table, stripe);
      set_slots(demand, spec, viewers, homes, attempt.table, stripe);
      const TreePlan plan = plan_tree(attempt.table, spec);
      PlacedTree placed{demand.track.id, stripe, demand.rate_bps, {}, {}};
      placed.parent.assign(table_.size(), kNoNode);
      placed.depth.assign(table_.size(), 0);
      for (const NodeIndex node : plan.tree.attached()) {
        placed.parent[node] = plan.tree.parent(node);
        placed.depth[node] = plan.tree.depth(node);
        attempt.table.take(plan.tree.parent(node), node, demand.rate_bps);
      }
      attempt.trees.push_back(std::move(placed));
      for (const NodeIndex node : plan.unplaced) std::erase(placeable, node);
      attempt.unplaced.insert(attempt.unplaced.end(), plan.unplaced.begin(), plan.unplaced.end());
    }
    std::sort(attempt.unplaced.begin(), attempt.unplaced.end());
    return attempt;
  }

  [[nodiscard]] std::vector<std::uint32_t> homes_of(const TrackDemand& demand,
                                                    const std::vector<NodeIndex>& viewers) const {
    std::map<NodeIndex, std::uint32_t> current_home;
    for (const auto& [child, links] : input_.current.upstream) {
      for (const UpstreamLink& link : links) {
        if (link.track != demand.track.id) continue;
        current_home.emplace(table_.find(link.parent), link.stripe.value());
      }
    }
    std::vector<HomeCandidate> candidates;
    candidates.reserve(viewers.size());
    for (const NodeIndex viewer : viewers) {
      const auto& node = table_[viewer];
      const auto slots =
          std::min<std::uint64_t>(node.uplink_left_bps / slot_rate_bps(demand), node.children_left);
      const auto it = node.can_relay ? current_home.end() : current_home.find(viewer);
      candidates.push_back(HomeCandidate{
          viewer, home_hash(node.id, demand.track.id), static_cast<std::uint32_t>(slots),
          it == current_home.end() ? HomeCandidate::kNoHome : it->second});
    }
    return choose_homes(candidates, stripes_);
  }

  [[nodiscard]] TreeSpec spec_of(const TrackDemand& demand, const std::vector<NodeIndex>& viewers,
                                 const NodeTable& table, unsigned stripe) const {
    TreeSpec spec;
    spec.rate_bps = demand.rate_bps;
    spec.gateways = rules_.gateways;
    spec.viewers = viewers;
    spec.copies = input_.gateway_copies;
    spec.depth_max = input_.depth_max;
    spec.slots.assign(table.size(), 0);
    spec.current_parent.assign(table.size(), kNoNode);
    for (const auto& [child, links] : input_.current.upstream) {
      const NodeIndex index = table.find(child);
      if (index == kNoNode) continue;
      for (const UpstreamLink& link : links) {
        if (link.track != demand.track.id || link.stripe.value() != stripe) continue;
        spec.current_parent[index] = table.find(link.parent);
      }
    }
    return spec;
  }

  void set_slots(const TrackDemand& demand, TreeSpec& spec, const std::vector<NodeIndex>& viewers,
                 const std::vector<std::uint32_t>& homes, const NodeTable& table,
                 unsigned stripe) const {
    std::vector<bool> is_viewer(table.size(), false);
    std::vector<bool> is_placeable(table.size(), false);
    for (const NodeIndex viewer : spec.viewers) is_placeable[viewer] = true;
    for (std::size_t i = 0; i < viewers.size(); ++i) {
      const NodeIndex viewer = viewers[i];
      is_viewer[viewer] = true;
      if (!is_placeable[viewer] || table[viewer].can_relay || homes[i] != stripe) continue;
      spec.slots[viewer] = slots_of(spec, is_placeable, table, viewer,
                                    table[viewer].uplink_left_bps, slot_rate_bps(demand));
    }
    for (NodeIndex node = 0; node < table.size(); ++node) {
      if (!table[node].can_relay || rules_.is_gateway(node)) continue;
      if (is_viewer[node] && !is_placeable[node]) continue;
      // A relay serves every stripe: each gets its part of what is left, and what it leaves over
      // goes to the next ones.
      spec.slots[node] =
          slots_of(spec, is_placeable, table, node,
                   table[node].uplink_left_bps / (stripes_ - stripe), slot_rate_bps(demand));
      if (!is_viewer[node] && spec.slots[node] >= 2) spec.relays.push_back(node);
    }
    set_gateway_slots(demand, spec, is_placeable, table, stripe);
    sort_relays(spec, table);
  }

  /// A gateway's first copies of the trees to come are kept for them.
  void set_gateway_slots(const TrackDemand& demand, TreeSpec& spec,
                         const std::vector<bool>& members, const NodeTable& table,
                         unsigned stripe) const {
    const std::uint64_t reserved_bps = reserved_bps_ - demand.rate_bps * (stripe + 1);
    std::uint64_t left_bps = reserved_bps;
    for (const NodeIndex gateway : rules_.gateways) {
      const std::uint64_t uplink_bps = table[gateway].uplink_left_bps;
      const std::uint64_t kept_bps = std::min(left_bps, uplink_bps);
      left_bps -= kept_bps;
      spec.slots[gateway] =
          slots_of(spec, members, table, gateway, uplink_bps - kept_bps, demand.rate_bps);
    }
  }

  [[nodiscard]] std::uint32_t slots_of(const TreeSpec& spec, const std::vector<bool>& members,
                                       const NodeTable& table, NodeIndex node,
                                       std::uint64_t uplink_bps, std::uint64_t rate_bps) const {
    std::uint64_t children = table[node].children_left;
    for (const auto& [child, links] : table[node].children) children += members[child] ? 1U : 0U;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(
        {uplink_bps / rate_bps, children, spec.viewers.size() + table.size()}));
  }

  /// Strongest first; among equals, those that have sessions already, then by id.
  static void sort_relays(TreeSpec& spec, const NodeTable& table) {
    std::vector<bool> carries(table.size(), false);
    for (NodeIndex node = 0; node < table.size(); ++node) {
      carries[node] = spec.current_parent[node] != kNoNode;
    }
    const auto stronger = [&](NodeIndex a, NodeIndex b) {
      return std::tuple{~spec.slots[a], !carries[a], a} <
             std::tuple{~spec.slots[b], !carries[b], b};
    };
    std::sort(spec.relays.begin(), spec.relays.end(), stronger);
  }

  static SolverPlan make_plan(const Forest& forest) {
    SolverPlan plan;
    const NodeTable& table = forest.table;
    for (const PlacedTree& tree : forest.trees) {
      const StripeIndex stripe{static_cast<std::uint8_t>(tree.stripe)};
      for (NodeIndex node = 0; node < tree.parent.size(); ++node) {
        if (tree.parent[node] == kNoNode) continue;
        const NodeId parent = table[tree.parent[node]].id;
        plan.upstream[table[node].id].push_back(UpstreamLink{tree.track, stripe, parent});
        plan.depth = std::max(plan.depth, tree.depth[node]);
      }
    }
    for (auto& [node, links] : plan.upstream) std::sort(links.begin(), links.end());
    for (const auto& [viewer, track] : forest.unserved) {
      plan.unserved.emplace_back(table[viewer].id, track);
    }
    std::sort(plan.unserved.begin(), plan.unserved.end());
    return plan;
  }

  const SolverInput& input_;
  unsigned stripes_;
  ForestRules rules_;
  NodeTable table_;
  std::vector<TrackDemand> demands_;
  std::uint64_t presentation_rate_bps_ = 0;
  std::uint64_t reserved_bps_ = 0;  ///< one copy of every tree that is not placed yet
  std::vector<PlacedTree> trees_;
  std::vector<std::pair<NodeIndex, TrackId>> unserved_;
};

}  // namespace

std::uint64_t stripe_rate_bps(const TrackRecord& track, unsigned stripe_count) {
  const std::uint64_t with_overhead = planned_bitrate_bps(track) * (100 + kOverheadPercent) / 100;
  return std::max<std::uint64_t>(1, with_overhead / stripe_count);
}

SolverPlan solve(const SolverInput& input) {
  return Solver{input}.run();
}

}  // namespace tayga::orch
