#include "daemon/core/relay_impl.hpp"

#include <algorithm>
#include <utility>

namespace tayga::relay {
namespace {

constexpr Duration kBreakAfter = 1s;   ///< the old parent goes even if the new one is silent
constexpr Duration kHandoverMax = 2s;  ///< the old parent has this long to send the rest
constexpr Duration kHandoverLook = 20ms;
constexpr Duration kCatchUpPatience = 2s;     ///< for the parent of a join to bring what is past
constexpr Duration kRetiredGrace = 2s;        ///< frames of an ended subscription may arrive
constexpr Duration kAllocationRetry = 250ms;  ///< none is valid yet: look again
constexpr Duration kGapAfter = 100ms;         ///< an orphaned stripe is told to children
constexpr std::size_t kUpstreamsMax = 4096;   ///< entries of one assignment
constexpr std::size_t kAllocationsMax = 1024;

}  // namespace

UpLink* Relay::Impl::find_link(TrackState& track, const Peer& peer) {
  return track.links.find(peer);
}

// --- target state

void Relay::Impl::on_assignment(const Assignment& assignment, Now now) {
  const StreamDescriptor& descriptor = assignment.stream;
  if (descriptor.stripe_count < 1 || descriptor.stripe_count > kStripeCountMax) return;
  StreamState* stream = find_stream(descriptor.id);
  if (stream == nullptr && !assignment.carry) return;
  if (stream == nullptr) stream = stream_of(descriptor.id);
  if (stream == nullptr) return;
  const bool same_run = stream->incarnation == assignment.incarnation;
  if (same_run && assignment.revision < stream->revision) return;
  stream->incarnation = assignment.incarnation;
  stream->revision = assignment.revision;

  if (assignment.carry || !stream->known) {
    StreamDescriptor merged = descriptor;
    // The publisher knows its tracks before the orchestrator does.
    if (stream->publishing && merged.tracks.empty()) merged.tracks = stream->descriptor.tracks;
    set_descriptor(*stream, merged, now);
  }
  stream->expected_children.clear();
  for (const Downstream& down : assignment.downstream) {
    if (stream->expected_children.size() >= limits_.children_max) break;
    stream->expected_children.insert(down.child);
  }
  stream->rescue = assignment.rescue;
  std::erase(stream->rescue.gateways, self_);
  stream->unverified.clear();
  for (const wire::AllocationBlob& blob : assignment.allocations) {
    if (stream->unverified.size() < kAllocationsMax) stream->unverified.push_back(blob);
  }
  verify_allocations(*stream, now);
  set_links(*stream, assignment, now);
  reconcile(now);
  retry_held(now);
  flush_receipts();
  wake_at(Duty::repair, now.mono + limits_.head_interval);
  wake_at(Duty::idle, now.mono + limits_.head_interval);
}

void Relay::Impl::set_links(StreamState& stream, const Assignment& assignment, Now now) {
  std::map<const UpLink*, StripeMask> before;
  for (auto& [track_id, track] : stream.tracks) {
    for (const auto& link : track->links) {
      before[link.get()] = link->wanted;
      link->wanted = link->wanted_standby = link->promoted = link->former = link->reported = 0;
      link->retry_at = now.mono;
    }
  }
  if (!assignment.carry) return;
  std::size_t taken = 0;
  for (const Upstream& up : assignment.upstream) {
    if (up.parent == self_ || up.stripe.value() >= stream.descriptor.stripe_count) continue;
    if (++taken > kUpstreamsMax) break;
    TrackState* track = track_of(stream, up.track);
    if (track == nullptr) continue;
    Peer& peer = peer_of(up.parent);
    UpLink* link = find_link(*track, peer);
    if (link == nullptr) link = &track->links.add(peer);
    switch (up.role) {
      case UpstreamRole::primary:
        link->wanted |= to_mask(up.stripe);
        if ((before[link] & to_mask(up.stripe)) != 0) break;
        forgive(peer, now);
        track->stripes[up.stripe.value()].gap_since = now.mono;
        break;
      case UpstreamRole::standby:
        link->wanted_standby |= to_mask(up.stripe);
        break;
    }
  }
}

void Relay::Impl::verify_allocations(StreamState& stream, Now now) {
  std::erase_if(stream.unverified, [&](const wire::AllocationBlob& blob) {
    const auto allocation = verify_own_allocation(blob, self_, keys_);
    if (!allocation) return false;
    issuer_.on_allocation(*allocation, blob, now);
    return true;
  });
}

void Relay::Impl::reconcile(Now now) {
  for (auto& [stream_id, stream] : streams_) {
    for (auto& [track_id, track] : stream->tracks) reconcile_track(*stream, *track, now);
  }
  flush_losses();
  if (dirty_) wake_at(Duty::links, now.mono);
}

void Relay::Impl::reconcile_track(StreamState& stream, TrackState& track, Now now) {
  heal(track, now);
  for (const auto& link : track.links) {
    if (link->rescue_until <= now.mono) link->wanted_rescue = 0;
    drop_surplus(stream, track, *link, now);
    if (link->wanted_rescue != 0) wake_at(Duty::links, link->rescue_until);
    if (link->fetched_until > now.mono) wake_at(Duty::links, link->fetched_until);
    if (link->retired == 0) continue;
    if (link->retired_until <= now.mono) {
      link->retired = 0;
    } else {
      wake_at(Duty::links, link->retired_until);
    }
  }
  track.links.erase_if([&](const UpLink& link) { return link.idle(now.mono); });
  for (const auto& link : track.links) {
    const StripeMask all = link->wanted | link->wanted_standby | link->wanted_rescue;
    if (all != 0 && !link->peer->up()) connect(*link->peer, now);
    subscribe_missing(stream, track, *link, now);
    if (link->confirmed == 0) continue;
    wake_at(Duty::parents, std::max(now.mono, link->peer->cadence.suspect_at()));
  }
  update_orphans(stream, track, now);
}

void Relay::Impl::subscribe_missing(StreamState& stream, TrackState& track, UpLink& link, Now now) {
  const Peer& peer = *link.peer;
  if (!peer.up() || peer.leaves_at || draining_ || now.mono < peer.blocked_until) return;
  if ((link.wanted | link.wanted_standby | link.wanted_rescue) == 0) return;
  if (now.mono < link.retry_at) return wake_at(Duty::links, link.retry_at);
  const wire::AllocationBlob* blob =
      issuer_.allocation_for(peer.id, stream.descriptor.handles, now.wall, grace_.at(now.mono));
  if (blob == nullptr) return wake_at(Duty::links, now.mono + kAllocationRetry);
  const bool renewed = link.allocation != *blob;
  if (renewed) {
    const auto allocation = wire::parse_allocation(*blob);
    if (!allocation) return wake_at(Duty::links, now.mono + kAllocationRetry);
    link.allocation = *blob;
    link.handle = allocation->stream_handle;
    link.covered = allocation->stripe_mask;
  }

  // The parent refuses stripes that the allocation does not cover: these wait for the next one.
  const StripeMask covered = link.covered;
  const StripeMask missing = link.wanted & (renewed ? ~StripeMask{0} : ~link.sent) & covered &
                             ~caught_up_by_others(track, link, now);
  if (missing != 0) send_subscribe(stream, track, link, missing, SubscribeMode::active, now);
  // One that still sends becomes a standby when it was told to stop.
  const StripeMask standby = (link.wanted_standby | link.wanted_rescue) & ~link.wanted &
                             ~link.sent & (renewed ? ~StripeMask{0} : ~link.sent_standby) & covered;
  if (standby != 0) send_subscribe(stream, track, link, standby, SubscribeMode::standby, now);
}

/// Stripes of which another parent is sending the past: a second one would send the same. The new
/// parent is asked when that is over, and then for what is live alone.
StripeMask Relay::Impl::caught_up_by_others(TrackState& track, const UpLink& link, Now now) {
  StripeMask waiting = 0;
  for (const auto& other : track.links) {
    const Peer& peer = *other->peer;
    if (other.get() == &link || !peer.up() || peer.suspected || peer.leaves_at) continue;
    const TimePoint begun = std::max(other->subscribed_at, other->brought_at);
    const TimePoint until =
        std::min(other->subscribed_at + kCatchUpPatience, begun + kCatchUpPause);
    if (now.mono >= until) continue;
    const StripeMask fed = link.wanted & ~link.sent & other->sent & other->confirmed & ~other->gap;
    for (std::size_t i = 0; i < track.stripes.size(); ++i) {
      const StripeState& stripe = track.stripes[i];
      if ((fed >> i & 1U) == 0 || stripe.mending) continue;
      if (!stripe.repair.is_caught_up(track.window)) waiting |= StripeMask{1} << i;
    }
  }
  if (waiting != 0) wake_at(Duty::links, now.mono + kHandoverLook);
  return waiting;
}

/// Where a new parent begins: at what is missing, or, while the old one goes on sending, behind
/// what has begun to come from it.
std::optional<SliceSeq> Relay::Impl::start_of(TrackState& track, StripeIndex stripe,
                                              const UpLink& link) {
  StripeState& state = track.stripes[stripe.value()];
  state.handover.reset();
  for (const auto& other : track.links) {
    const Peer& peer = *other->peer;
    if (other.get() == &link || (other->sent & other->confirmed & to_mask(stripe)) == 0) continue;
    if (peer.up() && !peer.suspected) state.handover = state.repair.frontier();
  }
  return state.handover ? state.handover : state.repair.first_missing(track.window);
}

void Relay::Impl::send_subscribe(StreamState& stream, TrackState& track, UpLink& link,
                                 StripeMask stripes, SubscribeMode mode, Now now) {
  Subscribe message;
  message.stream = stream.descriptor.id;
  message.track = track.id;
  message.stripes = stripes;
  message.mode = mode;
  message.epoch = track.epoch.value_or(PublisherEpoch{0});
  message.allocation = link.allocation;
  const StripeMask fresh = stripes & ~(mode == SubscribeMode::active ? link.sent : stripes);
  bool joins = false;
  for (std::size_t i = 0; i < track.stripes.size(); ++i) {
    const StripeIndex stripe{static_cast<std::uint8_t>(i)};
    if ((fresh & to_mask(stripe)) == 0) continue;
    track.stripes[i].forecast = {};
    const auto start = start_of(track, stripe, link);
    if (start && track.epoch) {
      message.starts.push_back({stripe, *start});
    } else {
      joins = true;
    }
  }
  if (joins) track.played_since = std::max(track.played_since, now.wall);
  if (mode == SubscribeMode::active) {
    link.sent |= stripes;
    link.sent_standby &= ~stripes;
    link.confirmed_standby &= ~stripes;
  } else {
    link.sent_standby |= stripes;
  }
  if (fresh != 0) {
    link.subscribed_at = now.mono;
    link.subscribed_wall = now.wall;
  }
  link.retired &= ~stripes;
  issuer_.on_presented(link.peer->id, link.handle, link.allocation);
  flush_receipts();
  if (link.peer->cadence.last_beat() < now.mono) link.peer->cadence.restart(now.mono);
  wake_at(Duty::parents, now.mono + limits_.parent_silence_max);
  if (fresh != 0) {
    wake_at(Duty::links, now.mono);  // others that were asked and have not begun are left
    wake_at(Duty::links, now.mono + kConfirmPatience);
  }
  send(*link.peer, std::move(message));
}

/// Stripes of which the parent that is left still owes what the next one was not asked for.
StripeMask Relay::Impl::owed(TrackState& track, StripeMask surplus, Now now) {
  StripeMask owed = 0;
  for (std::size_t i = 0; i < track.stripes.size(); ++i) {
    StripeState& stripe = track.stripes[i];
    const StripeMask bit = StripeMask{1} << i;
    if ((surplus & bit) == 0 || !stripe.handover) continue;
    TimePoint asked{};
    for (const auto& link : track.links) {
      if ((link->wanted & bit) != 0) asked = link->subscribed_at;
    }
    const auto missing = stripe.repair.first_missing(track.window);
    const bool is_whole = !missing || *missing >= *stripe.handover;
    if (is_whole || now.mono >= asked + kHandoverMax) {
      stripe.handover.reset();
      continue;
    }
    owed |= bit;
    wake_at(Duty::links, now.mono + kHandoverLook);
  }
  return owed;
}

/// Ends what this link sends and nobody wants from it any more: at once when nobody else shall send
/// it, or when it has not begun and another one is asked; else when the new parent confirmed or had
/// its time.
void Relay::Impl::drop_surplus(StreamState& stream, TrackState& track, UpLink& link, Now now) {
  const StripeMask surplus = link.sent & ~link.wanted;
  StripeMask keep = 0;
  StripeMask asked_soon = 0;
  for (const auto& other : track.links) {
    if (other.get() == &link) continue;
    const StripeMask taken_over = surplus & other->wanted;
    asked_soon |= taken_over & ~other->sent;
    const StripeMask unconfirmed = taken_over & other->sent & ~other->confirmed;
    if (unconfirmed == 0 || now.mono >= other->subscribed_at + kBreakAfter) continue;
    keep |= unconfirmed;
    wake_at(Duty::links, other->subscribed_at + kBreakAfter);
  }
  if (link.peer->up() && !link.peer->suspected) keep |= owed(track, surplus, now);
  keep = (keep & link.confirmed) | asked_soon;
  const StripeMask standby =
      link.sent_standby & ~(link.wanted_standby | link.wanted_rescue | link.wanted);
  const StripeMask drop = (surplus & ~keep) | standby;
  if (drop == 0) return;
  send(*link.peer, Unsubscribe{stream.descriptor.id, track.id, drop});
  link.sent &= ~drop;
  link.confirmed &= ~drop;
  link.sent_standby &= ~drop;
  link.confirmed_standby &= ~drop;
  link.retired |= drop;
  link.retired_until = now.mono + kRetiredGrace;
  wake_at(Duty::links, link.retired_until);
  StripeMask left = 0;
  for_each_link(*link.peer, [&](const StreamState&, const TrackState&, const UpLink& other) {
    left |= other.sent;
  });
  if (left == 0) issuer_.on_sender_gone(link.peer->id, now);
  flush_receipts();
}

void Relay::Impl::update_orphans(const StreamState& stream, TrackState& track, Now now) {
  StripeMask served = stream.publishing ? ~StripeMask{0} : 0;
  StripeMask sent = 0;
  StripeMask sent_twice = 0;
  for (const auto& link : track.links) {
    served |= link->confirmed;
    sent_twice |= sent & link->sent;
    sent |= link->sent;
  }
  for (std::size_t i = 0; i < track.stripes.size(); ++i) {
    StripeState& stripe = track.stripes[i];
    if ((sent_twice >> i & 1U) == 0) stripe.handover.reset();  // nobody owes anything any more
    if ((served >> i & 1U) != 0) {
      stripe.orphaned_since.reset();
    } else if (!stripe.orphaned_since) {
      stripe.orphaned_since = now.mono;
      wake_at(Duty::links, now.mono + kGapAfter);
    }
  }
  tell_starving(track, now);
}

StripeMask Relay::Impl::starving_stripes(const TrackState& track, Now now) {
  StripeMask starving = 0;
  for (std::size_t i = 0; i < track.stripes.size(); ++i) {
    const auto& since = track.stripes[i].orphaned_since;
    if (!since) continue;
    if (now.mono >= *since + kGapAfter) {
      starving |= StripeMask{1} << i;
    } else {
      wake_at(Duty::links, *since + kGapAfter);
    }
  }
  for (const auto& link : track.links) {
    const StripeMask fed = link->wanted & link->confirmed;
    starving |= link->peer->suspected ? fed : fed & link->gap;
  }
  return starving;
}

/// Our children's parent starves, they do not lose it: only the top orphan acts. Whom we stand by
/// for does not turn to us meanwhile. When it is over they hear that too.
void Relay::Impl::tell_starving(TrackState& track, Now now) {
  const StripeMask starving = starving_stripes(track, now);
  const StripeMask changed = starving ^ std::exchange(track.starving, starving);
  if (changed == 0) return;
  for (Peer* peer : children_) {
    const ChildSubscription* subscription = peer->feed.find(track);
    if (subscription == nullptr || (subscription->all() & changed) == 0) continue;
    send(*peer, UpstreamGap{track.stream->descriptor.id, track.id, subscription->all() & starving});
  }
}

}  // namespace tayga::relay
