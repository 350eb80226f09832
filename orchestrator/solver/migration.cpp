#include "orchestrator/solver/migration.hpp"

#include "orchestrator/solver/forest_editor.hpp"

#include <algorithm>
#include <tuple>

namespace tayga::orch {
namespace {

class Migration {
 public:
  Migration(const Forest& standing, const Forest& planned, const ForestRules& rules,
            const std::vector<TrackDemand>& demands, const CurrentLinks& current,
            std::size_t moves_max)
      : standing_{standing},
        planned_{planned},
        rules_{rules},
        editor_{standing, rules, demands},
        before_{current_parents(standing.table, current.upstream)},
        moves_left_{moves_max} {}

  Forest run() {
    for (std::size_t i = 0; i < planned_.trees.size(); ++i) {
      follow(editor_.trees()[i], planned_.trees[i]);
    }
    editor_.prune();
    return std::move(editor_).finish(standing_.unserved);
  }

 private:
  /// A gateway's children first, then from the top downwards.
  void follow(EditedTree& tree, const PlacedTree& plan) {
    using Step = std::tuple<unsigned, bool, NodeIndex>;
    std::vector<Step> steps;
    for (NodeIndex node = 0; node < plan.parent.size(); ++node) {
      const NodeIndex have = tree.placed.parent[node];
      if (plan.parent[node] == kNoNode || plan.parent[node] == have) continue;
      const bool from_gateway = have != kNoNode && rules_.is_gateway(have);
      steps.emplace_back(plan.depth[node], !from_gateway, node);
    }
    std::sort(steps.begin(), steps.end());
    for (const auto& [depth, other, node] : steps) {
      if (tree.placed.parent[node] == kNoNode) {
        recruit(tree, plan, node);
      } else {
        move(tree, plan, node);
      }
    }
  }

  /// Whether moving the node now is a move for it: since the plan in force it has not moved yet.
  [[nodiscard]] std::size_t cost(const EditedTree& tree, NodeIndex node) const {
    const auto known = before_.find({tree.placed.track, tree.placed.stripe});
    const NodeIndex was = known == before_.end() ? kNoNode : known->second[node];
    return was != kNoNode && was == tree.placed.parent[node] ? 1 : 0;
  }

  [[nodiscard]] bool fits(const EditedTree& tree, NodeIndex node, NodeIndex parent) const {
    return tree.attached[parent] && !ForestEditor::is_below(tree, parent, node) &&
           tree.placed.depth[parent] + 1 + ForestEditor::height(tree, node) <= rules_.depth_max &&
           editor_.has_room(tree, parent, node);
  }

  void move(EditedTree& tree, const PlacedTree& plan, NodeIndex node) {
    const NodeIndex have = tree.placed.parent[node];
    const NodeIndex want = plan.parent[node];
    const std::size_t price = cost(tree, node);
    if (price > moves_left_ || !fits(tree, node, want)) return;
    const bool saves_copy = rules_.is_gateway(have) && editor_.copies(tree) > rules_.gateway_copies;
    const bool is_higher = tree.placed.depth[want] + 1 < tree.placed.depth[node];
    const bool leaves_relay = !rules_.is_gateway(have) && plan.parent[have] == kNoNode &&
                              tree.placed.depth[want] + 1 <= tree.placed.depth[node];
    if (rules_.is_gateway(want) && editor_.copies(tree) >= rules_.gateway_copies) return;
    if (!saves_copy && !is_higher && !leaves_relay) return;
    editor_.detach(tree, node);
    editor_.attach(tree, node, want);
    moves_left_ -= price;
  }

  /// A relay that the plan uses: where there is a place, else in that of a gateway's child, which
  /// hangs below it then.
  void recruit(EditedTree& tree, const PlacedTree& plan, NodeIndex relay) {
    const NodeIndex want = plan.parent[relay];
    if (ForestEditor::plays(tree, relay) || moves_left_ == 0) return;
    if (!rules_.is_gateway(want)) {
      if (fits(tree, relay, want)) editor_.attach(tree, relay, want);
      return;
    }
    if (editor_.copies(tree) < rules_.gateway_copies) {
      if (fits(tree, relay, want)) editor_.attach(tree, relay, want);
      return;
    }
    const std::vector<NodeIndex> children = tree.children[want];
    for (const NodeIndex child : children) {
      const std::size_t price = cost(tree, child);
      const unsigned depth = 2 + ForestEditor::height(tree, child);
      if (price > moves_left_ || plan.parent[child] == want || depth > rules_.depth_max) continue;
      if (!editor_.has_room(tree, relay, child)) continue;
      editor_.detach(tree, child);
      if (!editor_.has_room(tree, want, relay)) {
        editor_.attach(tree, child, want);
        continue;
      }
      editor_.attach(tree, relay, want);
      editor_.attach(tree, child, relay);
      moves_left_ -= price;
      return;
    }
  }

  const Forest& standing_;
  const Forest& planned_;
  const ForestRules& rules_;
  ForestEditor editor_;
  std::map<TreeKey, std::vector<NodeIndex>> before_;
  std::size_t moves_left_;
};

}  // namespace

Forest migrate(const Forest& standing, const Forest& planned, const ForestRules& rules,
               const std::vector<TrackDemand>& demands, const CurrentLinks& current,
               std::size_t moves_max) {
  return Migration{standing, planned, rules, demands, current, moves_max}.run();
}

}  // namespace tayga::orch
