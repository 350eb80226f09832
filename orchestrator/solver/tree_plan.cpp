#include "orchestrator/solver/tree_plan.hpp"

#include "orchestrator/solver/level_fill.hpp"

#include <algorithm>
#include <compare>
#include <deque>
#include <functional>
#include <tuple>
#include <utility>

namespace tayga::orch {
namespace {

/// A relay that is in use stays while it is at most this many above the need: one viewer who comes
/// and goes does not make others move each time.
constexpr std::size_t kRelaysKeptAboveNeed = 1;

struct Score {
  std::size_t unplaced = 0;
  unsigned copies = 0;
  unsigned depth = 0;
  std::size_t relays_above = 0;
  friend auto operator<=>(const Score&, const Score&) = default;
};

class Planner {
 public:
  Planner(const NodeTable& table, const TreeSpec& spec, const TreeBound& bound)
      : table_{table},
        spec_{spec},
        bound_{bound},
        current_children_(table.size()),
        is_relay_(table.size(), false),
        may_keep_(table.size(), false) {
    for (NodeIndex child = 0; child < table.size(); ++child) {
      const NodeIndex parent = spec.current_parent[child];
      if (parent != kNoNode) current_children_[parent].push_back(child);
    }
    for (const NodeIndex relay : spec.relays) is_relay_[relay] = true;
    choose_kept_relays();
    for (const NodeIndex viewer : spec.viewers) may_keep_[viewer] = true;
    for (const NodeIndex relay : kept_relays_) may_keep_[relay] = true;
  }

  [[nodiscard]] bool has_current() const {
    const auto is_set = [](NodeIndex parent) { return parent != kNoNode; };
    return std::any_of(spec_.current_parent.begin(), spec_.current_parent.end(), is_set);
  }

  /// Best is nobody unplaced with the bound's copies, depth and relays: nothing can beat that.
  [[nodiscard]] bool is_optimal(const Score& score) const {
    return bound_.feasible && score <= Score{0, bound_.copies, bound_.depth, 0};
  }

  [[nodiscard]] Score score(const TreePlan& plan) const {
    const std::size_t relays = plan.tree.relay_count();
    const std::size_t relays_max = bound_.relays + kRelaysKeptAboveNeed;
    return Score{plan.unplaced.size(), std::max(plan.tree.copies(), bound_.copies),
                 std::max(plan.tree.height(), bound_.depth),
                 relays > relays_max ? relays - relays_max : 0};
  }

  /// A tree from nothing, strongest nodes first, with the first `relays` relays.
  [[nodiscard]] TreePlan fresh(std::size_t relays) const {
    TreePlan plan{Tree{table_, spec_}, {}};
    std::vector<NodeIndex> order = spec_.viewers;
    append_relays(order, relays, plan.tree);
    place_all(plan, order, Keep::nothing);
    return plan;
  }

  /// What exists, with the missing placed into it, and up to `relays` relays added. `overflow` says
  /// whether gateways' extra copies stay as well.
  [[nodiscard]] TreePlan kept(std::size_t relays, Overflow overflow) const {
    TreePlan plan{Tree{table_, spec_}, {}};
    keep_gateway_links(plan.tree, overflow);
    std::vector<NodeIndex> order;
    for (const NodeIndex viewer : spec_.viewers) {
      if (!plan.tree.is_attached(viewer)) order.push_back(viewer);
    }
    append_relays(order, relays, plan.tree);
    for (const NodeIndex relay : kept_relays_) {
      const bool listed = std::find(order.begin(), order.end(), relay) != order.end();
      if (!plan.tree.is_attached(relay) && !listed) order.push_back(relay);
    }
    place_all(plan, order, Keep::subtrees);
    return plan;
  }

 private:
  enum class Keep : std::uint8_t { nothing, subtrees };

