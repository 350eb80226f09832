#include "orchestrator/solver/standby_plan.hpp"

#include "orchestrator/solver/rooted_tree.hpp"
#include "orchestrator/solver/solver.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

namespace tayga::orch {
namespace {

// What one choice looks at; more gains little, and would cost nodes x nodes.
constexpr std::size_t kCandidatesMax = 16;   ///< valid ones of other branches, and of the own
constexpr std::size_t kLookedAtMax = 48;     ///< in the node's own branch, valid or not
constexpr std::size_t kBranchesMax = 8;      ///< other branches that are sampled
constexpr std::size_t kKnownParentsMax = 8;  ///< parents in other trees: sessions exist
constexpr std::size_t kAncestorStepsMax = kAncestorsAvoided + 1;

/// How much of the node's own path a standby may share.
enum class Path : std::uint8_t {
  apart,    ///< nothing up to the parent's last ancestors
  relaxed,  ///< neither the node nor its parent
};

std::uint64_t pair_key(NodeIndex a, NodeIndex b) {
  return std::uint64_t{a} << 32 | b;
}

/// One (track, stripe) tree and the choices made in it.
struct Placing {
  TrackId track;
  StripeIndex stripe;
  std::uint64_t rate_bps = 0;
  RootedTree tree;
  std::vector<NodeIndex> standby;  ///< by node; kNoNode: none (yet)
  std::vector<NodeIndex> held;     ///< present one that is not of the best kind
};

class StandbyPlanner {
 public:
  StandbyPlanner(const StandbyInput& input, const LinkPlan& upstream) : input_{input} {
    for (const StandbyNode& node : input.nodes) {
      spare_bps_.push_back(static_cast<std::int64_t>(std::min(node.spare_bps, kSpareMaxBps)));
      left_bps_.push_back(spare_bps_.back() -
                          static_cast<std::int64_t>(std::min(node.load_bps, kSpareMaxBps)));
      sessions_left_.push_back(node.children_left);
    }
    for (const auto& [child, parent] : input.avoid) {
      const NodeIndex from = find(child);
      const NodeIndex to = find(parent);
      if (from != kNoNode && to != kNoNode) avoided_.insert(pair_key(from, to));
    }
    stands_by_.assign(input.nodes.size(), false);
    gateway_ = find(input.gateway);
    if (gateway_ != kNoNode) place(upstream);
  }

  LinkPlan run(const LinkPlan& present) {
    keep(present);
    for (const Turn turn : {Turn::gateway_or_none, Turn::others}) {
      for (Placing& placing : placings_) choose_missing(placing, turn);
    }
    LinkPlan plan;
    for (const Placing& placing : placings_) {
      for (NodeIndex node = 0; node < placing.standby.size(); ++node) {
        const NodeIndex standby = placing.standby[node];
        if (standby == kNoNode) continue;
        plan[input_.nodes[node].id].push_back(
            UpstreamLink{placing.track, placing.stripe, input_.nodes[standby].id});
      }
    }
    return plan;
  }

 private:
  /// Sums of rates stay far from overflow.
  static constexpr std::uint64_t kSpareMaxBps = 1'000'000'000'000'000;

  [[nodiscard]] NodeIndex find(const NodeId& id) const {
    const auto before = [](const StandbyNode& node, const NodeId& wanted) {
      return node.id < wanted;
    };
    const auto it = std::lower_bound(input_.nodes.begin(), input_.nodes.end(), id, before);
    if (it == input_.nodes.end() || it->id != id) return kNoNode;
    return static_cast<NodeIndex>(it - input_.nodes.begin());
  }

  void place(const LinkPlan& upstream) {
    using Key = std::pair<TrackId, StripeIndex>;
    std::map<Key, std::vector<std::pair<NodeIndex, NodeIndex>>> trees;
    sessions_.reserve(4 * upstream.size());
    for (const auto& [id, links] : upstream) {
      const NodeIndex child = find(id);
      if (child == kNoNode) continue;
      for (const UpstreamLink& link : links) {
        const NodeIndex parent = find(link.parent);
        if (parent == kNoNode) continue;
        trees[{link.track, link.stripe}].emplace_back(child, parent);
        sessions_.insert(pair_key(parent, child));
      }
    }
    siblings_bps_.reserve(sessions_.size());
    const std::size_t nodes = input_.nodes.size();
    for (const auto& [key, links] : trees) {
      const auto rate = input_.rate_bps.find(key.first);
      placings_.push_back(
          Placing{key.first, key.second, rate == input_.rate_bps.end() ? 0 : rate->second,
                  RootedTree{nodes, gateway_, links}, std::vector<NodeIndex>(nodes, kNoNode),
                  std::vector<NodeIndex>(nodes, kNoNode)});
    }
  }

