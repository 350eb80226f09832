#include "orchestrator/registry/world_impl.hpp"

#include <algorithm>
#include <bit>
#include <utility>

// The reaction plans: who stands by for whom, what becomes of a plan when a standby took over, and
// who helps as the last resort.
namespace tayga::orch {
namespace {

/// A path that is longer is none: solver and nodes allow far less.
constexpr std::size_t kPathMax = 64;
/// Groups of an IPv6 address that make a /48.
constexpr std::size_t kSiteGroups = 3;

/// The /24 of an IPv4 address, the /48 of an IPv6 address; empty when there is no address.
std::string network_of(const std::vector<Endpoint>& endpoints) {
  if (endpoints.empty()) return {};
  const std::string& address = endpoints.front().address;
  if (address.find(':') == std::string::npos) return address.substr(0, address.rfind('.'));
  std::string site;
  std::size_t begin = 0;
  for (std::size_t group = 0; group < kSiteGroups; ++group) {
    const std::size_t end = std::min(address.find(':', begin), address.size());
    if (end == begin) break;  // "::" stands for groups of zeros
    site += address.substr(begin, end - begin) + ":";
    if (end == address.size()) break;
    begin = end + 1;
  }
  return site;
}

std::map<TrackId, std::uint64_t> stripe_rates(const StreamRecord& stream) {
  std::map<TrackId, std::uint64_t> rates;
  for (const TrackRecord& track : stream.tracks) {
    rates[track.id] = stripe_rate_bps(track, stream.stripe_count);
  }
  return rates;
}

bool is_of(const UpstreamLink& link, const UpstreamLink& other) {
  return link.track == other.track && link.stripe == other.stripe;
}

}  // namespace

std::optional<std::size_t> World::Impl::StandbyBooks::find(const NodeId& id) const {
  const auto it = std::lower_bound(ids.begin(), ids.end(), id);
  if (it == ids.end() || *it != id) return std::nullopt;
  return static_cast<std::size_t>(it - ids.begin());
}

// ---- planning ----

/// Nodes with what all streams' plans leave of them, and what they stand by for in all streams.
World::Impl::StandbyBooks World::Impl::standby_books(TimePoint now) {
  StandbyBooks books;
  StandbyInput& input = books.input;
  for (const auto& [id, state] : nodes_) {
    if (!state.present) continue;
    StandbyNode& node = input.nodes.emplace_back();
    node.id = id;
    node.can_serve = state.may_serve();
    node.is_doubted = is_doubted(state, now) || reachability_.is_closed(id, now);
    node.is_walled = reachability_.is_walled(id, now);
    node.spare_bps = usable_uplink_bps(state, now);
    node.children_left = state.record.children_max;
    node.network = network_of(state.record.endpoints);
    node.links = state.telemetry.links;
    books.ids.push_back(id);
    books.children_max.push_back(state.record.children_max);
  }
  books.children.assign(input.nodes.size(), 0);
  input.avoid = health_.avoided(now);
  for (const auto& [name, stream] : streams_) {
    if (!is_live(stream)) continue;
    const auto rates = stripe_rates(stream.record);
    for (const auto& [child_id, links] : stream.links) {
      const auto child = books.find(child_id);
      for (const UpstreamLink& link : links) {
        const auto parent = books.find(link.parent);
        if (!parent) continue;
        StandbyNode& node = input.nodes[*parent];
        const auto rate = rates.find(link.track);
        if (rate != rates.end()) node.spare_bps -= std::min(node.spare_bps, rate->second);
        if (child) count_session(books, *parent, *child, Load::add);
      }
    }
    move_standby_load(books, stream, Load::add);
  }
  return books;
}

/// A child is one session, for however many links and standbys of however many streams.
void World::Impl::count_session(StandbyBooks& books, std::size_t parent, std::size_t child,
                                Load load) {
  std::uint32_t& links = books.links[std::uint64_t{parent} << 32 | child];
  if (load == Load::add) {
    if (++links == 1) ++books.children[parent];
  } else if (links > 0 && --links == 0) {
    --books.children[parent];
  }
  const std::uint32_t children_max = books.children_max[parent];
  books.input.nodes[parent].children_left =
      children_max - std::min(children_max, books.children[parent]);
}

void World::Impl::move_standby_load(StandbyBooks& books, const StreamState& stream, Load load) {
  const auto rates = stripe_rates(stream.record);
  for (const auto& [child_id, links] : stream.standby) {
    const auto child = books.find(child_id);
    for (const UpstreamLink& link : links) {
      const auto parent = books.find(link.parent);
      if (!parent) continue;
      if (child) count_session(books, *parent, *child, load);
      StandbyNode& node = books.input.nodes[*parent];
      const auto rate = rates.find(link.track);
      if (rate == rates.end()) continue;
      if (load == Load::add) {
        node.load_bps += rate->second;
      } else {
        node.load_bps -= std::min(node.load_bps, rate->second);
      }
    }
  }
}

/// Pre: the stream is live; `books` count its present plan and standbys. They count the new ones
/// afterwards. Result: whether any standby changed.
bool World::Impl::plan_stream_standbys(StreamState& stream, StandbyBooks& books,
                                       TimePoint now) const {
  move_standby_load(books, stream, Load::remove);
  StandbyInput& input = books.input;
  input.gateway = *stream.record.gateway;
  input.rate_bps = stripe_rates(stream.record);
  const bool may_upgrade = now - stream.upgraded_at >= options_.upgrade_interval;
  input.upgrade = may_upgrade ? StandbyInput::Upgrade::now : StandbyInput::Upgrade::later;
  if (may_upgrade) stream.upgraded_at = now;
  LinkPlan planned = plan_standbys(input, stream.links, stream.standby);
  const bool changed = planned != stream.standby;
  stream.standby = std::move(planned);
  move_standby_load(books, stream, Load::add);
  return changed;
}

/// Telemetry moves what nodes have to spare: standbys follow, parents stay.
void World::Impl::refresh_standbys(WorldNow now) {
  refresh_at_.reset();
  std::optional<StandbyBooks> books;
  for (auto& [name, stream] : streams_) {
    // One that is about to be solved has its standbys planned then.
    if (!is_live(stream) || stream.links.empty() || stream.solve_at) continue;
    if (now.mono < solving_from_) continue;
    if (!books) books = standby_books(now.mono);
    if (plan_stream_standbys(stream, *books, now.mono)) push_changes(stream);
  }
}

void World::Impl::refresh_standbys_in(Duration delay, TimePoint now) {
  const TimePoint at = now + delay;
  refresh_at_ = refresh_at_ ? std::min(*refresh_at_, at) : at;
}

// ---- promotions ----

UpstreamLink* World::Impl::find_link(LinkPlan& plan, const NodeId& node, const UpstreamLink& of) {
  const auto links = plan.find(node);
  if (links == plan.end()) return nullptr;
  const auto it = std::find_if(links->second.begin(), links->second.end(),
                               [&](const UpstreamLink& link) { return is_of(link, of); });
  return it == links->second.end() ? nullptr : &*it;
}

/// Whether `link.parent` leads to the gateway in this tree without passing `node`.
bool World::Impl::leads_up(StreamState& stream, const NodeId& node, const UpstreamLink& link) {
  NodeId at = link.parent;
  for (std::size_t steps = 0; steps < kPathMax; ++steps) {
    if (at == node) return false;
    if (at == *stream.record.gateway) return true;
    const UpstreamLink* up = find_link(stream.links, at, link);
    if (up == nullptr) return false;
    at = up->parent;
  }
  return false;
}

/// `link.parent`, a standby of the node, is its parent in the plan in force from here on. False,
/// and nothing changes, when the plan cannot have it so: then the next solve decides.
bool World::Impl::promote(StreamState& stream, const NodeId& node, const UpstreamLink& link) {
  UpstreamLink* planned = find_link(stream.links, node, link);
  const NodeState* parent = find_node(link.parent);
  if (planned == nullptr || parent == nullptr || !parent->may_serve()) return false;
  if (!stream.record.gateway || !leads_up(stream, node, link)) return false;
  planned->parent = link.parent;
  std::vector<UpstreamLink>& promoted = stream.promoted[node];
  std::erase_if(promoted, [&](const UpstreamLink& other) { return is_of(other, link); });
  promoted.push_back(link);
  const auto standbys = stream.standby.find(node);
  if (standbys != stream.standby.end()) std::erase(standbys->second, link);
  return true;
}

bool World::Impl::is_standby(StreamState& stream, const NodeId& node, const UpstreamLink& link) {
  const UpstreamLink* planned = find_link(stream.standby, node, link);
  if (planned != nullptr && *planned == link) return true;
  // The plan may have another one by now, of which the node did not know.
  const auto told = stream.told.find(node);
  if (told == stream.told.end()) return false;
  const auto& standby = told->second.standby;
  return std::find(standby.begin(), standby.end(), link) != standby.end();
}

void World::Impl::take_promotion(StreamState& stream, const NodeId& node,
                                 const LinkFailure& failure) {
  for (std::uint8_t stripe = 0; stripe < stream.record.stripe_count; ++stripe) {
    if ((failure.stripe_mask >> stripe & 1U) == 0) continue;
    const UpstreamLink to{failure.track, StripeIndex{stripe}, *failure.promoted_to};
    const UpstreamLink* planned = find_link(stream.links, node, to);
    if (planned == nullptr || planned->parent != failure.parent) continue;
    if (is_standby(stream, node, to)) promote(stream, node, to);
  }
}

/// What a node promoted while it could not tell us.
void World::Impl::take_held_promotions(StreamState& stream, const NodeId& node, const Held& held,
                                       TimePoint now) {
  for (const UpstreamLink& link : held.upstream) {
    const UpstreamLink* planned = find_link(stream.links, node, link);
    if (planned == nullptr || planned->parent == link.parent) continue;
    if (!is_standby(stream, node, link)) continue;
    const NodeId lost = planned->parent;
    if (promote(stream, node, link)) health_.on_faltered(node, lost, now);
  }
}

/// Children of a node that is gone turn to their standbys by themselves: the plan follows, so that
/// the solver moves as few as possible.
void World::Impl::promote_orphans(StreamState& stream) {
  std::vector<std::pair<NodeId, UpstreamLink>> orphans;
  for (const auto& [node, links] : stream.links) {
    for (const UpstreamLink& link : links) {
      const NodeState* parent = find_node(link.parent);
      if (parent != nullptr && parent->may_serve()) continue;
      if (const UpstreamLink* standby = find_link(stream.standby, node, link)) {
        orphans.emplace_back(node, *standby);
      }
    }
  }
  for (const auto& [node, standby] : orphans) promote(stream, node, standby);
}

// ---- the last resort ----

/// In powers of two, so that a join does not push to everybody; down only when three of four left.
void World::Impl::count_audience(StreamState& stream) {
  const auto viewers = static_cast<std::uint32_t>(stream.wishes.size());
  if (viewers > stream.audience || viewers <= stream.audience / 4) {
    stream.audience = std::bit_ceil(viewers) * (viewers > 0 ? 1U : 0U);
  }
}

std::map<NodeId, NodeTarget> World::Impl::targets_of(StreamState& stream) const {
  const NodeId gateway = *stream.record.gateway;
  std::map<NodeId, NodeTarget> targets = to_targets(stream.links, gateway);
  for (const auto& [node, links] : stream.standby) {
    const auto target = targets.find(node);
    if (target != targets.end()) target->second.standby = links;
  }
  if (stream.audience == 0) return targets;
  for (auto& [node, target] : targets) {
    if (node != gateway) target.rescue.gateways = {gateway};
    target.rescue.share_permille = options_.rescue_share_permille;
    target.rescue.audience = stream.audience;
  }
  return targets;
}

}  // namespace tayga::orch
