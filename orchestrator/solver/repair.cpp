#include "orchestrator/solver/repair.hpp"

#include "orchestrator/solver/forest_editor.hpp"
#include "orchestrator/solver/open_places.hpp"

#include <algorithm>
#include <deque>
#include <set>
#include <tuple>
#include <utility>

namespace tayga::orch {
namespace {

using Parents = std::vector<NodeIndex>;

class Repair {
 public:
  Repair(const NodeTable& table, const ForestRules& rules, const std::vector<TrackDemand>& demands,
         const CurrentLinks& current, std::size_t moves_max)
      : rules_{rules}, editor_{table, rules, demands}, moves_left_{moves_max} {
    const auto parents = current_parents(table, current.upstream);
    const auto promoted = current_parents(table, current.promoted);
    for (EditedTree& tree : editor_.trees()) {
      const TreeKey key{tree.placed.track, tree.placed.stripe};
      const auto before = parents.find(key);
      const auto by_nodes = promoted.find(key);
      Work& work = works_.emplace_back(Work{tree, {}, {}, {}, {}});
      work.before = before == parents.end() ? Parents(table.size(), kNoNode) : before->second;
      work.promoted =
          by_nodes == promoted.end() ? Parents(table.size(), kNoNode) : by_nodes->second;
      work.was_served.assign(table.size(), false);
    }
    note_served(current);
  }

  Forest run() {
    for (Work& work : works_) keep(work);
    // A viewer that finds no room leaves all its stripes, and what hung below it is placed again.
    // Each is refused once at most, so this ends.
    const auto is_open = [](const Work& work) { return !work.loose.empty(); };
    while (std::any_of(works_.begin(), works_.end(), is_open)) {
      for (Work& work : works_) place_loose(work);
    }
    editor_.prune();
    Forest forest = std::move(editor_).finish({refused_.begin(), refused_.end()});
    admit_leaves(forest, rules_);
    return forest;
  }

 private:
  struct Work {
    EditedTree& tree;
    Parents before;                ///< in force
    Parents promoted;              ///< of it: since the last plan, by the nodes themselves
    std::vector<bool> was_served;  ///< also by a parent that is gone
    std::vector<NodeIndex> loose;  ///< roots of what hangs on nothing and must be placed
  };

  void note_served(const CurrentLinks& current) {
    for (const auto& [child, links] : current.upstream) {
      const NodeIndex node = editor_.table().find(child);
      if (node == kNoNode) continue;
      for (Work& work : works_) {
        const PlacedTree& placed = work.tree.placed;
        const auto is_of_tree = [&](const UpstreamLink& link) {
          return link.track == placed.track && link.stripe.value() == placed.stripe;
        };
        if (std::any_of(links.begin(), links.end(), is_of_tree)) work.was_served[node] = true;
      }
    }
  }

  // ---- what stays ----

  /// Viewers, and the nodes above them. Others are not worth keeping.
  std::vector<bool> needed_nodes(const Work& work) const {
    std::vector<bool> needed(work.before.size(), false);
    for (const NodeIndex viewer : work.tree.demand->viewers) {
      for (NodeIndex at = viewer; at != kNoNode && !needed[at]; at = work.before[at]) {
        if (rules_.is_gateway(at)) break;  // what a liar hangs it below does not matter
        needed[at] = true;
      }
    }
    return needed;
  }

  [[nodiscard]] bool may_carry(const Work& work, NodeIndex node) const {
    return ForestEditor::plays(work.tree, node) || editor_.table()[node].can_relay;
  }