  void append_relays(std::vector<NodeIndex>& order, std::size_t relays, const Tree& tree) const {
    for (std::size_t i = 0; i < std::min(relays, spec_.relays.size()); ++i) {
      if (!tree.is_attached(spec_.relays[i])) order.push_back(spec_.relays[i]);
    }
  }

  /// Relays with children now, those with most first, not many more than are needed.
  void choose_kept_relays() {
    std::vector<NodeIndex>& relays = kept_relays_;
    for (const NodeIndex relay : spec_.relays) {
      if (!current_children_[relay].empty()) relays.push_back(relay);
    }
    const auto busier = [this](NodeIndex a, NodeIndex b) {
      return current_children_[a].size() > current_children_[b].size();
    };
    std::stable_sort(relays.begin(), relays.end(), busier);
    relays.resize(std::min(relays.size(), bound_.relays + kRelaysKeptAboveNeed));
  }

  /// Attaches the gateways' present children, those with most children first, and what hangs below.
  void keep_gateway_links(Tree& tree, Overflow overflow) const {
    std::vector<NodeIndex> roots;
    for (const NodeIndex gateway : spec_.gateways) {
      const auto& children = current_children_[gateway];
      roots.insert(roots.end(), children.begin(), children.end());
    }
    const auto busier = [this](NodeIndex a, NodeIndex b) {
      const auto size_a = current_children_[a].size();
      const auto size_b = current_children_[b].size();
      return size_a != size_b ? size_a > size_b : a < b;
    };
    std::sort(roots.begin(), roots.end(), busier);
    for (const NodeIndex root : roots) keep_link(tree, root, overflow);
  }

  void keep_link(Tree& tree, NodeIndex child, Overflow overflow) const {
    const NodeIndex parent = spec_.current_parent[child];
    if (!may_keep_[child] || tree.is_attached(child)) return;
    if (!tree.can_attach(child, parent, overflow)) return;
    tree.attach(child, parent);
    keep_below(tree, child);
  }

  void keep_below(Tree& tree, NodeIndex top) const {
    std::deque<NodeIndex> todo{top};
    while (!todo.empty()) {
      const NodeIndex parent = todo.front();
      todo.pop_front();
      std::vector<NodeIndex> children = current_children_[parent];
      const auto stronger = [this](NodeIndex a, NodeIndex b) {
        return spec_.slots[a] != spec_.slots[b] ? spec_.slots[a] > spec_.slots[b] : a < b;
      };
      std::sort(children.begin(), children.end(), stronger);
      for (const NodeIndex child : children) {
        if (!may_keep_[child] || tree.is_attached(child)) continue;
        if (!tree.can_attach(child, parent, Overflow::no)) continue;
        tree.attach(child, parent);
        todo.push_back(child);
      }
    }
  }

  /// Roots of detached subtrees before what hangs below them (it may follow its root), strong nodes
  /// before weak ones, viewers before relays, placed ones before newcomers.
  void sort_for_placing(std::vector<NodeIndex>& order, Keep keep) const {
    std::vector<bool> listed(table_.size(), false);
    for (const NodeIndex node : order) listed[node] = true;
    const auto rank_of = [&](NodeIndex node) {
      const NodeIndex parent = spec_.current_parent[node];
      const bool hangs_below = keep == Keep::subtrees && parent != kNoNode && listed[parent];
      return std::tuple{hangs_below, ~spec_.slots[node], bool{is_relay_[node]}, parent == kNoNode,
                        node};
    };
    std::vector<std::pair<decltype(rank_of(NodeIndex{})), NodeIndex>> ranked;
    ranked.reserve(order.size());
    for (const NodeIndex node : order) ranked.emplace_back(rank_of(node), node);
    std::sort(ranked.begin(), ranked.end());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = ranked[i].second;
  }

