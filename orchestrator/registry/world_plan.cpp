#include "orchestrator/registry/world_impl.hpp"

#include <algorithm>
#include <utility>

namespace tayga::orch {

void World::Impl::schedule_in(StreamState& stream, Duration delay, TimePoint now, Effort effort) {
  stream.effort = std::max(stream.effort, effort);
  // The first reason sets the time, so that a steady flow of joins cannot put it off for ever.
  if (stream.solve_at) return;
  stream.solve_at = std::max(now + delay, solving_from_);
}

World::PushAssignment World::Impl::drop_assignment(const NodeId& node, const StreamId& stream,
                                                   std::uint64_t revision) {
  NodeAssignment assignment;
  assignment.node = node;
  assignment.stream = stream;
  assignment.revision = revision;
  assignment.carry = false;
  return PushAssignment{std::move(assignment)};
}

/// Every stream in which the node plays, relays or publishes.
void World::Impl::schedule_node(const NodeId& node, TimePoint now) {
  for (auto& [name, stream] : streams_) {
    if (stream.record.gateway == node || stream.wishes.contains(node) ||
        stream.links.contains(node) || stream.told.contains(node)) {
      schedule(stream, now);
    }
  }
}

/// What a relay brings or takes may matter to every stream.
void World::Impl::schedule_all(TimePoint now) {
  for (auto& [name, stream] : streams_) {
    if (!stream.wishes.empty()) schedule(stream, now);
  }
}

/// Not for the solver: the same plan is pushed again under a new revision.
void World::Impl::push_again(StreamState& stream, TimePoint now) {
  if (is_live(stream) && now >= solving_from_) push_changes(stream);
}

void World::Impl::on_renew_allocations(const ReceiverLinks& due, WorldNow now) {
  std::set<std::string> affected;
  for (const auto& [receiver, stream_id] : due) {
    StreamState* stream = find_stream(stream_id);
    if (stream == nullptr || !stream->told.contains(receiver)) continue;
    stream->stale.insert(receiver);
    affected.insert(stream->record.name);
  }
  for (const std::string& name : affected) push_again(streams_.at(name), now.mono);
}

void World::Impl::on_renew_allocations(WorldNow now) {
  for (auto& [name, stream] : streams_) {
    for (const auto& [id, target] : stream.told) stream.stale.insert(id);
    push_again(stream, now.mono);
  }
}

/// Cost: none, but for the first call after a node's time changed, which is seldom.
TimePoint World::Impl::nodes_due() const {
  if (nodes_due_) return *nodes_due_;
  TimePoint due = kNever;
  for (const auto& [id, state] : nodes_) {
    if (state.present && !state.connected) due = std::min(due, state.absent_at);
    if (state.judge_at) due = std::min(due, *state.judge_at);
  }
  nodes_due_ = due;
  return due;
}

void World::Impl::on_timeout(WorldNow now) {
  if (nodes_due() <= now.mono) {
    for (auto& [id, state] : nodes_) {
      if (state.judge_at && *state.judge_at <= now.mono) judge(state, now);
      if (state.present && !state.connected && state.absent_at <= now.mono) depart(state, now);
    }
  }
  for (auto& [name, stream] : streams_) {
    if (stream.improve_at && *stream.improve_at <= now.mono) {
      stream.improve_at.reset();
      schedule_in(stream, Duration{0}, now.mono, Effort::improve);
    }
    if (!stream.solve_at || *stream.solve_at > now.mono) continue;
    stream.solve_at.reset();
    solve_stream(stream, now);
  }
  if (refresh_at_ && *refresh_at_ <= now.mono) refresh_standbys(now);
}

std::optional<World::Output> World::Impl::poll_output() {
  if (outputs_.empty()) {
    removed_.clear();
    return std::nullopt;
  }
  Output output = std::move(outputs_.front());
  outputs_.pop_front();
  return output;
}

std::optional<TimePoint> World::Impl::next_timeout() const {
  std::optional<TimePoint> next;
  const auto consider = [&next](TimePoint at) { next = next ? std::min(*next, at) : at; };
  if (nodes_due() != kNever) consider(nodes_due());
  for (const auto& [name, stream] : streams_) {
    if (stream.improve_at) consider(*stream.improve_at);
    if (stream.solve_at) consider(*stream.solve_at);
  }
  if (refresh_at_) consider(*refresh_at_);
  return next;
}

void World::Impl::solve_stream(StreamState& stream, WorldNow now) {
  // Without a source there is nothing to plan; nodes keep their places until it is back.
  if (!is_live(stream) || !nodes_.at(*stream.record.gateway).may_serve()) return;
  promote_orphans(stream);
  SolverInput input = solver_input(stream, now.mono);
  input.effort = std::exchange(stream.effort, Effort::rest);
  const LinkPlan before = stream.links;
  SolverPlan plan = solve(input);
  if (!plan.unserved.empty() && trust_all(input)) plan = solve(input);
  const Duration next =
      plan.is_on_the_way ? options_.migration_interval : options_.improve_interval;
  apply_plan(stream, std::move(plan), now);
  stream.promoted.clear();
  if (stream.links != before) improve_in(stream, next, now.mono);
}

/// A parent that is doubted, or perhaps out of reach, is better than none. Result: whether there was
/// any.
bool World::Impl::trust_all(SolverInput& input) {
  bool was_marked = false;
  for (NodeView& view : input.nodes) {
    was_marked |= std::exchange(view.is_doubted, false);
    was_marked |= std::exchange(view.is_walled, false);
  }
  return was_marked;
}

/// Not put off by what happens meanwhile: else a restless network would never be planned well.
void World::Impl::improve_in(StreamState& stream, Duration delay, TimePoint now) {
  const TimePoint at = now + delay;
  stream.improve_at = stream.improve_at ? std::min(*stream.improve_at, at) : at;
}

SolverInput World::Impl::solver_input(const StreamState& stream, TimePoint now) {
  SolverInput input;
  input.gateway_copies = options_.gateway_copies;
  input.demand.stream = *stream.record.id;
  input.demand.stripe_count = stream.record.stripe_count;
  input.demand.gateways = {*stream.record.gateway};
  input.demand.tracks = stream.record.tracks;
  add_node_views(input, stream, now);
  add_viewers(input, stream);
  add_rtts(input);
  input.current.upstream = stream.links;
  input.current.avoid = health_.avoided(now);
  input.current.promoted = stream.promoted;
  return input;
}

/// What each node has left after the other streams' plans.
void World::Impl::add_node_views(SolverInput& input, const StreamState& stream,
                                 TimePoint now) const {
  std::map<NodeId, std::uint64_t> used_bps;
  std::map<NodeId, std::set<NodeId>> children;
  for (const auto& [name, other] : streams_) {
    if (&other == &stream || !is_live(other)) continue;
    std::map<TrackId, std::uint64_t> rates;
    for (const TrackRecord& track : other.record.tracks) {
      rates[track.id] = stripe_rate_bps(track, other.record.stripe_count);
    }
    for (const auto& [child, links] : other.links) {
      for (const UpstreamLink& link : links) {
        const auto rate = rates.find(link.track);
        used_bps[link.parent] += rate == rates.end() ? 0 : rate->second;
        children[link.parent].insert(child);
      }
    }
  }
  for (const auto& [id, state] : nodes_) {
    if (!state.present) continue;
    NodeView view;
    view.id = id;
    view.is_doubted = is_doubted(state, now) || reachability_.is_closed(id, now);
    view.is_walled = reachability_.is_walled(id, now);
    if (state.may_serve()) {
      const std::uint64_t usable_bps = usable_uplink_bps(state, now);
      const auto used = used_bps.find(id);
      const std::uint64_t used_elsewhere = used == used_bps.end() ? 0 : used->second;
      const auto others = children.find(id);
      const std::size_t children_elsewhere = others == children.end() ? 0 : others->second.size();
      view.can_relay = state.has(Role::relay);
      view.uplink_bps = usable_bps - std::min(usable_bps, used_elsewhere);
      view.children_max =
          state.record.children_max - static_cast<std::uint32_t>(std::min<std::size_t>(
                                          state.record.children_max, children_elsewhere));
    }
    input.nodes.push_back(view);
  }
}

void World::Impl::add_viewers(SolverInput& input, const StreamState& stream) const {
  for (const auto& [id, wish] : stream.wishes) {
    std::vector<TrackId>& wanted = input.demand.viewers[id];
    for (const TrackRecord& track : stream.record.tracks) {
      const bool wants =
          std::find(wish.tracks.begin(), wish.tracks.end(), track.id) != wish.tracks.end();
      if (wants || track.id == kPresentationTrack) wanted.push_back(track.id);
    }
  }
}

/// Either end measures; the smaller value is nearer to the path's own.
void World::Impl::add_rtts(SolverInput& input) const {
  for (const auto& [id, state] : nodes_) {
    if (!state.present) continue;
    for (const LinkState& link : state.telemetry.links) {
      if (link.rtt_us == 0 || link.peer == id) continue;
      const auto pair = std::minmax(id, link.peer);
      const auto [it, is_new] = input.rtt_us.try_emplace({pair.first, pair.second}, link.rtt_us);
      if (!is_new) it->second = std::min(it->second, link.rtt_us);
    }
  }
}

void World::Impl::apply_plan(StreamState& stream, SolverPlan plan, WorldNow now) {
  stream.links = std::move(plan.upstream);
  stream.depth = plan.depth;
  StandbyBooks books = standby_books(now.mono);
  plan_stream_standbys(stream, books, now.mono);
  push_changes(stream);
  tell_unserved(stream, plan, now.mono);
}

void World::Impl::push_changes(StreamState& stream) {
  const NodeId gateway = *stream.record.gateway;
  count_audience(stream);
  std::map<NodeId, NodeTarget> targets = targets_of(stream);
  const std::vector<NodeId> changed = changed_nodes(stream.told, targets, stream.stale, gateway);
  if (changed.empty()) return;
  ++stream.revision;
  for (const NodeId& id : changed) {
    const NodeState* state = find_node(id);
    const auto target = targets.find(id);
    note_links(stream, id, targets);
    if (state == nullptr || !state->connected) {
      stream.told.erase(id);  // it is told when it says hello
      continue;
    }
    NodeAssignment assignment;
    assignment.node = id;
    assignment.stream = *stream.record.id;
    assignment.revision = stream.revision;
    assignment.carry = target != targets.end();
    if (target == targets.end()) {
      stream.told.erase(id);
    } else {
      assignment.upstream = target->second.upstream;
      assignment.downstream = target->second.downstream;
      assignment.standby = target->second.standby;
      assignment.rescue = target->second.rescue;
      stream.told[id] = std::move(target->second);
    }
    stream.stale.erase(id);
    outputs_.emplace_back(PushAssignment{std::move(assignment)});
  }
}

/// Pre: the revision is that of the plan in `targets`.
void World::Impl::note_links(StreamState& stream, const NodeId& node,
                             const std::map<NodeId, NodeTarget>& targets) {
  const auto target = targets.find(node);
  if (target == targets.end() || target->second.upstream.empty()) {
    stream.link_since.erase(node);
    return;
  }
  auto& known = stream.link_since[node];
  std::map<UpstreamLink, std::uint64_t> since;
  const auto note = [&](const UpstreamLink& link) {
    const auto before = known.find(link);
    since[link] = before == known.end() ? stream.revision : before->second;
  };
  std::for_each(target->second.upstream.begin(), target->second.upstream.end(), note);
  std::for_each(target->second.standby.begin(), target->second.standby.end(), note);
  known = std::move(since);
}

void World::Impl::tell_unserved(StreamState& stream, const SolverPlan& plan, TimePoint now) {
  std::set<NodeId> unserved;
  for (const auto& [id, track] : plan.unserved) unserved.insert(id);
  for (auto& [id, wish] : stream.wishes) {
    if (!unserved.contains(id)) {
      wish.told_no_capacity = false;
      continue;
    }
    if (const auto retry_at = health_.shorten(id, now)) {
      const TimePoint at = std::max(*retry_at, now + options_.resolve_delay);
      stream.solve_at = stream.solve_at ? std::min(*stream.solve_at, at) : at;
    }
    if (std::exchange(wish.told_no_capacity, true)) continue;
    refuse(id, stream.record.name, RefuseJoin::Reason::no_capacity,
           "no node has uplink left for \"" + stream.record.name +
               "\"; it starts by itself when one has");
  }
}

}  // namespace tayga::orch