  void keep(Work& work) {
    const std::vector<bool> needed = needed_nodes(work);
    const std::size_t nodes = needed.size();
    std::vector<std::vector<NodeIndex>> children(nodes);
    std::deque<NodeIndex> todo{rules_.gateways.begin(), rules_.gateways.end()};
    std::vector<bool> met(nodes, false);
    for (NodeIndex node = 0; node < nodes; ++node) {
      if (!needed[node] || rules_.is_gateway(node)) continue;
      const NodeIndex parent = work.before[node];
      if (parent != kNoNode && work.promoted[node] == kNoNode) {
        children[parent].push_back(node);
      } else {
        todo.push_back(node);  // a root of its own, for the time being
      }
    }
    keep_below(work, children, todo, met);
    for (NodeIndex node = 0; node < nodes; ++node) {
      if (!needed[node] || met[node] || rules_.is_gateway(node)) continue;
      todo = {node};  // a loop
      keep_below(work, children, todo, met);
    }
  }

  /// Walks down from `todo`: hangs children where they hung; who then hangs on nothing is loose.
  void keep_below(Work& work, const std::vector<std::vector<NodeIndex>>& children,
                  std::deque<NodeIndex>& todo, std::vector<bool>& met) {
    while (!todo.empty()) {
      const NodeIndex parent = todo.front();
      todo.pop_front();
      if (met[parent]) continue;
      met[parent] = true;
      const bool carries = rules_.is_gateway(parent) || may_carry(work, parent);
      const bool is_root = work.tree.placed.parent[parent] == kNoNode;
      if (carries && is_root && !rules_.is_gateway(parent)) work.loose.push_back(parent);
      for (const NodeIndex child : children[parent]) {
        if (met[child]) continue;
        todo.push_back(child);
        const bool fits = work.tree.placed.depth[parent] < rules_.depth_max;
        if (carries && fits && may_carry(work, child) &&
            editor_.has_capacity(work.tree, parent, child)) {
          editor_.attach(work.tree, child, parent);
        }
      }
    }
  }

  // ---- who needs a place ----

  void place_loose(Work& work) {
    if (work.loose.empty()) return;
    std::vector<NodeIndex> order = std::exchange(work.loose, {});
    sort_for_placing(work, order);
    OpenPlaces places{editor_, rules_, work.tree};
    std::size_t waiting = order.size();
    for (const NodeIndex node : order) {
      if (work.tree.placed.parent[node] != kNoNode) continue;
      const bool is_viewer = ForestEditor::plays(work.tree, node);
      if (is_viewer && refused_.contains({node, work.tree.placed.track})) continue;
      if (!is_viewer && work.tree.children[node].empty()) continue;
      if (place(work, places, node, waiting)) {
        waiting -= 1;
      } else {
        is_viewer ? refuse(node, work.tree.placed.track) : break_up(work, node);
      }
    }
  }

  /// Those who were served before newcomers, big subtrees and strong nodes first.
  void sort_for_placing(const Work& work, std::vector<NodeIndex>& order) const {
    using Rank = std::tuple<bool, bool, std::uint64_t, NodeIndex>;
    std::vector<Rank> ranked;
    ranked.reserve(order.size());
    for (const NodeIndex node : order) {
      ranked.emplace_back(!work.was_served[node], work.tree.children[node].empty(),
                          ~room_of(work, node), node);
    }
    std::sort(ranked.begin(), ranked.end());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = std::get<NodeIndex>(ranked[i]);
  }

  /// Children of this tree that the node may have beside those it has.
  [[nodiscard]] std::uint64_t room_of(const Work& work, NodeIndex node) const {
    const NodeTable::Node& entry = editor_.table()[node];
    const std::uint64_t slot_bps = work.tree.placed.rate_bps + spare_for(work);
    return std::min<std::uint64_t>(entry.uplink_left_bps / slot_bps, entry.children_left);
  }

