#include "orchestrator/registry/world_error.hpp"
#include "orchestrator/registry/world_impl.hpp"

#include <algorithm>
#include <utility>

namespace tayga::orch {
namespace {

// What one hello or report may hold; orchestrator/rpc refuses more before it comes here.
constexpr std::size_t kEndpointsMax = 8;
constexpr std::size_t kTextMax = 64;
constexpr std::size_t kHeldMax = 64;
constexpr std::size_t kHeldLinksMax = 1024;
constexpr std::size_t kTelemetryLinksMax = 1024;
constexpr std::size_t kTelemetryStreamsMax = 64;
/// A held revision above this is a lie that would exhaust the counter.
constexpr std::uint64_t kHeldRevisionMax = std::uint64_t{1} << 48;

constexpr Duration kRateIntervalMin = 500ms;  ///< shorter ones measure the jitter of reports
constexpr double kRateMaxBps = 1e12;
constexpr std::uint32_t kCongestedQueueMs = 500;
/// Less than this to a peer is control traffic: it says nothing of the uplink.
constexpr std::uint64_t kServingMinBps = 64'000;
/// One child that is slow may be slow by itself, also when it is the only one.
constexpr std::size_t kCongestedChildrenMin = 2;

std::uint64_t to_rate_bps(std::uint64_t bytes, Duration interval) {
  const double seconds = std::chrono::duration<double>(interval).count();
  return static_cast<std::uint64_t>(
      std::min(kRateMaxBps, 8.0 * static_cast<double>(bytes) / seconds));
}

std::vector<UpstreamLink> usable_links(const std::vector<UpstreamLink>& held,
                                       const StreamRecord& stream) {
  std::vector<UpstreamLink> links;
  for (const UpstreamLink& link : held) {
    if (links.size() == kHeldLinksMax) break;
    if (link.stripe.value() < stream.stripe_count) links.push_back(link);
  }
  std::sort(links.begin(), links.end());
  return links;
}

}  // namespace

World::Impl::NodeState* World::Impl::find_node(const NodeId& id) {
  const auto it = nodes_.find(id);
  return it == nodes_.end() ? nullptr : &it->second;
}

std::uint64_t World::Impl::usable_uplink_bps(const NodeState& state, TimePoint now) const {
  std::uint64_t declared_bps = state.record.declared_upload_bps;
  if (declared_bps == 0) {
    declared_bps = state.has(Role::gateway) ? kGatewayUplinkDefaultBps : kUplinkDefaultBps;
  }
  return state.uplink.usable_bps(declared_bps, now);
}

Result<void> World::Impl::on_hello(NodeRecord record, std::vector<Held> held, WorldNow now) {
  if (record.endpoints.size() > kEndpointsMax || record.name.size() > kTextMax ||
      record.software.size() > kTextMax || held.size() > kHeldMax) {
    return WorldErrc::bad_hello;
  }
  const NodeId id = record.id;
  if (!nodes_.contains(id) && !make_room_for_node()) return WorldErrc::nodes_full;

  NodeState& state = nodes_[id];
  const bool moved = record.endpoints != state.record.endpoints;
  if (moved || is_new_process(state, held)) {
    health_.forgive(id);
    reachability_.forget(id);
  }
  record.first_seen_ms = state.record.first_seen_ms == 0 ? now.wall_ms : state.record.first_seen_ms;
  record.last_seen_ms = now.wall_ms;
  record.ban_reason = state.record.ban_reason;
  state.record = std::move(record);
  state.connected = true;
  state.present = true;
  nodes_due_.reset();
  state.connected_since_ms = now.wall_ms;
  state.dead_since.reset();
  state.judge_at.reset();
  state.heard_at = now.mono;
  state.reports = false;
  state.telemetry = Telemetry{};
  state.received.clear();
  state.sent.clear();
  state.dropped_bytes.clear();
  outputs_.emplace_back(PersistNode{state.record});

  accept_held(state, held, now);
  if (moved) tell_address(id, now.mono);
  if (state.has(Role::gateway)) {
    for (auto& [name, stream] : streams_) offer(stream, state);
  }
  if (state.has(Role::relay)) schedule_all(now.mono);
  schedule_node(id, now.mono);
  return {};
}

/// Keys cost nothing, so those who came once must not shut the door for ever: a full table forgets
/// who was away longest. A ban is never forgotten. Cost: O(nodes) when full.
bool World::Impl::make_room_for_node() {
  if (nodes_.size() < options_.nodes_max) return true;
  auto oldest = nodes_.end();
  for (auto it = nodes_.begin(); it != nodes_.end(); ++it) {
    if (it->second.present || !it->second.record.ban_reason.empty()) continue;
    const bool is_older = oldest == nodes_.end() ||
                          it->second.record.last_seen_ms < oldest->second.record.last_seen_ms;
    if (is_older) oldest = it;
  }
  if (oldest == nodes_.end()) return false;
  nodes_.erase(oldest);
  return true;
}

void World::Impl::accept_held(NodeState& state, const std::vector<Held>& held, WorldNow now) {
  const NodeId id = state.record.id;
  std::map<StreamId, const Held*> by_stream;
  for (const Held& one : held) {
    by_stream[one.stream] = &one;
    if (find_stream(one.stream) != nullptr) continue;
    // Removed while the node was away: it must not carry it for ever.
    StreamRecord gone;
    gone.id = one.stream;
    removed_.emplace(one.stream, std::move(gone));
    const std::uint64_t revision = std::min(one.revision, kHeldRevisionMax) + 1;
    outputs_.emplace_back(drop_assignment(id, one.stream, revision));
  }
  for (auto& [name, stream] : streams_) {
    const bool is_gateway = stream.record.gateway == id;
    const auto it = stream.record.id ? by_stream.find(*stream.record.id) : by_stream.end();
    if (it != by_stream.end()) {
      accept_held_stream(id, stream, *it->second, now.mono);
    } else if (!is_gateway) {
      drop_from_stream(id, stream);
    }
    if (is_gateway || stream.links.contains(id)) stream.stale.insert(id);
    if (stream.stale.contains(id)) schedule(stream, now.mono);
  }
}

void World::Impl::accept_held_stream(const NodeId& node, StreamState& stream, const Held& held,
                                     TimePoint now) {
  stream.revision = std::max(stream.revision, std::min(held.revision, kHeldRevisionMax));
  if (held.playing.empty()) {
    stream.wishes.erase(node);
  } else {
    stream.wishes[node].tracks = held.playing;
  }
  if (stream.stopped) {
    ++stream.revision;
    outputs_.emplace_back(drop_assignment(node, held.stream, stream.revision));
    return;
  }
  if (stream.record.gateway == node) return;
  // Where the plan has the node, the plan is right: it may have changed while the node was away.
  // Only what the node did by the plan's own leave is taken over.
  if (stream.links.contains(node)) return take_held_promotions(stream, node, held, now);
  std::vector<UpstreamLink> links = usable_links(held.upstream, stream.record);
  std::vector<UpstreamLink> standby = usable_links(held.standby, stream.record);
  if (links.empty()) return;
  auto& since = stream.link_since[node];
  for (const UpstreamLink& link : links) since[link] = held.revision;
  for (const UpstreamLink& link : standby) since[link] = held.revision;
  stream.links[node] = links;
  if (!standby.empty()) stream.standby[node] = standby;
  // It is told the outcome of the next solve in any case, be it to drop the stream.
  stream.told[node] = NodeTarget{std::move(links), {}, std::move(standby)};
  stream.stale.insert(node);
}

/// A relay that reconnects again and again with its peer port closed must not be forgiven each
/// time: only a process that lost what it had, or a node that was gone, is a new start. An idle
/// node that holds nothing because it was told nothing proves nothing.
bool World::Impl::is_new_process(const NodeState& state, const std::vector<Held>& held) const {
  if (!held.empty()) return false;
  const auto had_a_place = [&](const auto& entry) {
    return entry.second.told.contains(state.record.id);
  };
  return !state.present || std::any_of(streams_.begin(), streams_.end(), had_a_place);
}

/// An assignment carries the addresses of parents, standbys and gateways: the children are told
/// again.
void World::Impl::tell_address(const NodeId& parent, TimePoint now) {
  const auto is_from = [&](const UpstreamLink& link) { return link.parent == parent; };
  const auto names = [&](const NodeTarget& target) {
    const auto& gateways = target.rescue.gateways;
    return std::any_of(target.upstream.begin(), target.upstream.end(), is_from) ||
           std::any_of(target.standby.begin(), target.standby.end(), is_from) ||
           std::find(gateways.begin(), gateways.end(), parent) != gateways.end();
  };
  for (auto& [name, stream] : streams_) {
    bool is_parent = false;
    for (const auto& [child, target] : stream.told) {
      if (!names(target)) continue;
      stream.stale.insert(child);
      is_parent = true;
    }
    if (is_parent) schedule(stream, now);
  }
}

void World::Impl::drop_from_stream(const NodeId& node, StreamState& stream) {
  stream.wishes.erase(node);
  stream.links.erase(node);
  stream.standby.erase(node);
  stream.promoted.erase(node);
  stream.link_since.erase(node);
  stream.told.erase(node);
  stream.stale.erase(node);
}

void World::Impl::on_disconnected(const NodeId& node, WorldNow now) {
  NodeState* state = find_node(node);
  if (state == nullptr || !state->connected) return;
  state->connected = false;
  nodes_due_.reset();
  state->absent_at = now.mono + options_.node_grace;
  if (state->judge_at) state->judge_at = now.mono;
}

void World::Impl::on_goodbye(const NodeId& node, WorldNow now) {
  NodeState* state = find_node(node);
  if (state != nullptr && state->present) depart(*state, now);
}

/// The node is gone for good: it leaves every plan, and what it published is not live.
void World::Impl::depart(NodeState& state, WorldNow now) {
  const NodeId id = state.record.id;
  schedule_node(id, now.mono);
  if (state.has(Role::relay)) schedule_all(now.mono);
  reachability_.forget(id);
  state.connected = false;
  state.present = false;
  nodes_due_.reset();
  state.dead_since.reset();
  state.judge_at.reset();
  state.telemetry = Telemetry{};
  state.record.last_seen_ms = now.wall_ms;
  outputs_.emplace_back(PersistNode{state.record});
  for (auto& [name, stream] : streams_) {
    drop_from_stream(id, stream);
    stream.offered.erase(id);
    if (stream.record.gateway == id) stream.published = false;
  }
}

void World::Impl::on_telemetry(const NodeId& node, Telemetry telemetry, WorldNow now) {
  NodeState* state = find_node(node);
  if (state == nullptr || !state->connected) return;
  if (telemetry.links.size() > kTelemetryLinksMax) telemetry.links.resize(kTelemetryLinksMax);
  if (telemetry.streams.size() > kTelemetryStreamsMax) {
    telemetry.streams.resize(kTelemetryStreamsMax);
  }
  measure_links(*state, telemetry, now);
  measure_sent(*state, telemetry, now.mono);
  note_congestion(*state, telemetry, now);
  state->telemetry = std::move(telemetry);
  state->reports = true;
  if (!refresh_at_) refresh_standbys_in(options_.standby_refresh, now.mono);
}

/// What this node received tells the uplinks of its parents.
void World::Impl::measure_links(NodeState& state, const Telemetry& telemetry, WorldNow now) {
  std::map<NodeId, Baseline> baselines;
  for (const LinkState& link : telemetry.links) {
    const Baseline fresh{link.bytes_received, now.mono};
    const auto before = state.received.find(link.peer);
    if (before == state.received.end() || link.bytes_received < before->second.bytes_received) {
      baselines[link.peer] = fresh;  // a new session
      continue;
    }
    const Duration interval = now.mono - before->second.at;
    if (interval < kRateIntervalMin) {
      baselines[link.peer] = before->second;
      continue;
    }
    baselines[link.peer] = fresh;
    NodeState* parent = find_node(link.peer);
    if (parent == nullptr) continue;
    const std::uint64_t bytes = link.bytes_received - before->second.bytes_received;
    parent->uplink.on_child_rate(state.record.id, to_rate_bps(bytes, interval), now.mono);
  }
  state.received = std::move(baselines);
}

/// Fills in each link's sending rate from its byte counter.
void World::Impl::measure_sent(NodeState& state, Telemetry& telemetry, TimePoint now) {
  std::map<NodeId, SentBaseline> baselines;
  for (LinkState& link : telemetry.links) {
    SentBaseline baseline{link.bytes_sent, now, 0};
    const auto before = state.sent.find(link.peer);
    // A counter that went back is a new session's.
    if (before != state.sent.end() && link.bytes_sent >= before->second.bytes_sent) {
      const Duration interval = now - before->second.at;
      if (interval < kRateIntervalMin) {
        baseline = before->second;
      } else {
        baseline.rate_bps = to_rate_bps(link.bytes_sent - before->second.bytes_sent, interval);
      }
    }
    link.sent_bps = baseline.rate_bps;
    baselines[link.peer] = baseline;
  }
  state.sent = std::move(baselines);
}

/// One slow child is that child's trouble; most children slow is the uplink.
void World::Impl::note_congestion(NodeState& state, const Telemetry& telemetry, WorldNow now) {
  std::map<NodeId, std::uint64_t> dropped;
  std::size_t serving = 0;
  std::size_t congested = 0;
  for (const LinkState& link : telemetry.links) {
    dropped[link.peer] = link.dropped_bytes;
    if (link.sent_bps < kServingMinBps) continue;
    ++serving;
    const auto before = state.dropped_bytes.find(link.peer);
    const bool drops = before != state.dropped_bytes.end() && link.dropped_bytes > before->second;
    congested += drops || link.queue_ms >= kCongestedQueueMs ? 1U : 0U;
  }
  state.dropped_bytes = std::move(dropped);
  if (congested < kCongestedChildrenMin || 2 * congested <= serving) return;
  const std::uint64_t before_bps = usable_uplink_bps(state, now.mono);
  state.uplink.on_congested(now.mono);
  if (usable_uplink_bps(state, now.mono) < before_bps) schedule_node(state.record.id, now.mono);
}

}  // namespace tayga::orch
