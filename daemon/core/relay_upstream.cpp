#include "daemon/core/relay_impl.hpp"

#include <algorithm>
#include <utility>

namespace tayga::relay {
namespace {

constexpr Duration kBackoffMin = 200ms;
constexpr Duration kBackoffMax = 5s;
/// The session that we closed takes up to a second to go: before that a dial would meet it.
constexpr Duration kRedialAfterDisconnect = 1200ms;
constexpr Duration kConnectWatchdog = 15s;    ///< the shell's own dial timeouts are shorter
constexpr Duration kBreakAfter = 1s;          ///< the old parent goes even if the new one is silent
constexpr Duration kRetiredGrace = 2s;        ///< frames of an ended subscription may arrive
constexpr Duration kAllocationRetry = 250ms;  ///< none is valid yet: look again
constexpr Duration kGapAfter = 100ms;         ///< an orphaned stripe is told to children
constexpr Duration kGoAwayGraceMax = 60s;
constexpr std::size_t kUpstreamsMax = 4096;  ///< entries of one assignment
constexpr std::size_t kAllocationsMax = 1024;
constexpr std::size_t kFetchRangesMax = 64;

}  // namespace

UpLink* Relay::Impl::find_link(TrackState& track, const Peer& peer) {
  for (const auto& link : track.links) {
    if (link->peer == &peer) return link.get();
  }
  return nullptr;
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
  stream->unverified.clear();
  for (const wire::AllocationBlob& blob : assignment.allocations) {
    if (stream->unverified.size() < kAllocationsMax) stream->unverified.push_back(blob);
  }
  verify_allocations(*stream, now);
  set_links(*stream, assignment, now);
  reconcile(now);
  retry_held(now);
  flush_receipts();
  wake_at(now.mono + limits_.head_interval);
}

void Relay::Impl::set_links(StreamState& stream, const Assignment& assignment, Now now) {
  for (auto& [track_id, track] : stream.tracks) {
    for (const auto& link : track->links) {
      link->wanted = link->wanted_standby = link->reported = 0;
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
    if (link == nullptr) {
      track->links.push_back(std::make_unique<UpLink>());
      link = track->links.back().get();
      link->peer = &peer;
    }
    switch (up.role) {
      case UpstreamRole::primary:
        link->wanted |= to_mask(up.stripe);
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
}

void Relay::Impl::reconcile_track(StreamState& stream, TrackState& track, Now now) {
  for (const auto& link : track.links) {
    if ((link->wanted | link->wanted_standby) != 0 && !link->peer->up()) connect(*link->peer, now);
    subscribe_missing(stream, track, *link, now);
  }
  for (const auto& link : track.links) {
    drop_surplus(stream, track, *link, now);
    if (link->retired == 0) continue;
    if (link->retired_until <= now.mono) {
      link->retired = 0;
    } else {
      wake_at(link->retired_until);
    }
  }
  std::erase_if(track.links, [](const auto& link) { return link->idle(); });
  update_orphans(stream, track, now);
}

void Relay::Impl::subscribe_missing(StreamState& stream, TrackState& track, UpLink& link, Now now) {
  const Peer& peer = *link.peer;
  if (!peer.up() || peer.leaves_at || draining_ || now.mono < peer.blocked_until) return;
  if ((link.wanted | link.wanted_standby) == 0) return;
  if (now.mono < link.retry_at) return wake_at(link.retry_at);
  const wire::AllocationBlob* blob =
      issuer_.allocation_for(peer.id, stream.descriptor.handles, now.wall);
  const auto allocation = blob == nullptr ? Result<wire::Allocation>{wire::Allocation{}}
                                          : wire::parse_allocation(*blob);
  if (blob == nullptr || !allocation) return wake_at(now.mono + kAllocationRetry);
  const bool renewed = link.allocation != *blob;
  link.allocation = *blob;
  link.handle = allocation->stream_handle;

  // The parent refuses stripes that the allocation does not cover: these wait for the next one.
  const StripeMask covered = allocation->stripe_mask;
  const StripeMask missing = link.wanted & (renewed ? ~StripeMask{0} : ~link.sent) & covered;
  if (missing != 0) send_subscribe(stream, track, link, missing, SubscribeMode::active, now);
  const StripeMask standby = link.wanted_standby & ~link.wanted &
                             (renewed ? ~StripeMask{0} : ~link.sent_standby) & covered;
  if (standby != 0) send_subscribe(stream, track, link, standby, SubscribeMode::standby, now);
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
    const auto start = track.stripes[i].repair.first_missing(track.window);
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
  } else {
    link.sent_standby |= stripes;
  }
  if (fresh != 0) {
    link.subscribed_at = now.mono;
    link.subscribed_wall = now.wall;
  }
  link.retired &= ~stripes;
  link.peer->last_beat = std::max(link.peer->last_beat, now.mono);
  wake_at(now.mono + limits_.parent_silence_max);
  send(*link.peer, std::move(message));
}

/// Ends what this link sends and nobody wants from it any more: at once when nobody else shall send
/// it, else when the new parent confirmed or had its time.
void Relay::Impl::drop_surplus(StreamState& stream, TrackState& track, UpLink& link, Now now) {
  const StripeMask surplus = link.sent & ~link.wanted;
  StripeMask keep = 0;
  for (const auto& other : track.links) {
    if (other.get() == &link) continue;
    const StripeMask taken_over = surplus & other->wanted;
    keep |= taken_over & ~other->sent;  // not even asked yet
    const StripeMask unconfirmed = taken_over & other->sent & ~other->confirmed;
    if (unconfirmed == 0 || now.mono >= other->subscribed_at + kBreakAfter) continue;
    keep |= unconfirmed;
    wake_at(other->subscribed_at + kBreakAfter);
  }
  const StripeMask standby = link.sent_standby & ~(link.wanted_standby | link.wanted);
  const StripeMask drop = (surplus & ~keep) | standby;
  if (drop == 0) return;
  send(*link.peer, Unsubscribe{stream.descriptor.id, track.id, drop});
  link.sent &= ~drop;
  link.confirmed &= ~drop;
  link.sent_standby &= ~drop;
  link.retired |= drop;
  link.retired_until = now.mono + kRetiredGrace;
  wake_at(link.retired_until);
  StripeMask left = 0;
  for_each_link(*link.peer, [&](const StreamState&, const TrackState&, const UpLink& other) {
    left |= other.sent;
  });
  if (left == 0) issuer_.on_sender_gone(link.peer->id, now);
  flush_receipts();
}

void Relay::Impl::update_orphans(const StreamState& stream, TrackState& track, Now now) {
  StripeMask served = stream.publishing ? ~StripeMask{0} : 0;
  for (const auto& link : track.links) served |= link->confirmed;
  for (std::size_t i = 0; i < track.stripes.size(); ++i) {
    StripeState& stripe = track.stripes[i];
    if ((served >> i & 1U) != 0) {
      stripe.orphaned_since.reset();
      stripe.gap_told = false;
    } else if (!stripe.orphaned_since) {
      stripe.orphaned_since = now.mono;
      wake_at(now.mono + kGapAfter);
    }
  }
}

void Relay::Impl::tell_gaps(StreamState& stream, TrackState& track, Now now) {
  StripeMask starving = 0;
  for (std::size_t i = 0; i < track.stripes.size(); ++i) {
    StripeState& stripe = track.stripes[i];
    if (!stripe.orphaned_since || stripe.gap_told) continue;
    if (now.mono < *stripe.orphaned_since + kGapAfter) {
      wake_at(*stripe.orphaned_since + kGapAfter);
      continue;
    }
    stripe.gap_told = true;
    starving |= StripeMask{1} << i;
  }
  if (starving == 0) return;
  for (auto& [id, peer] : peers_) {
    const ChildSubscription* subscription = peer->feed.find(track);
    if (subscription == nullptr || (subscription->all() & starving) == 0) continue;
    send(*peer, UpstreamGap{stream.descriptor.id, track.id, subscription->all() & starving});
  }
}

void Relay::Impl::fetch_holes(StreamState& stream, TrackState& track, Now now) {
  for (const auto& link : track.links) {
    Fetch fetch{stream.descriptor.id, track.id, track.epoch.value_or(PublisherEpoch{0}), {}};
    for (std::size_t i = 0; i < track.stripes.size(); ++i) {
      if ((link->confirmed >> i & 1U) == 0 || !link->peer->up()) continue;
      StripeRepair& repair = track.stripes[i].repair;
      for (const SliceSeq hole : repair.poll_holes(track.window, now.mono)) {
        if (!fetch.ranges.empty() && fetch.ranges.back().last.next() == hole) {
          fetch.ranges.back().last = hole;
        } else if (fetch.ranges.size() < kFetchRangesMax) {
          fetch.ranges.push_back({hole, hole});
        }
      }
      if (const auto next = repair.next_timeout()) wake_at(*next);
    }
    if (!fetch.ranges.empty()) send(*link->peer, std::move(fetch));
  }
}

// --- sessions

void Relay::Impl::connect(Peer& peer, Now now) {
  if (peer.up() || peer.connecting || draining_) return;
  const TimePoint at = std::max(peer.retry_at, peer.blocked_until);
  if (now.mono < at) return wake_at(at);
  peer.connecting = true;
  peer.connecting_since = now.mono;
  wake_at(now.mono + kConnectWatchdog);
  push(Connect{peer.id});
}

void Relay::Impl::back_off(Peer& peer, Now now) {
  peer.backoff = std::clamp<Duration>(peer.backoff * 2, kBackoffMin, kBackoffMax);
  peer.retry_at = std::max(peer.retry_at, now.mono + peer.backoff);
}

void Relay::Impl::on_peer_up(const NodeId& node, Now now) {
  Peer& peer = peer_of(node);
  // Another session of a peer that is up replaces it: the peer did not go away, so nothing is lost.
  if (peer.up()) forget_session(peer, now);
  peer.connecting = false;
  peer.session = next_session_++;
  peer.leaves_at.reset();
  peer.last_beat = peer.last_pull = peer.idle_since = now.mono;
  dirty_ = false;
  reconcile(now);
  wake_at(now.mono + limits_.head_interval);
}

void Relay::Impl::on_connect_failed(const NodeId& node, Now now) {
  Peer* peer = find_peer(node);
  if (peer == nullptr || peer->up()) return;
  peer->connecting = false;
  back_off(*peer, now);
  lose_all(*peer, LossReason::connect_failed);
  reconcile(now);
  wake_at(peer->retry_at);
}

void Relay::Impl::on_peer_down(const NodeId& node, LossReason reason, Now now) {
  Peer* peer = find_peer(node);
  if (peer == nullptr) return;
  if (peer->up()) {
    take_down(*peer, peer->leaves_at ? LossReason::go_away : reason, now);
  } else if (peer->connecting) {
    peer->connecting = false;  // our dial met the session that was still closing
    back_off(*peer, now);
  }
  dirty_ = false;
  reconcile(now);
}

void Relay::Impl::lose(const StreamState& stream, const TrackState& track, UpLink& link,
                       StripeMask stripes, LossReason reason) {
  const StripeMask lost = stripes & link.wanted & ~link.reported;
  if (lost == 0) return;
  link.reported |= lost;
  push(ParentLost{stream.descriptor.id, track.id, lost, link.peer->id, reason, stream.revision,
                  std::nullopt});
}

void Relay::Impl::lose_all(const Peer& peer, LossReason reason) {
  for_each_link(peer, [&](const StreamState& stream, const TrackState& track, UpLink& link) {
    lose(stream, track, link, link.wanted, reason);
  });
}

void Relay::Impl::take_down(Peer& peer, LossReason reason, Now now) {
  lose_all(peer, reason);
  forget_session(peer, now);
  back_off(peer, now);
}

void Relay::Impl::forget_session(Peer& peer, Now now) {
  for_each_link(peer, [&](const StreamState&, const TrackState&, UpLink& link) {
    link.sent = link.sent_standby = link.confirmed = link.retired = link.gap = 0;
    link.allocation = {};
  });
  drop_child(peer);
  peer.session = 0;
  peer.connecting = false;
  peer.leaves_at.reset();
  peer.feed = ChildFeed{{limits_.child_queue_bytes, limits_.child_queue_age}};
  peer.dropped_counted = 0;
  issuer_.on_sender_gone(peer.id, now);
  flush_receipts();
  dirty_ = true;
}

void Relay::Impl::disconnect(Peer& peer, std::string why, LossReason reason, Now now) {
  if (!peer.up()) return;
  issuer_.on_sender_gone(peer.id, now);
  flush_receipts();
  push(Disconnect{peer.id, std::move(why)});
  peer.retry_at = std::max(peer.retry_at, now.mono + kRedialAfterDisconnect);
  take_down(peer, reason, now);
}

void Relay::Impl::watch_parents(Now now) {
  for (auto& [id, peer] : peers_) {
    if (peer->connecting && now.mono >= peer->connecting_since + kConnectWatchdog) {
      peer->connecting = false;
      dirty_ = true;
    }
    if (!peer->up()) continue;
    StripeMask sent = 0;
    StripeMask confirmed = 0;
    for_each_link(*peer, [&](const StreamState&, const TrackState&, const UpLink& link) {
      sent |= link.sent | link.sent_standby;
      confirmed |= link.confirmed;
    });
    if (sent == 0) continue;
    // Before it confirms it may hold the request as long as we would.
    const Duration patience =
        limits_.parent_silence_max + (confirmed == 0 ? limits_.pending_subscribe_max : 0s);
    if (now.mono > peer->last_beat + patience) {
      disconnect(*peer, "silent", LossReason::silent, now);
    } else if (peer->leaves_at && now.mono >= *peer->leaves_at) {
      disconnect(*peer, "its grace is over", LossReason::go_away, now);
    } else {
      wake_at(peer->last_beat + patience + 1us);
      if (peer->leaves_at) wake_at(*peer->leaves_at);
    }
  }
}

// --- what parents say

void Relay::Impl::on_subscribe_ok(Peer& from, const SubscribeOk& message, Now now) {
  TrackState* track = find_track(message.stream, message.track);
  UpLink* link = track == nullptr ? nullptr : find_link(*track, from);
  if (link == nullptr) return;
  from.last_beat = now.mono;
  from.backoff = Duration::zero();
  link->confirmed |= message.stripes & link->sent;
  link->reported &= ~message.stripes;
  link->gap &= ~message.stripes;
  dirty_ = true;
}

void Relay::Impl::on_subscribe_refused(Peer& from, const SubscribeRefused& message, Now now) {
  TrackState* track = find_track(message.stream, message.track);
  UpLink* link = track == nullptr ? nullptr : find_link(*track, from);
  if (link == nullptr) return;
  const StripeMask refused = message.stripes & (link->sent | link->sent_standby);
  if (refused == 0) return;
  link->sent &= ~refused;
  link->sent_standby &= ~refused;
  link->confirmed &= ~refused;
  link->retired |= refused;
  link->retired_until = now.mono + kRetiredGrace;
  from.backoff = std::clamp<Duration>(from.backoff * 2, kBackoffMin, kBackoffMax);
  link->retry_at = now.mono + std::clamp(message.retry_after, from.backoff, kBackoffMax);
  lose(*track->stream, *track, *link, refused, LossReason::refused);
  dirty_ = true;
}

void Relay::Impl::on_head(Peer& from, const Head& message, Now now) {
  for (const TrackHead& told : message.tracks) {
    const auto stream = tags_.find(told.stream_tag);
    if (stream == tags_.end()) continue;
    const auto found = stream->second->tracks.find(told.track);
    if (found == stream->second->tracks.end()) continue;
    TrackState& track = *found->second;
    const UpLink* link = find_link(track, from);
    // Unsigned, so it changes nothing but what is fetched: an unknown epoch waits for a header.
    if (link == nullptr || !track.epoch || *track.epoch != told.epoch) continue;
    for (const StripeHead& head : told.stripes) {
      if (head.stripe.value() >= track.stripes.size()) continue;
      if ((link->sent & to_mask(head.stripe)) == 0) continue;
      track.stripes[head.stripe.value()].repair.on_head(head.next_seq);
    }
  }
  from.last_beat = now.mono;
}

void Relay::Impl::on_upstream_gap(Peer& from, const UpstreamGap& message) {
  TrackState* track = find_track(message.stream, message.track);
  UpLink* link = track == nullptr ? nullptr : find_link(*track, from);
  if (link != nullptr) link->gap |= message.stripes & link->sent;
}

void Relay::Impl::on_go_away(Peer& from, const GoAway& message, Now now) {
  const Duration grace = std::clamp<Duration>(message.grace, Duration::zero(), kGoAwayGraceMax);
  from.leaves_at = now.mono + grace;
  wake_at(*from.leaves_at);
  // The orchestrator moves us during the grace; what was received is acknowledged while it can
  // hear.
  lose_all(from, LossReason::go_away);
  issuer_.on_sender_gone(from.id, now);
  flush_receipts();
}

}  // namespace tayga::relay