  /// `waiting`: for how many in this tree a place is sought, the node among them.
  bool place(Work& work, OpenPlaces& places, NodeIndex node, std::size_t waiting) {
    EditedTree& tree = work.tree;
    const unsigned height = ForestEditor::height(tree, node);
    if (height + 1 > rules_.depth_max) return false;
    const unsigned depth_max = rules_.depth_max - height - 1;
    const NodeIndex promoted = work.promoted[node];
    const bool can_stay =
        promoted != kNoNode && tree.attached[promoted] && may_carry_or_gives(work, promoted) &&
        tree.placed.depth[promoted] <= depth_max && editor_.has_capacity(tree, promoted, node);
    // One more copy from a gateway bridges the time until a peer has taken over, no longer.
    const bool is_bridge =
        can_stay && rules_.is_gateway(promoted) && editor_.copies(tree) >= rules_.gateway_copies;
    if (can_stay && !is_bridge) return hang(work, places, node, promoted);
    if (editor_.copies(tree) < rules_.gateway_copies) {
      if (room_of(work, node) + 1 < waiting) recruit_at_gateway(work, places, node);
      const NodeIndex gateway = gateway_for(work, node, 0);
      if (editor_.copies(tree) < rules_.gateway_copies && gateway != kNoNode) {
        return hang(work, places, node, gateway);
      }
    }
    for (const std::uint64_t spare_bps : {spare_for(work), std::uint64_t{0}}) {
      const NodeIndex peer = places.find({node, depth_max, spare_bps});
      if (peer != kNoNode) return hang(work, places, node, peer);
    }
    if (recruit(work, places, node, height)) return true;
    if (is_bridge) return hang(work, places, node, promoted);
    const NodeIndex gateway = gateway_for(work, node, kept_by_gateways());
    return gateway != kNoNode && hang(work, places, node, gateway);
  }

  [[nodiscard]] bool may_carry_or_gives(const Work& work, NodeIndex node) const {
    return rules_.is_gateway(node) || may_carry(work, node);
  }

  bool hang(Work& work, OpenPlaces& places, NodeIndex node, NodeIndex parent) {
    editor_.attach(work.tree, node, parent);
    places.update(parent);
    std::vector<NodeIndex> todo{node};
    while (!todo.empty()) {
      const NodeIndex at = todo.back();
      todo.pop_back();
      places.update(at);
      todo.insert(todo.end(), work.tree.children[at].begin(), work.tree.children[at].end());
    }
    return true;
  }

  /// A heavy track's parents serve the presentation track as well, or it would need another one.
  [[nodiscard]] std::uint64_t spare_for(const Work& work) const {
    if (work.tree.placed.track == kPresentationTrack) return 0;
    for (const Work& other : works_) {
      if (other.tree.placed.track == kPresentationTrack) return other.tree.placed.rate_bps;
    }
    return 0;
  }

  NodeIndex gateway_for(const Work& work, NodeIndex node, std::uint64_t kept_bps) const {
    NodeIndex best = kNoNode;
    for (const NodeIndex gateway : rules_.gateways) {
      const auto left_bps = editor_.table()[gateway].uplink_left_bps;
      if (gateway == node || !editor_.has_room(work.tree, gateway, node)) continue;
      if (left_bps < work.tree.placed.rate_bps + kept_bps) continue;
      const auto rank = [&](NodeIndex n) { return editor_.table().rtt_us(node, n); };
      if (best == kNoNode || rank(gateway) < rank(best)) best = gateway;
    }
    return best;
  }

  /// The first copies of trees that have none yet.
  [[nodiscard]] std::uint64_t kept_by_gateways() const {
    std::uint64_t kept_bps = 0;
    for (const Work& work : works_) {
      if (editor_.copies(work.tree) == 0) kept_bps += work.tree.placed.rate_bps;
    }
    return kept_bps;
  }

  // ---- relays ----

  /// A stronger relay takes the gateway's copy when the node has not room for all who wait.
  void recruit_at_gateway(Work& work, OpenPlaces& places, NodeIndex node) {
    const NodeIndex relay = strongest_idle(work, kNoNode);
    if (relay == kNoNode || room_of(work, relay) <= room_of(work, node)) return;
    const NodeIndex gateway = gateway_for(work, relay, 0);
    if (gateway != kNoNode) hang(work, places, relay, gateway);
  }