  // ---- rules ----

  /// The highest node on the path that a standby must not hang on, never the gateway.
  static NodeIndex guard(const RootedTree& tree, NodeIndex node, Path path) {
    std::size_t steps = path == Path::apart ? kAncestorStepsMax : 1;
    NodeIndex top = node;
    for (; steps > 0 && tree.parent(top) != tree.root(); --steps) top = tree.parent(top);
    return top;
  }

  /// Children of the gateway that rely on each other's branches in a circle would, without it, feed
  /// each other nothing.
  static bool closes_circle(const Placing& placing, NodeIndex node, NodeIndex candidate) {
    const RootedTree& tree = placing.tree;
    if (tree.parent(node) != tree.root()) return false;
    for (NodeIndex at = candidate; at != kNoNode && at != tree.root();) {
      const NodeIndex top = tree.branch(at);
      if (top == node) return true;
      at = placing.standby[top];
    }
    return false;
  }

  [[nodiscard]] bool has_session(NodeIndex parent, NodeIndex child) const {
    return sessions_.contains(pair_key(parent, child));
  }

  [[nodiscard]] bool is_avoided(NodeIndex node, NodeIndex candidate) const {
    return !avoided_.empty() && avoided_.contains(pair_key(node, candidate));
  }

  [[nodiscard]] bool is_unwise(NodeIndex node, NodeIndex candidate) const {
    const StandbyNode& other = input_.nodes[candidate];
    return other.is_doubted || (other.is_walled && input_.nodes[node].is_walled);
  }

  /// There, and with a place for one more child; says nothing of uplink or paths.
  [[nodiscard]] bool may_stand_by(const Placing& placing, NodeIndex node,
                                  NodeIndex candidate) const {
    return candidate != node && candidate != placing.tree.parent(node) &&
           placing.tree.is_attached(candidate) && input_.nodes[candidate].can_serve &&
           (sessions_left_[candidate] > 0 || has_session(candidate, node));
  }

  /// Should the node's parent die, all its children turn to their standbys in the same moment.
  [[nodiscard]] bool has_room(const Placing& placing, NodeIndex node, NodeIndex candidate) const {
    const auto rate_bps = static_cast<std::int64_t>(placing.rate_bps);
    if (left_bps_[candidate] >= rate_bps) return true;  // for all it stands by for
    return spare_bps_[candidate] >= rate_bps + siblings_bps(placing.tree.parent(node), candidate);
  }

  [[nodiscard]] std::int64_t siblings_bps(NodeIndex parent, NodeIndex standby) const {
    if (!stands_by_[standby]) return 0;
    const auto it = siblings_bps_.find(pair_key(parent, standby));
    return it == siblings_bps_.end() ? 0 : it->second;
  }

  [[nodiscard]] bool is_peer(const Placing& placing, NodeIndex node, NodeIndex candidate,
                             NodeIndex top) const {
    return candidate != gateway_ && placing.tree.is_attached(candidate) &&
           !placing.tree.passes(candidate, top) && may_stand_by(placing, node, candidate) &&
           has_room(placing, node, candidate) && !closes_circle(placing, node, candidate);
  }

  // ---- what is there ----

  void keep(const LinkPlan& present) {
    for (const auto& [id, links] : present) {
      const NodeIndex node = find(id);
      if (node == kNoNode) continue;
      for (const UpstreamLink& link : links) {
        Placing* placing = find_placing(link.track, link.stripe);
        const NodeIndex standby = find(link.parent);
        if (placing == nullptr || standby == kNoNode) continue;
        const RootedTree& tree = placing->tree;
        if (node == gateway_ || !tree.is_attached(node) || placing->standby[node] != kNoNode) {
          continue;
        }
        if (is_peer(*placing, node, standby, guard(tree, node, Path::apart))) {
          take(*placing, node, standby);
        } else {
          placing->held[node] = standby;
        }
      }
    }
    if (input_.upgrade == StandbyInput::Upgrade::now) return;
    for (Placing& placing : placings_) {
      for (NodeIndex node = 0; node < placing.held.size(); ++node) {
        const NodeIndex held = placing.held[node];
        if (held != kNoNode && may_keep(placing, node, held)) take(placing, node, held);
      }
    }
  }

