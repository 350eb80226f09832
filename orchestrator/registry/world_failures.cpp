#include "orchestrator/registry/world_impl.hpp"

#include <algorithm>

// What nodes report of each other, and what is believed of it.
namespace tayga::orch {
namespace {

constexpr std::size_t kComplaintsForDeath = 2;
/// Above one and a half telemetry intervals: what a loaded machine or a slow path may add.
constexpr Duration kSilenceMargin = 750ms;
/// Reports that came together with the complaint are heard before the judgement.
constexpr Duration kJudgeDelay = 50ms;
/// A judgement so late means that we ourselves did not run, so nobody could be heard.
constexpr Duration kJudgedLate = 100ms;

/// Complaints about the parent's process or its way to the network, not about one child's.
bool speaks_of_death(LinkFailureReason reason) {
  switch (reason) {
    case LinkFailureReason::connect_failed:
    case LinkFailureReason::closed:
    case LinkFailureReason::reset:
    case LinkFailureReason::silent:
    case LinkFailureReason::go_away:
      return true;
    case LinkFailureReason::refused:   // alive, and knows better
    case LinkFailureReason::tampered:  // proven by evidence or not at all
      return false;
  }
  return false;
}

/// What a parent may go through for a moment: it, or its child, had no time to run.
bool may_be_momentary(LinkFailureReason reason) {
  switch (reason) {
    case LinkFailureReason::closed:
    case LinkFailureReason::reset:
    case LinkFailureReason::silent:
      return true;
    case LinkFailureReason::connect_failed:
    case LinkFailureReason::refused:
    case LinkFailureReason::tampered:
    case LinkFailureReason::go_away:
      return false;
  }
  return false;
}

}  // namespace

/// A late report about a link that the plan has replaced already says nothing new, also when the
/// link came back since.
bool World::Impl::names_link(const StreamState& stream, const LinkPlan& plan, const NodeId& node,
                             const LinkFailure& failure) {
  const auto links = plan.find(node);
  if (links == plan.end()) return false;
  const auto since = stream.link_since.find(node);
  const auto is_meant = [&](const UpstreamLink& link) {
    if (link.parent != failure.parent || link.track != failure.track) return false;
    if ((failure.stripe_mask >> link.stripe.value() & 1U) == 0) return false;
    if (since == stream.link_since.end()) return true;
    const auto added = since->second.find(link);
    return added == since->second.end() || failure.revision >= added->second;
  };
  return std::any_of(links->second.begin(), links->second.end(), is_meant);
}

void World::Impl::on_link_failure(const NodeId& node, const LinkFailure& failure, WorldNow now) {
  StreamState* stream = find_stream(failure.stream);
  if (stream == nullptr || !stream->links.contains(node)) return;
  if (names_link(*stream, stream->links, node, failure)) {
    const bool has_other = failure.promoted_to.has_value();
    hold_back(node, failure, has_other ? OtherParent::yes : OtherParent::no, now.mono);
    if (has_other) {
      take_promotion(*stream, node, failure);
      improve_in(*stream, options_.improve_interval, now.mono);
    }
    drop_failed(stream->links.at(node), failure);  // where nothing took over
    schedule(*stream, now.mono, Effort::rest);
    complain(node, failure, now);
  } else if (names_link(*stream, stream->standby, node, failure)) {
    hold_back(node, failure, OtherParent::yes, now.mono);
    drop_failed(stream->standby.at(node), failure);
    refresh_standbys_in(options_.resolve_delay, now.mono);
    complain(node, failure, now);
  }
}

void World::Impl::drop_failed(std::vector<UpstreamLink>& links, const LinkFailure& failure) {
  std::erase_if(links, [&](const UpstreamLink& link) {
    return link.parent == failure.parent && link.track == failure.track &&
           (failure.stripe_mask >> link.stripe.value() & 1U) != 0;
  });
}

void World::Impl::hold_back(const NodeId& node, const LinkFailure& failure, OtherParent other,
                            TimePoint now) {
  if (other == OtherParent::yes && may_be_momentary(failure.reason)) {
    health_.on_faltered(node, failure.parent, now);
  } else {
    health_.on_failed(node, failure.parent, now);
  }
}

/// Whether the parent is dead, for the node alone or for everybody.
void World::Impl::complain(const NodeId& node, const LinkFailure& failure, WorldNow now) {
  NodeState* parent = find_node(failure.parent);
  if (parent == nullptr || !parent->present || !speaks_of_death(failure.reason)) return;
  const bool is_wall = failure.reason == LinkFailureReason::connect_failed && parent->connected;
  if (is_wall && !parent->has(Role::gateway)) {
    reachability_.on_no_way(node, failure.parent, now.mono);
  }
  const std::size_t complaints = health_.on_complaint(node, failure.parent, now.mono);
  if (!parent->connected) {
    depart(*parent, now);  // its session and its child agree
  } else if (complaints >= kComplaintsForDeath && !parent->dead_since && !parent->judge_at &&
             !parent->has(Role::gateway)) {
    // Never a gateway that is connected: two of its children could switch its streams off.
    judge_at(*parent, now.mono);
  }
}

Duration World::Impl::silence_max() const {
  return options_.telemetry_interval * 3 / 2 + kSilenceMargin;
}

/// Nothing is held against it, but nobody new hangs on it before it is heard again: its session
/// broke, a child complained since its last word, or its report is overdue.
bool World::Impl::is_doubted(const NodeState& state, TimePoint now) const {
  if (state.has(Role::gateway)) return false;
  if (!state.connected) return true;
  const auto complaint = health_.last_complaint(state.record.id);
  if (complaint && *complaint > state.heard_at) return true;
  return state.reports && now - state.heard_at > options_.telemetry_interval * 3 / 2;
}

void World::Impl::judge_at(NodeState& parent, TimePoint now) const {
  parent.judge_at = std::max(parent.heard_at + silence_max(), now + kJudgeDelay);
  nodes_due_.reset();
}

/// A parent that is silent towards its children and towards us is dead; one that we hear has too
/// much to do, or its children have. Pre: parent.judge_at.
void World::Impl::judge(NodeState& parent, WorldNow now) {
  const bool is_late = now.mono - *parent.judge_at > kJudgedLate;
  parent.judge_at.reset();
  nodes_due_.reset();
  if (parent.dead_since) return;
  if (health_.complaints(parent.record.id, now.mono) < kComplaintsForDeath) return;
  if (!parent.connected) {
    depart(parent, now);  // its session and its children agree
  } else if (is_late || now.mono - parent.heard_at < silence_max()) {
    judge_at(parent, now.mono);
  } else {
    parent.dead_since = now.mono;
    schedule_node(parent.record.id, now.mono);
  }
}

void World::Impl::hear(const NodeId& node, WorldNow now) {
  NodeState* state = find_node(node);
  if (state == nullptr || !state->connected) return;
  state->heard_at = now.mono;
  if (state->dead_since) revive(*state, now);
}

void World::Impl::revive(NodeState& state, WorldNow now) {
  state.dead_since.reset();
  if (state.has(Role::relay)) schedule_all(now.mono);
  schedule_node(state.record.id, now.mono);
}

void World::Impl::on_tampering(const NodeId& sender, WorldNow now) {
  NodeState* state = find_node(sender);
  if (state == nullptr || !state->record.ban_reason.empty()) return;
  state->record.ban_reason = "sent a chunk that its signed slice header does not cover";
  outputs_.emplace_back(PersistNode{state->record});
  schedule_node(sender, now.mono);
}

}  // namespace tayga::orch