  /// Hangs `node` below the strongest relay that carries nothing in this tree, and that where there
  /// is room (for the node there was none), or where a leaf was: one move instead of another copy
  /// from a gateway.
  bool recruit(Work& work, OpenPlaces& places, NodeIndex node, unsigned height) {
    const NodeIndex relay = strongest_idle(work, node);
    if (relay == kNoNode) return false;
    if (height + 2 <= rules_.depth_max) {
      const NodeIndex peer = places.find({relay, rules_.depth_max - height - 2, 0});
      if (peer != kNoNode)
        return hang(work, places, relay, peer) && hang(work, places, node, relay);
    }
    const NodeIndex leaf = moves_left_ == 0 ? kNoNode : leaf_for(work, relay, height);
    if (leaf == kNoNode) return false;
    EditedTree& tree = work.tree;
    const NodeIndex parent = tree.placed.parent[leaf];
    editor_.detach(tree, leaf);
    if (!editor_.has_room(tree, parent, relay)) {
      editor_.attach(tree, leaf, parent);
      return false;
    }
    if (work.before[leaf] == parent) --moves_left_;
    hang(work, places, relay, parent);
    hang(work, places, leaf, relay);
    return hang(work, places, node, relay);
  }

  /// One that may be the parent of `node`; kNoNode: of anybody.
  NodeIndex strongest_idle(const Work& work, NodeIndex node) const {
    NodeIndex best = kNoNode;
    std::uint64_t best_room = 1;  // a leaf and the node
    for (NodeIndex at = 0; at < editor_.table().size(); ++at) {
      const auto& entry = editor_.table()[at];
      if (!entry.can_relay || at == node || rules_.is_gateway(at)) continue;
      if (work.tree.placed.parent[at] != kNoNode || !work.tree.children[at].empty()) continue;
      if (ForestEditor::plays(work.tree, at)) continue;
      if (node != kNoNode && editor_.table().is_avoided(node, at)) continue;
      const std::uint64_t room = room_of(work, at);
      if (room <= best_room) continue;
      best_room = room;
      best = at;
    }
    return best;
  }

  /// The leaf nearest to a gateway whose place the relay may take.
  NodeIndex leaf_for(const Work& work, NodeIndex relay, unsigned height) const {
    NodeIndex best = kNoNode;
    for (NodeIndex leaf = 0; leaf < editor_.table().size(); ++leaf) {
      if (!work.tree.attached[leaf] || rules_.is_gateway(leaf)) continue;
      if (!work.tree.children[leaf].empty()) continue;
      const unsigned depth = work.tree.placed.depth[leaf];
      if (depth + 1 + height > rules_.depth_max) continue;
      const NodeIndex parent = work.tree.placed.parent[leaf];
      if (editor_.table().is_avoided(leaf, relay) || editor_.table().is_avoided(relay, parent)) {
        continue;
      }
      if (best == kNoNode || depth < work.tree.placed.depth[best]) best = leaf;
    }
    return best;
  }

  // ---- who finds none ----

  void break_up(Work& work, NodeIndex node) {
    const std::vector<NodeIndex> orphans = editor_.remove(work.tree, node);
    work.loose.insert(work.loose.end(), orphans.begin(), orphans.end());
  }

  void refuse(NodeIndex viewer, TrackId track) {
    refused_.emplace(viewer, track);
    for (Work& work : works_) {
      if (work.tree.placed.track == track) break_up(work, viewer);
    }
  }

  const ForestRules& rules_;
  ForestEditor editor_;
  std::size_t moves_left_;
  std::deque<Work> works_;
  std::set<std::pair<NodeIndex, TrackId>> refused_;
};

}  // namespace

Forest repair_forest(const NodeTable& table, const ForestRules& rules,
                     const std::vector<TrackDemand>& demands, const CurrentLinks& current,
                     std::size_t moves_max) {
  return Repair{table, rules, demands, current, moves_max}.run();
}

}  // namespace tayga::orch