  /// A present standby that is not of the first kind.
  [[nodiscard]] bool may_keep(const Placing& placing, NodeIndex node, NodeIndex held) const {
    if (held == gateway_) return may_stand_by(placing, node, held);
    return placing.tree.parent(node) != gateway_ &&
           is_peer(placing, node, held, guard(placing.tree, node, Path::relaxed));
  }

  Placing* find_placing(TrackId track, StripeIndex stripe) {
    const auto before = [](const Placing& placing, const std::pair<TrackId, StripeIndex>& key) {
      return std::pair{placing.track, placing.stripe} < key;
    };
    const auto it =
        std::lower_bound(placings_.begin(), placings_.end(), std::pair{track, stripe}, before);
    const bool is_it = it != placings_.end() && it->track == track && it->stripe == stripe;
    return is_it ? &*it : nullptr;
  }

  void take(Placing& placing, NodeIndex node, NodeIndex standby) {
    placing.standby[node] = standby;
    const auto rate_bps = static_cast<std::int64_t>(placing.rate_bps);
    stands_by_[standby] = true;
    siblings_bps_[pair_key(placing.tree.parent(node), standby)] += rate_bps;
    left_bps_[standby] -= rate_bps;
    if (sessions_.insert(pair_key(standby, node)).second) --sessions_left_[standby];
  }

  // ---- choices ----

  /// Candidates of one branch of a tree, most room first.
  using Open = std::set<std::pair<std::int64_t, NodeIndex>>;  // (-left, node)
  /// Less is better.
  using Rank = std::tuple<bool, bool, std::int64_t, bool, std::uint32_t, std::int64_t, NodeIndex>;

  /// Children of a branch's first node come first: the gateway's places are for them, since nobody
  /// else in their branch can stand by.
  enum class Turn : std::uint8_t { gateway_or_none, others };

  static Turn turn_of(const RootedTree& tree, NodeIndex node) {
    return tree.parent(node) == tree.branch(node) ? Turn::gateway_or_none : Turn::others;
  }

  void choose_missing(Placing& placing, Turn turn) {
    const RootedTree& tree = placing.tree;
    bool is_open = false;
    for (NodeIndex node = 0; node < placing.standby.size(); ++node) {
      const bool wants = node != gateway_ && tree.is_attached(node);
      if (!wants || placing.standby[node] != kNoNode || turn_of(tree, node) != turn) continue;
      if (!is_open) open_branches(placing);
      is_open = true;
      const NodeIndex standby = choose(placing, node);
      if (standby == kNoNode) continue;
      close(placing, standby);
      take(placing, node, standby);
      reopen(placing, standby);
    }
  }

  NodeIndex choose(const Placing& placing, NodeIndex node) const {
    const NodeIndex apart = best_peer(placing, node, Path::apart);
    if (apart != kNoNode) return apart;
    const NodeIndex held = placing.held[node];
    if (held != kNoNode && may_keep(placing, node, held)) return held;
    if (placing.tree.parent(node) == gateway_) return kNoNode;
    const bool gateway_may = may_stand_by(placing, node, gateway_) && !is_avoided(node, gateway_);
    if (gateway_may && has_room(placing, node, gateway_)) return gateway_;
    const NodeIndex relaxed = best_peer(placing, node, Path::relaxed);
    if (relaxed != kNoNode) return relaxed;
    return gateway_may ? gateway_ : kNoNode;
  }

  [[nodiscard]] NodeIndex best_peer(const Placing& placing, NodeIndex node, Path path) const {
    const RootedTree& tree = placing.tree;
    const NodeIndex top = guard(tree, node, path);
    std::optional<Rank> best;
    const auto consider = [&](NodeIndex candidate) {
      if (is_avoided(node, candidate) || is_unwise(node, candidate)) return false;
      if (!is_peer(placing, node, candidate, top)) return false;
      const Rank rank = rank_of(placing, node, candidate);
      if (!best || rank < *best) best = rank;
      return true;
    };
    consider_known(placing, node, consider);
    const auto& branches = tree.branches();
    const NodeIndex own = tree.branch(node);
    const std::size_t groups = std::min(branches.size(), kBranchesMax);
    const std::size_t share =
        std::max<std::size_t>(2, kCandidatesMax / std::max<std::size_t>(1, groups));
    for (std::size_t i = 0; i < groups; ++i) {
      // Each node begins with another branch, so that many branches are all used.
      const NodeIndex branch = branches[(node + i) % branches.size()];
      if (branch != own) sample(branch, share, consider);
    }
    if (top != own) sample(own, kCandidatesMax, consider);
    return best ? std::get<6>(*best) : kNoNode;
  }

