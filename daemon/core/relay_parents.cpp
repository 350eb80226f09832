#include "daemon/core/relay_impl.hpp"

#include <algorithm>
#include <utility>

namespace tayga::relay {
namespace {

constexpr Duration kBackoffMin = 200ms;
constexpr Duration kBackoffMax = 5s;
/// The session that we closed takes up to a second to go: before that a dial would meet it.
constexpr Duration kRedialAfterDisconnect = 1200ms;
constexpr Duration kConnectWatchdog = 15s;  ///< the shell's own dial timeouts are shorter
constexpr Duration kRetiredGrace = 2s;      ///< frames of an ended subscription may arrive
constexpr Duration kGoAwayGraceMax = 60s;
/// No honest tree is this deep: the path is a loop, in which the count grows without end.
constexpr unsigned kHopsMax = 16;
constexpr Duration kLoopAvoided = 2s;

}  // namespace

// --- sessions

void Relay::Impl::connect(Peer& peer, Now now) {
  if (peer.up() || peer.connecting || draining_) return;
  const TimePoint at = std::max(peer.retry_at, peer.blocked_until);
  if (now.mono < at) return wake_at(Duty::links, at);
  peer.connecting = true;
  peer.connecting_since = now.mono;
  wake_at(Duty::parents, now.mono + kConnectWatchdog);
  wake_at(Duty::links, now.mono + kDialPatience);
  push(Connect{peer.id});
}

void Relay::Impl::back_off(Peer& peer, Now now) {
  peer.backoff = std::clamp<Duration>(peer.backoff * 2, kBackoffMin, kBackoffMax);
  peer.retry_at = std::max(peer.retry_at, now.mono + peer.backoff);
}

/// Who chose it knows more than our last dials: it is tried at once, and judged by that.
void Relay::Impl::forgive(Peer& peer, Now now) {
  if (peer.up() || peer.connecting) return;
  peer.backoff = Duration::zero();
  if (peer.last_loss == LossReason::connect_failed) {
    peer.retry_at = std::min(peer.retry_at, now.mono);
  }
}

void Relay::Impl::on_peer_up(const NodeId& node, Now now) {
  Peer& peer = peer_of(node);
  // Another session of a peer that is up replaces it: the peer did not go away, so nothing is lost.
  if (peer.up()) forget_session(peer, now);
  peer.connecting = false;
  peer.session = next_session_++;
  peer.leaves_at.reset();
  peer.cadence = Cadence{limits_.suspicion_min};
  peer.cadence.restart(now.mono);
  peer.suspected = peer.condemned = false;
  peer.last_pull = peer.idle_since = now.mono;
  dirty_ = false;
  reconcile(now);
  wake_at(Duty::idle, now.mono + limits_.head_interval);
}

void Relay::Impl::on_connect_failed(const NodeId& node, Now now) {
  Peer* peer = find_peer(node);
  if (peer == nullptr || peer->up()) return;
  peer->connecting = false;
  peer->last_loss = LossReason::connect_failed;
  back_off(*peer, now);
  lose_all(*peer, LossReason::connect_failed);
  reconcile(now);
  wake_at(Duty::links, peer->retry_at);
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

void Relay::Impl::lose(TrackState& track, UpLink& link, StripeMask stripes, LossReason reason) {
  // Who only says that it will go still serves.
  for (std::size_t i = 0; i < track.stripes.size() && reason != LossReason::go_away; ++i) {
    const bool served = (stripes & link.wanted & link.confirmed) >> i & 1U;
    const StripeIndex stripe{static_cast<std::uint8_t>(i)};
    if (served) begin_mending(track, stripe, link, reason);
  }
  const StripeMask lost = stripes & (link.wanted | link.wanted_standby) & ~link.reported;
  if (lost == 0) return;
  link.reported |= lost;
  losses_.push_back({track.stream->descriptor.id, track.id, lost, link.peer->id, reason});
}

/// One report per parent and successor: what the orchestrator hears is what is in force already.
void Relay::Impl::flush_losses() {
  for (std::size_t at = 0; at < losses_.size(); ++at) {
    Loss loss = losses_[at];
    if (loss.stripes == 0) continue;
    for (std::size_t i = at + 1; i < losses_.size(); ++i) {
      Loss& other = losses_[i];
      if (other.stream != loss.stream || other.track != loss.track || other.parent != loss.parent) {
        continue;
      }
      loss.stripes |= std::exchange(other.stripes, 0);
    }
    StreamState* stream = find_stream(loss.stream);
    TrackState* track = find_track(loss.stream, loss.track);
    const std::uint64_t revision = stream == nullptr ? 0 : stream->revision;
    StripeMask rest = loss.stripes;
    for (std::size_t i = 0; track != nullptr && i < track->links.size(); ++i) {
      const UpLink& link = track->links[i];
      const StripeMask taken = rest & link.wanted;
      if (taken == 0 || link.peer->id == loss.parent) continue;
      // A lost standby leaves the stripe where it was: nobody took over.
      const StripeMask promoted = taken & link.promoted;
      if (promoted == 0) continue;
      rest &= ~promoted;
      push(ParentLost{loss.stream, loss.track, promoted, loss.parent, loss.reason, revision,
                      link.peer->id});
    }
    if (rest == 0) continue;
    push(ParentLost{loss.stream, loss.track, rest, loss.parent, loss.reason, revision,
                    std::nullopt});
  }
  losses_.clear();
}

void Relay::Impl::lose_all(const Peer& peer, LossReason reason) {
  for_each_link(peer, [&](const StreamState&, TrackState& track, UpLink& link) {
    lose(track, link, link.wanted | (link.wanted_standby & ~link.former), reason);
  });
}

void Relay::Impl::take_down(Peer& peer, LossReason reason, Now now) {
  peer.last_loss = reason;
  lose_all(peer, reason);
  forget_session(peer, now);
  back_off(peer, now);
}

void Relay::Impl::forget_session(Peer& peer, Now now) {
  for_each_link(peer, [&](const StreamState&, const TrackState&, UpLink& link) {
    link.sent = link.sent_standby = link.confirmed = link.confirmed_standby = 0;
    link.retired = link.gap = 0;
    link.fetched_until = TimePoint{};
    link.fetched_last = SliceSeq{0};
    link.have.clear();
    link.poor.clear();
    link.allocation = {};
  });
  drop_child(peer);
  peer.session = 0;
  peer.connecting = false;
  peer.leaves_at.reset();
  peer.suspected = peer.condemned = false;
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

/// The peers that are to feed us, each with what it was asked for over all tracks, by id.
void Relay::Impl::list_parents(std::vector<Parent>& parents) {
  parents.clear();
  for (auto& [stream_id, stream] : streams_) {
    for (auto& [track_id, track] : stream->tracks) {
      for (const auto& link : track->links) {
        auto parent = std::ranges::find(parents, link->peer, &Parent::peer);
        if (parent == parents.end()) parent = parents.insert(parent, Parent{link->peer, 0, 0, 0});
        parent->sent |= link->sent;
        parent->standby |= link->sent_standby;
        parent->confirmed |= link->confirmed;
      }
    }
  }
  std::ranges::sort(parents, {},
                    [](const Parent& parent) -> const NodeId& { return parent.peer->id; });
}

void Relay::Impl::watch_parents(Now now) {
  list_parents(parents_);
  for (const Parent& parent : parents_) {
    Peer& peer = *parent.peer;
    if (peer.connecting && now.mono >= peer.connecting_since + kConnectWatchdog) {
      peer.connecting = false;
      dirty_ = true;
    } else if (peer.connecting) {
      wake_at(Duty::parents, peer.connecting_since + kConnectWatchdog);
    }
    if (!peer.up() || (parent.sent | parent.standby) == 0) continue;
    // Before it confirms it may hold the request as long as we would.
    const Duration patience =
        limits_.parent_silence_max + (parent.confirmed == 0 ? limits_.pending_subscribe_max : 0s);
    const TimePoint silent_at = peer.cadence.last_beat() + patience;
    if (now.mono < deaf_until_) {
      wake_at(Duty::parents, deaf_until_);
    } else if (now.mono > silent_at) {
      disconnect(peer, "silent", LossReason::silent, now);
    } else if (peer.leaves_at && now.mono >= *peer.leaves_at) {
      disconnect(peer, "its grace is over", LossReason::go_away, now);
    } else {
      wake_at(Duty::parents, silent_at + 1us);
      if (peer.leaves_at) wake_at(Duty::parents, *peer.leaves_at);
      if (parent.confirmed != 0) watch_beat(peer, now);
    }
  }
}

void Relay::Impl::watch_beat(Peer& peer, Now now) {
  if (!peer.suspected) {
    if (now.mono < peer.cadence.suspect_at())
      return wake_at(Duty::parents, peer.cadence.suspect_at());
    suspect(peer, now);
  }
  if (peer.condemned) return;
  if (now.mono < peer.cadence.condemn_at())
    return wake_at(Duty::parents, peer.cadence.condemn_at());
  peer.condemned = true;
  peer.last_loss = LossReason::silent;
  lose_all(peer, LossReason::silent);
  dirty_ = true;
}

/// Any frame of it is a beat.
void Relay::Impl::heard(Peer& peer, Now now) {
  peer.cadence.on_beat(now.mono);
  wake_at(Duty::parents, peer.cadence.suspect_at());
  if (!peer.suspected) return;
  if (!peer.condemned) ++counters.false_suspicions;
  // Its next loss is news again.
  for_each_link(peer, [](const StreamState&, const TrackState&, UpLink& link) {
    link.reported &= ~link.confirmed;
  });
  peer.suspected = peer.condemned = false;
  dirty_ = true;
}

// --- what parents say

void Relay::Impl::on_subscribe_ok(Peer& from, const SubscribeOk& message, Now now) {
  TrackState* track = find_track(message.stream, message.track);
  UpLink* link = track == nullptr ? nullptr : find_link(*track, from);
  if (link == nullptr) return;
  if ((message.stripes & link->sent & ~link->confirmed) != 0) {
    from.cadence.on_answer(now.mono - link->subscribed_at);
  }
  // A standby beats slowly: what its beats taught does not hold for a parent.
  if (link->confirmed == 0 && (message.stripes & link->sent) != 0) from.cadence.relearn();
  from.cadence.restart(now.mono);
  heard(from, now);
  from.backoff = Duration::zero();
  link->confirmed |= message.stripes & link->sent;
  link->confirmed_standby |= message.stripes & link->sent_standby;
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
  link->confirmed_standby &= ~refused;
  link->retired |= refused;
  link->retired_until = now.mono + kRetiredGrace;
  from.backoff = std::clamp<Duration>(from.backoff * 2, kBackoffMin, kBackoffMax);
  link->retry_at = now.mono + std::clamp(message.retry_after, from.backoff, kBackoffMax);
  lose(*track, *link, refused, LossReason::refused);
  link->confirmed &= ~refused;
  dirty_ = true;
}

void Relay::Impl::on_head(Peer& from, const Head& message, Now now) {
  for (const TrackHead& told : message.tracks) {
    const auto stream = tags_.find(told.stream_tag);
    if (stream == tags_.end()) continue;
    const auto found = stream->second->tracks.find(told.track);
    if (found == stream->second->tracks.end()) continue;
    TrackState& track = *found->second;
    UpLink* link = find_link(track, from);
    // Unsigned, so it changes nothing but what is fetched: an unknown epoch waits for a header.
    if (link == nullptr || !track.epoch || *track.epoch != told.epoch) continue;
    for (const StripeHead& head : told.stripes) {
      if (head.stripe.value() >= track.stripes.size()) continue;
      take_stripe_head(track, *link, head, now);
    }
  }
  heard(from, now);
}

void Relay::Impl::take_stripe_head(TrackState& track, UpLink& link, const StripeHead& head,
                                   Now now) {
  const StripeMask bit = to_mask(head.stripe);
  if (((link.sent | link.sent_standby) & bit) == 0) return;
  StripeState& stripe = track.stripes[head.stripe.value()];
  stripe.repair.on_head(head.next_seq);
  if ((link.confirmed & link.wanted & bit) == 0) return;
  if (head.hops >= kHopsMax) {
    // Not passed on: of a loop one has to leave, not everybody below it.
    if (link.avoids(bit, now.mono)) return;
    link.avoid(bit, now.mono, kLoopAvoided);
    link.reported &= ~bit;  // whatever was said of it before: only the orchestrator sees the loop
    lose(track, link, bit, LossReason::silent);
    dirty_ = true;
    return;
  }
  stripe.hops = head.hops + 1;
}

void Relay::Impl::on_upstream_gap(Peer& from, const UpstreamGap& message, Now now) {
  TrackState* track = find_track(message.stream, message.track);
  UpLink* link = track == nullptr ? nullptr : find_link(*track, from);
  if (link == nullptr) return;
  // The whole state: what it does not name starves no more.
  const StripeMask gap = message.stripes & (link->sent | link->sent_standby);
  for (std::size_t i = 0; i < track->stripes.size(); ++i) {
    const StripeMask begun = gap & ~link->gap & link->wanted;
    if ((begun >> i & 1U) != 0) track->stripes[i].gap_since = now.mono;
  }
  if (std::exchange(link->gap, gap) != gap) dirty_ = true;
}

void Relay::Impl::on_go_away(Peer& from, const GoAway& message, Now now) {
  const Duration grace = std::clamp<Duration>(message.grace, Duration::zero(), kGoAwayGraceMax);
  from.leaves_at = now.mono + grace;
  wake_at(Duty::parents, *from.leaves_at);
  // The standby takes over during the grace; what was received is acknowledged while it can hear.
  from.last_loss = LossReason::go_away;
  lose_all(from, LossReason::go_away);
  issuer_.on_sender_gone(from.id, now);
  flush_receipts();
  dirty_ = true;
}

}  // namespace tayga::relay
