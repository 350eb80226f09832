#include "daemon/core/relay_impl.hpp"

#include <algorithm>
#include <utility>

namespace tayga::relay {
namespace {

/// A standby beats every 200 ms: after three it is not believed to be there.
constexpr Duration kStandbyHeardWithin = 650ms;
/// Slices in flight when a parent falls silent, and what it would have sent since.
constexpr std::size_t kFetchAhead = 16;
/// Who can give so many slices that the parent owed is the better parent.
constexpr std::size_t kPoorMax = 5;
constexpr Duration kPoorSpan = 2s;
constexpr Duration kPoorAvoided = 10s;
/// A starving parent is waited for: it repairs. Then it is replaced like one that is silent.
constexpr Duration kGapPatience = 800ms;
/// Without parent and standby a gateway feeds this node, but not all such nodes at once.
constexpr Duration kOrphanPatience = 400ms;

}  // namespace

/// False costs a fetch, true saves what is in flight: the answer is here before the verdict.
void Relay::Impl::suspect(Peer& peer, Now now) {
  peer.suspected = true;
  ++counters.suspicions;
  push(Suspected{peer.id, now.mono - peer.cadence.last_beat()});
  for_each_link(peer, [&](const StreamState&, TrackState& track, UpLink& link) {
    const StripeMask starving = link.confirmed & link.wanted;
    if (starving == 0) return;
    tell_starving(track, now);
    if (duplicates_.may_speculate()) fetch_from_standby(track, link, now);
  });
  dirty_ = true;
}

void Relay::Impl::fetch_from_standby(TrackState& track, UpLink& link, Now now) {
  if (!track.epoch) return;
  std::map<UpLink*, Fetch> fetches;
  for (std::size_t i = 0; i < track.stripes.size(); ++i) {
    const StripeIndex stripe{static_cast<std::uint8_t>(i)};
    if ((link.confirmed & link.wanted & to_mask(stripe)) == 0) continue;
    UpLink* standby = standby_of(track, stripe, &link, now.mono);
    const StripeRepair& repair = track.stripes[i].repair;
    auto seq = repair.first_missing(track.window);
    if (standby == nullptr || !seq) continue;
    auto [fetch, is_new] = fetches.try_emplace(standby);
    if (is_new) fetch->second = Fetch{track.stream->descriptor.id, track.id, *track.epoch, {}};
    for (std::size_t n = 0; n < kFetchAhead; ++n, seq = repair.following(*seq)) {
      if (!track.window.is_complete(*seq)) add_fetch(fetch->second, track, *seq);
    }
  }
  for (const auto& link_ptr : track.links) {
    const auto fetch = fetches.find(link_ptr.get());
    if (fetch == fetches.end() || fetch->second.ranges.empty()) continue;
    send_fetch(*link_ptr, std::move(fetch->second), now);
  }
}

bool Relay::Impl::is_ready(const UpLink& link, StripeIndex stripe, TimePoint now) {
  const Peer& peer = *link.peer;
  if (!peer.up() || peer.suspected || peer.leaves_at || now < peer.blocked_until) return false;
  if (link.avoids(to_mask(stripe), now) || (link.gap & to_mask(stripe)) != 0) return false;
  if (now > peer.cadence.last_beat() + kStandbyHeardWithin) return false;
  return ((link.confirmed | link.confirmed_standby) & to_mask(stripe)) != 0;
}

/// The first in line that could take over at once. One that was the parent and failed comes last,
/// a gateway that was only asked for slices does not count, nor does one that we feed ourselves.
UpLink* Relay::Impl::standby_of(TrackState& track, StripeIndex stripe, const UpLink* besides,
                                TimePoint now) {
  UpLink* former = nullptr;
  for (const auto& link : track.links) {
    if (link.get() == besides || !is_ready(*link, stripe, now)) continue;
    const StripeMask bit = to_mask(stripe);
    if (((link->wanted_standby | (link->confirmed & ~link->wanted)) & bit) == 0) continue;
    const ChildSubscription* fed = link->peer->feed.find(track);
    if (fed != nullptr && (fed->active & bit) != 0) continue;
    if ((link->former & bit) == 0) return link.get();
    if (former == nullptr) former = link.get();
  }
  return former;
}

bool Relay::Impl::is_hopeless(const StripeState& state, const UpLink& link, StripeIndex stripe,
                              Now now) const {
  const Peer& peer = *link.peer;
  const StripeMask bit = to_mask(stripe);
  if (now.mono < peer.blocked_until || link.avoids(bit, now.mono) || peer.leaves_at) return true;
  if (now.mono < deaf_until_) return false;  // what was said in time may still be unread
  if (!peer.up()) {
    const bool is_slow = peer.connecting && now.mono >= peer.connecting_since + kDialPatience;
    return peer.backoff > Duration::zero() || is_slow;
  }
  if (peer.condemned && (link.sent & bit) != 0) return true;
  const bool unconfirmed = (link.sent & ~link.confirmed & bit) != 0;
  if (unconfirmed && now.mono >= link.subscribed_at + kConfirmPatience) return true;
  if ((link.reported & bit) != 0 && (link.sent & bit) == 0 && now.mono < link.retry_at) return true;
  return (link.gap & bit) != 0 && now.mono >= state.gap_since + kGapPatience;
}

/// When time alone may make it so.
void Relay::Impl::look_when_hopeless(const StripeState& state, const UpLink& link,
                                     StripeIndex stripe, Now now) {
  const auto look_at = [&](TimePoint at) {
    if (now.mono < at) wake_at(Duty::links, at);
  };
  look_at(deaf_until_);
  if ((link.gap & to_mask(stripe)) != 0) look_at(state.gap_since + kGapPatience);
  if ((link.sent & ~link.confirmed & to_mask(stripe)) != 0) {
    look_at(link.subscribed_at + kConfirmPatience);
  }
  if (link.peer->connecting) look_at(link.peer->connecting_since + kDialPatience);
  // What is given up is missed no more, and nobody tells.
  if (state.mending) look_at(now.mono + limits_.head_interval);
}

/// Gives every stripe whose parent is lost to its standby. Nobody is asked; the orchestrator hears
/// of it when it is done.
void Relay::Impl::heal(TrackState& track, Now now) {
  if (draining_) return;
  for (std::size_t i = 0; i < track.stripes.size(); ++i) {
    const StripeIndex stripe{static_cast<std::uint8_t>(i)};
    const auto wanted = std::ranges::find_if(track.links, [&](const std::unique_ptr<UpLink>& link) {
      return (link->wanted & to_mask(stripe)) != 0;
    });
    if (wanted == track.links.end()) {
      track.stripes[i].mending.reset();  // nobody is to feed it any more
      continue;
    }
    UpLink& parent = **wanted;
    const StripeState& state = track.stripes[i];
    if (state.mending) note_whole(track, stripe, now);
    if (!is_hopeless(state, parent, stripe, now)) {
      look_when_hopeless(state, parent, stripe, now);
      continue;
    }
    // Nothing tells when a standby is ready.
    wake_at(Duty::links, now.mono + limits_.head_interval);
    UpLink* standby = standby_of(track, stripe, &parent, now.mono);
    if (standby == nullptr) standby = adopt_gateway(track, stripe, parent, now);
    if (standby != nullptr) promote(track, stripe, parent, *standby, now);
  }
}

UpLink* Relay::Impl::adopt_gateway(TrackState& track, StripeIndex stripe, const UpLink& parent,
                                   Now now) {
  const StripeState& state = track.stripes[stripe.value()];
  const RescuePlan& rescue = track.stream->rescue;
  if (rescue.gateways.empty() || rescue.share_permille == 0) return nullptr;
  const bool is_left = parent.avoids(to_mask(stripe), now.mono);
  if (!state.mending && !state.orphaned_since && !is_left) return nullptr;
  const TimePoint since = state.mending          ? state.mending->last_beat
                          : state.orphaned_since ? *state.orphaned_since
                                                 : parent.avoided_at;
  const TimePoint turn =
      since + kOrphanPatience +
      rescue_turn(self_, ObjectId{stripe.value()}, rescue.audience, rescue.share_permille);
  if (now.mono < turn) {
    wake_at(Duty::links, turn);
    return nullptr;
  }
  UpLink* gateway = gateway_link(*track.stream, track, now);
  if (gateway == nullptr || gateway == &parent) return nullptr;
  return is_ready(*gateway, stripe, now.mono) ? gateway : nullptr;
}

void Relay::Impl::promote(TrackState& track, StripeIndex stripe, UpLink& from, UpLink& to,
                          Now now) {
  const StripeMask bit = to_mask(stripe);
  const bool is_blocked = now.mono < from.peer->blocked_until;
  const bool is_alive =
      from.peer->up() && !from.peer->condemned && !from.peer->leaves_at && !is_blocked;
  const LossReason reason = is_alive                ? LossReason::silent
                            : from.peer->connecting ? LossReason::connect_failed
                                                    : from.peer->last_loss;
  from.wanted &= ~bit;
  from.promoted &= ~bit;
  to.wanted |= bit;
  to.promoted |= bit;
  to.wanted_standby &= ~bit;
  to.former &= ~bit;
  to.reported &= ~bit;
  to.gap &= ~bit;
  const bool stands_by = !is_blocked && reason != LossReason::go_away;
  if (stands_by) {
    from.wanted_standby |= bit;
    from.former |= bit;
  }
  from.poor.clear();
  track.stripes[stripe.value()].forecast = {};
  if ((from.confirmed & bit) != 0) begin_mending(track, stripe, from, reason);
  losses_.push_back({track.stream->descriptor.id, track.id, bit, from.peer->id, reason});
  ++counters.promotions;
  dirty_ = true;
}

void Relay::Impl::begin_mending(TrackState& track, StripeIndex stripe, const UpLink& lost,
                                LossReason reason) {
  StripeState& state = track.stripes[stripe.value()];
  if (state.mending) return;  // the first loss counts
  const SliceSeq begun = state.repair.frontier().value_or(SliceSeq{0});
  state.mending = Mending{lost.peer->id, reason, lost.peer->cadence.last_beat(),
                          std::max(begun, state.repair.head_next())};
}

/// The stripe is mended when another one feeds it and nothing is missing of what had begun to come
/// or was told of when the former parent was lost. Who feeds it may not be the parent that is meant
/// for it: that one may still be dialed.
void Relay::Impl::note_whole(TrackState& track, StripeIndex stripe, Now now) {
  StripeState& state = track.stripes[stripe.value()];
  if (!state.mending) return;
  const StripeMask bit = to_mask(stripe);
  const auto parent = std::ranges::find_if(track.links, [&](const std::unique_ptr<UpLink>& link) {
    const bool feeds = (link->sent & link->confirmed & ~link->gap & bit) != 0;
    const bool is_meant = (link->wanted & bit) != 0 || link->peer->id != state.mending->lost;
    return feeds && is_meant && !link->peer->suspected;
  });
  if (parent == track.links.end()) return;
  const auto missing = state.repair.first_missing(track.window);
  if (missing && *missing < state.mending->whole_at) return;
  StreamState& stream = *track.stream;
  const Mending mended = *std::exchange(state.mending, std::nullopt);
  const Duration gap = std::max(Duration::zero(), now.mono - mended.last_beat);
  const NodeId& by = (*parent)->peer->id;
  ++counters.repairs;
  ++stream.repairs;
  stream.last_repair = LastRepair{mended.lost, by, mended.reason, gap, now.mono};
  push(Repaired{stream.descriptor.id, track.id, to_mask(stripe), mended.lost, by, mended.reason,
                gap});
}

/// `by` brought a slice that the stripe's parent owed: a parent that beats but does not deliver is
/// replaced like one that is silent.
void Relay::Impl::note_poor(TrackState& track, StripeIndex stripe, const UpLink& by, Now now) {
  const StripeMask bit = to_mask(stripe);
  for (const auto& link : track.links) {
    if ((link->wanted & link->confirmed & bit) == 0 || link.get() == &by) continue;
    if ((link->gap & bit) != 0 || link->peer->suspected) continue;
    if (now.mono < link->subscribed_at + kPoorSpan) continue;
    link->poor.push_back(now.mono);
    while (link->poor.front() + kPoorSpan < now.mono) link->poor.pop_front();
    if (link->poor.size() < kPoorMax) continue;
    link->poor.clear();
    if (standby_of(track, stripe, link.get(), now.mono) == nullptr) continue;
    link->avoid(bit, now.mono, kPoorAvoided);
    lose(track, *link, bit, LossReason::silent);
    dirty_ = true;
  }
}

}  // namespace tayga::relay