  /// Peers with which the node has a session already: a standby there costs no handshake.
  template <class Consider>
  void consider_known(const Placing& placing, NodeIndex node, const Consider& consider) const {
    const auto at = static_cast<std::size_t>(&placing - placings_.data());
    const std::size_t others = std::min(placings_.size() - 1, kKnownParentsMax);
    for (std::size_t i = 1; i <= others; ++i) {
      const Placing& other = placings_[(at + i) % placings_.size()];
      for (const NodeIndex peer : {other.tree.parent(node), other.standby[node]}) {
        if (peer != kNoNode) consider(peer);
      }
    }
  }

  template <class Consider>
  void sample(NodeIndex branch, std::size_t valid_max, const Consider& consider) const {
    const auto open = open_.find(branch);
    if (open == open_.end()) return;
    std::size_t valid = 0;
    std::size_t seen = 0;
    for (const auto& [left, candidate] : open->second) {
      if (valid == valid_max || ++seen > kLookedAtMax) return;
      if (consider(candidate)) ++valid;
    }
  }

  [[nodiscard]] Rank rank_of(const Placing& placing, NodeIndex node, NodeIndex candidate) const {
    const NodeIndex parent = placing.tree.parent(node);
    const std::string& network = input_.nodes[candidate].network;
    const bool same_network = !network.empty() && network == input_.nodes[parent].network;
    return Rank{left_bps_[candidate] < static_cast<std::int64_t>(placing.rate_bps),
                same_network,
                siblings_bps(parent, candidate),
                !has_session(candidate, node) && !has_session(node, candidate),
                rtt_us(node, candidate),
                -left_bps_[candidate],
                candidate};
  }

  /// As the node reports it: a session is in the telemetry of both its ends.
  [[nodiscard]] std::uint32_t rtt_us(NodeIndex node, NodeIndex peer) const {
    const NodeId& id = input_.nodes[peer].id;
    for (const LinkState& link : input_.nodes[node].links) {
      if (link.peer == id && link.rtt_us != 0) return link.rtt_us;
    }
    return kRttUnknownUs;
  }

  void open_branches(const Placing& placing) {
    open_.clear();
    for (const NodeIndex node : placing.tree.order()) {
      if (node != gateway_ && is_candidate(placing, node)) reopen(placing, node);
    }
  }

  [[nodiscard]] bool is_candidate(const Placing& placing, NodeIndex node) const {
    return input_.nodes[node].can_serve && sessions_left_[node] > 0 &&
           spare_bps_[node] >= static_cast<std::int64_t>(placing.rate_bps);
  }

  void close(const Placing& placing, NodeIndex node) {
    if (node == gateway_) return;
    open_[placing.tree.branch(node)].erase({-left_bps_[node], node});
  }

  void reopen(const Placing& placing, NodeIndex node) {
    if (node == gateway_ || !is_candidate(placing, node)) return;
    open_[placing.tree.branch(node)].emplace(-left_bps_[node], node);
  }

  const StandbyInput& input_;
  NodeIndex gateway_ = kNoNode;
  std::vector<std::int64_t> spare_bps_;
  std::vector<std::int64_t> left_bps_;  ///< less what the node stands by for; below 0: too much
  std::vector<bool> stands_by_;         ///< for anybody in this stream
  std::vector<std::uint32_t> sessions_left_;
  std::unordered_set<std::uint64_t> sessions_;  ///< (parent, child), planned or standing by
  std::unordered_set<std::uint64_t> avoided_;   ///< (child, parent)
  std::unordered_map<std::uint64_t, std::int64_t> siblings_bps_;  ///< (parent, standby)
  std::vector<Placing> placings_;                                 ///< sorted by track and stripe
  std::unordered_map<NodeIndex, Open> open_;  ///< by branch, of the tree in hand
};

}  // namespace

LinkPlan plan_standbys(const StandbyInput& input, const LinkPlan& upstream,
                       const LinkPlan& present) {
  return StandbyPlanner{input, upstream}.run(present);
}

}  // namespace tayga::orch