  /// First all within the gateways' share; who found no place then (its only open parents were
  /// full of other sessions, or avoided) tries again below those placed meanwhile, and then takes
  /// an extra copy from a gateway.
  void place_all(TreePlan& plan, std::vector<NodeIndex>& order, Keep keep) const {
    sort_for_placing(order, keep);
    std::vector<NodeIndex> waiting = place_pass(plan.tree, order, keep, Overflow::no);
    std::erase_if(waiting, [this](NodeIndex node) { return is_relay_[node]; });
    for (std::size_t before = waiting.size() + 1; !waiting.empty() && waiting.size() < before;) {
      before = waiting.size();
      waiting = place_pass(plan.tree, waiting, keep, Overflow::gateways);
    }
    plan.tree.prune();
    plan.tree.lift();
    plan.tree.prune();  // lifting may have taken a relay's last child
    std::sort(waiting.begin(), waiting.end());
    plan.unplaced = std::move(waiting);
  }

  std::vector<NodeIndex> place_pass(Tree& tree, const std::vector<NodeIndex>& order, Keep keep,
                                    Overflow overflow) const {
    std::vector<NodeIndex> waiting;
    for (const NodeIndex node : order) {
      if (tree.is_attached(node)) continue;  // followed its root
      NodeIndex parent = tree.find_parent(node, spec_.depth_max, Overflow::no);
      if (parent == kNoNode && overflow == Overflow::gateways) {
        parent = tree.find_parent(node, spec_.depth_max, Overflow::gateways);
      }
      if (parent == kNoNode) {
        waiting.push_back(node);
        continue;
      }
      tree.attach(node, parent);
      if (keep == Keep::subtrees) keep_below(tree, node);
    }
    return waiting;
  }

  const NodeTable& table_;
  const TreeSpec& spec_;
  const TreeBound& bound_;
  std::vector<std::vector<NodeIndex>> current_children_;
  std::vector<bool> is_relay_;
  std::vector<NodeIndex> kept_relays_;
  /// A relay that is not kept must not come back with its old parent's subtree.
  std::vector<bool> may_keep_;
};

std::vector<std::uint32_t> sorted_slots(const TreeSpec& spec, const std::vector<NodeIndex>& nodes) {
  std::vector<std::uint32_t> slots;
  slots.reserve(nodes.size());
  for (const NodeIndex node : nodes) slots.push_back(spec.slots[node]);
  std::sort(slots.begin(), slots.end(), std::greater<>{});
  return slots;
}

TreeBound bound_of(const TreeSpec& spec) {
  const auto viewer_slots = sorted_slots(spec, spec.viewers);
  const auto relay_slots = sorted_slots(spec, spec.relays);
  std::uint64_t copies_max = 0;
  for (const NodeIndex gateway : spec.gateways) copies_max += spec.slots[gateway];
  copies_max = std::min<std::uint64_t>(copies_max, spec.viewers.size());
  return bound_tree(TreeBoundInput{viewer_slots, relay_slots, spec.copies,
                                   static_cast<unsigned>(copies_max), spec.depth_max});
}

}  // namespace

TreePlan plan_tree(const NodeTable& table, TreeSpec& spec) {
  const TreeBound bound = bound_of(spec);
  spec.copies = bound.copies;
  const Planner planner{table, spec, bound};
  const std::size_t all_relays = spec.relays.size();

  TreePlan best =
      planner.has_current() ? planner.kept(0, Overflow::gateways) : planner.fresh(bound.relays);
  Score best_score = planner.score(best);
  const auto try_plan = [&](TreePlan plan) {
    const Score score = planner.score(plan);
    if (!(score < best_score)) return;
    best_score = score;
    best = std::move(plan);
  };
  if (planner.has_current()) {
    if (!planner.is_optimal(best_score)) try_plan(planner.kept(0, Overflow::no));
    if (!planner.is_optimal(best_score)) try_plan(planner.kept(bound.relays, Overflow::no));
    if (!planner.is_optimal(best_score)) try_plan(planner.fresh(bound.relays));
  }
  if (!planner.is_optimal(best_score) && bound.relays < all_relays) {
    try_plan(planner.fresh(all_relays));
  }
  return best;
}

}  // namespace tayga::orch
