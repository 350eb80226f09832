#include "tests/unit/solver/plan_check.hpp"

#include "common/base/encoding.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace tayga::orch::test {
namespace {

using TreeKey = std::pair<TrackId, StripeIndex>;

struct Checker {
  const SolverInput& input;
  const SolverPlan& plan;
  std::map<NodeId, const NodeView*> nodes;
  std::map<TrackId, const TrackRecord*> tracks;
  std::set<NodeId> gateways;
  std::map<TreeKey, std::map<NodeId, NodeId>> trees;  ///< child -> parent
  std::map<NodeId, std::uint64_t> used_bps;
  std::map<NodeId, std::set<NodeId>> children;

  using Fault = std::optional<std::string>;

  [[nodiscard]] bool plays(const NodeId& node, TrackId track) const {
    const auto it = input.demand.viewers.find(node);
    return it != input.demand.viewers.end() &&
           std::find(it->second.begin(), it->second.end(), track) != it->second.end();
  }
  [[nodiscard]] bool is_unserved(const NodeId& node, TrackId track) const {
    const std::pair wanted{node, track};
    return std::find(plan.unserved.begin(), plan.unserved.end(), wanted) != plan.unserved.end();
  }
  [[nodiscard]] std::uint64_t rate(TrackId track) const {
    return stripe_rate_bps(*tracks.at(track), input.demand.stripe_count);
  }

  Fault collect() {
    for (const NodeView& node : input.nodes) nodes[node.id] = &node;
    for (const TrackRecord& track : input.demand.tracks) tracks[track.id] = &track;
    gateways.insert(input.demand.gateways.begin(), input.demand.gateways.end());
    for (const auto& [child, links] : plan.upstream) {
      if (!nodes.contains(child)) return "an unknown child";
      if (gateways.contains(child)) return "a gateway with a parent";
      if (links.empty()) return "an entry without links";
      if (!std::is_sorted(links.begin(), links.end())) return "links not sorted";
      for (const UpstreamLink& link : links) {
        if (!nodes.contains(link.parent)) return "an unknown parent";
        if (!tracks.contains(link.track)) return "an unknown track";
        if (link.stripe.value() >= input.demand.stripe_count) return "an unknown stripe";
        if (!trees[{link.track, link.stripe}].emplace(child, link.parent).second) {
          return "two parents for one stripe";
        }
        used_bps[link.parent] += rate(link.track);
        children[link.parent].insert(child);
      }
    }
    return std::nullopt;
  }

  Fault check_limits() const {
    for (const auto& [node, bps] : used_bps) {
      if (bps > nodes.at(node)->uplink_bps) return "uplink exceeded at " + short_string(node);
    }
    for (const auto& [node, set] : children) {
      if (set.size() > nodes.at(node)->children_max) return "children_max exceeded";
    }
    for (const auto& [child, parent] : input.current.avoid) {
      const auto links = plan.upstream.find(child);
      if (links == plan.upstream.end()) continue;
      for (const UpstreamLink& link : links->second) {
        if (link.parent == parent && !stands(child, link)) return "an avoided pair is used anew";
      }
    }
    return std::nullopt;
  }

  [[nodiscard]] bool stands(const NodeId& child, const UpstreamLink& link) const {
    const auto links = input.current.upstream.find(child);
    return links != input.current.upstream.end() &&
           std::find(links->second.begin(), links->second.end(), link) != links->second.end();
  }

  Fault check_tree(const TreeKey& key, const std::map<NodeId, NodeId>& tree,
                   unsigned& depth_max) const {
    std::set<NodeId> parents;
    for (const auto& [child, parent] : tree) parents.insert(parent);
    for (const auto& [child, parent] : tree) {
      unsigned depth = 0;
      NodeId at = child;
      while (!gateways.contains(at)) {
        const auto it = tree.find(at);
        if (it == tree.end()) return "a path that does not end at a gateway";
        at = it->second;
        if (++depth > tree.size()) return "a loop";
      }
      if (depth > input.depth_max) return "deeper than depth_max";
      depth_max = std::max(depth_max, depth);
      if (plays(child, key.first)) continue;
      if (!nodes.at(child)->can_relay) return "a node carries what it neither plays nor relays";
      if (!parents.contains(child)) return "a relay without a child";
    }
    return std::nullopt;
  }

  Fault check_service() const {
    for (const auto& [viewer, wanted] : input.demand.viewers) {
      if (!nodes.contains(viewer) || gateways.contains(viewer)) continue;
      for (const TrackId track : wanted) {
        if (!tracks.contains(track)) continue;
        const auto it = plan.upstream.find(viewer);
        std::size_t stripes = 0;
        if (it != plan.upstream.end()) {
          const auto of_track = [&](const UpstreamLink& link) { return link.track == track; };
          stripes = static_cast<std::size_t>(
              std::count_if(it->second.begin(), it->second.end(), of_track));
        }
        if (!is_unserved(viewer, track)) {
          if (stripes != input.demand.stripe_count) return "a served viewer misses a stripe";
        } else if (!nodes.at(viewer)->can_relay && stripes != 0) {
          return "an unserved viewer holds stripes";
        } else if (has_place_everywhere(viewer, track)) {
          return "a viewer is unserved although every stripe has a place for it";
        }
      }
    }
    return std::nullopt;
  }

  /// A place is a parent with room for all stripes: whatever parents the other stripes take, it
  /// is still there. One stripe at a parent with less room is not asked for.
  [[nodiscard]] bool has_place_everywhere(const NodeId& viewer, TrackId track) const {
    for (unsigned stripe = 0; stripe < input.demand.stripe_count; ++stripe) {
      if (!has_place(viewer, track, stripe)) return false;
    }
    return true;
  }

  [[nodiscard]] bool has_place(const NodeId& viewer, TrackId track, unsigned stripe) const {
    const TreeKey key{track, StripeIndex{static_cast<std::uint8_t>(stripe)}};
    const auto tree = trees.find(key);
    for (const auto& [id, node] : nodes) {
      if (id == viewer) continue;
      const bool in_tree = tree != trees.end() && tree->second.contains(id);
      if (!gateways.contains(id) && !in_tree) continue;
      const auto used = used_bps.find(id);
      const std::uint64_t used_here = used == used_bps.end() ? 0 : used->second;
      if (used_here + rate(track) * input.demand.stripe_count > node->uplink_bps) continue;
      const auto kids = children.find(id);
      const std::size_t kid_count = kids == children.end() ? 0 : kids->second.size();
      const bool is_kid = kid_count > 0 && kids->second.contains(viewer);
      if (!is_kid && kid_count >= node->children_max) continue;
      const std::pair pair{viewer, id};
      const auto& avoid = input.current.avoid;
      if (std::find(avoid.begin(), avoid.end(), pair) != avoid.end()) continue;
      if (depth_of(key, id) >= input.depth_max) continue;
      return true;
    }
    return false;
  }

  [[nodiscard]] unsigned depth_of(const TreeKey& key, NodeId node) const {
    unsigned depth = 0;
    for (; !gateways.contains(node); ++depth) node = trees.at(key).at(node);
    return depth;
  }
};

}  // namespace

std::optional<std::string> check_plan(const SolverInput& input, const SolverPlan& plan) {
  Checker checker{input, plan, {}, {}, {}, {}, {}, {}};
  if (auto fault = checker.collect()) return fault;
  if (auto fault = checker.check_limits()) return fault;
  unsigned depth = 0;
  for (const auto& [key, tree] : checker.trees) {
    if (auto fault = checker.check_tree(key, tree, depth)) return fault;
  }
  if (depth != plan.depth) return "the depth is not the longest path";
  return checker.check_service();
}

std::size_t gateway_copies(const SolverInput& input, const SolverPlan& plan, TrackId track,
                           StripeIndex stripe) {
  const auto& gateways = input.demand.gateways;
  std::size_t copies = 0;
  for (const auto& [child, links] : plan.upstream) {
    for (const UpstreamLink& link : links) {
      const bool from_gateway =
          std::find(gateways.begin(), gateways.end(), link.parent) != gateways.end();
      copies += link.track == track && link.stripe == stripe && from_gateway ? 1U : 0U;
    }
  }
  return copies;
}

}  // namespace tayga::orch::test
