#include "daemon/core/relay_impl.hpp"

#include <algorithm>
#include <utility>

namespace tayga::relay {
namespace {

/// A dial that takes longer does not keep a stripe waiting whose standby is ready.
constexpr Duration kDialPatience = 1s;
/// A parent that was asked and says nothing.
constexpr Duration kConfirmPatience = 1s;
/// A standby beats every 200 ms: after three it is not believed to be there.
constexpr Duration kStandbyHeardWithin = 650ms;
/// Slices in flight when a parent falls silent, and what it would have sent since.
constexpr std::size_t kFetchAhead = 16;
/// Who can give so many slices that the parent owed is the better parent.
constexpr std::size_t kPoorMax = 5;
constexpr Duration kPoorSpan = 2s;
constexpr Duration kPoorAvoided = 10s;
constexpr Duration kQuiet = 100ms;
/// A starving parent is waited for: it repairs. Then it is replaced like one that is silent.
constexpr Duration kGapPatience = 800ms;
/// Without parent and standby a gateway feeds this node, but not all such nodes at once.
constexpr Duration kOrphanPatience = 1s;

}  // namespace

/// False costs a fetch, true saves what is in flight: the answer is here before the verdict.
void Relay::Impl::suspect(Peer& peer, Now now) {
  peer.suspected = true;
  ++counters.suspicions;
  push(Suspected{peer.id, now.mono - peer.cadence.last_beat()});
  for_each_link(peer, [&](const StreamState&, TrackState& track, UpLink& link) {
    const StripeMask starving = link.confirmed & link.wanted;
    if (starving == 0) return;
    tell_gap(track, starving);
    if (may_speculate()) fetch_from_standby(track, link, now);
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
    link_ptr->fetched_until = now.mono + kFetchedAccepted;
    wake_at(link_ptr->fetched_until);
    send(*link_ptr->peer, std::move(fetch->second));
  }
}

bool Relay::Impl::is_ready(const UpLink& link, StripeIndex stripe, TimePoint now) {
  const Peer& peer = *link.peer;
  if (!peer.up() || peer.suspected || peer.leaves_at || now < peer.blocked_until) return false;
  if (now < link.avoid_until || now > peer.cadence.last_beat() + kStandbyHeardWithin) return false;
  return ((link.confirmed | link.confirmed_standby) & to_mask(stripe)) != 0;
}

/// The first in line that could take over at once. One that was the parent and failed comes last,
/// a gateway that was only asked for slices does not count.
UpLink* Relay::Impl::standby_of(TrackState& track, StripeIndex stripe, const UpLink* besides,
                                TimePoint now) {
  UpLink* former = nullptr;
  for (const auto& link : track.links) {
    if (link.get() == besides || !is_ready(*link, stripe, now)) continue;
    const StripeMask bit = to_mask(stripe);
    if (((link->wanted_standby | (link->confirmed & ~link->wanted)) & bit) == 0) continue;
    if ((link->former & bit) == 0) return link.get();
    if (former == nullptr) former = link.get();
  }
  return former;
}

bool Relay::Impl::is_hopeless(const UpLink& link, StripeIndex stripe, Now now) const {
  const Peer& peer = *link.peer;
  const StripeMask bit = to_mask(stripe);
  if (now.mono < peer.blocked_until || now.mono < link.avoid_until || peer.leaves_at) return true;
  if (!peer.up()) {
    const bool is_slow = peer.connecting && now.mono >= peer.connecting_since + kDialPatience;
    return peer.backoff > Duration::zero() || is_slow;
  }
  if (peer.condemned && (link.sent & bit) != 0) return true;
  const bool unconfirmed = (link.sent & ~link.confirmed & bit) != 0;
  if (unconfirmed && now.mono >= link.subscribed_at + kConfirmPatience) return true;
  if ((link.reported & bit) != 0 && (link.sent & bit) == 0 && now.mono < link.retry_at) return true;
  return (link.gap & bit) != 0 && now.mono >= link.gap_since + kGapPatience;
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
    if (wanted == track.links.end()) continue;
    UpLink& parent = **wanted;
    note_quiet(track, parent, stripe, now);
    if ((parent.gap & to_mask(stripe)) != 0) wake_at(parent.gap_since + kGapPatience);
    if ((parent.sent & ~parent.confirmed & to_mask(stripe)) != 0) {
      wake_at(parent.subscribed_at + kConfirmPatience);
    }
    if (parent.peer->connecting) wake_at(parent.peer->connecting_since + kDialPatience);
    if (!is_hopeless(parent, stripe, now)) continue;
    UpLink* standby = standby_of(track, stripe, &parent, now.mono);
    if (standby == nullptr) standby = adopt_gateway(track, stripe, parent, now);
    if (standby != nullptr) promote(track, stripe, parent, *standby, now);
  }
}

UpLink* Relay::Impl::adopt_gateway(TrackState& track, StripeIndex stripe, const UpLink& parent,
                                   Now now) {
  const auto& mending = track.stripes[stripe.value()].mending;
  const StreamState& stream = *track.stream;
  if (!mending || stream.rescue.gateways.empty()) return nullptr;
  const TimePoint turn = mending->last_beat + kOrphanPatience +
                         rescue_turn(self_, ObjectId{stripe.value()}, stream.rescue.share_permille);
  if (now.mono < turn) {
    wake_at(turn);
    return nullptr;
  }
  UpLink* gateway = gateway_link(*track.stream, track, now);
  if (gateway == nullptr || gateway == &parent) return nullptr;
  return is_ready(*gateway, stripe, now.mono) ? gateway : nullptr;
}

void Relay::Impl::promote(TrackState& track, StripeIndex stripe, UpLink& from, UpLink& to,
                          Now now) {
  const StripeMask bit = to_mask(stripe);
  const bool is_alive = from.peer->up() && !from.peer->condemned && !from.peer->leaves_at;
  const LossReason reason = is_alive ? LossReason::silent : from.peer->last_loss;
  from.wanted &= ~bit;
  from.promoted &= ~bit;
  to.wanted |= bit;
  to.promoted |= bit;
  to.wanted_standby &= ~bit;
  to.former &= ~bit;
  to.reported &= ~bit;
  const bool is_trusted = reason != LossReason::tampered && reason != LossReason::go_away;
  if (is_trusted) {
    from.wanted_standby |= bit;
    from.former |= bit;
  }
  from.poor.clear();
  StripeState& state = track.stripes[stripe.value()];
  if (!state.mending && (from.confirmed & bit) != 0) {
    state.mending = Mending{from.peer->id, reason, from.peer->cadence.last_beat()};
  }
  losses_.push_back({track.stream->descriptor.id, track.id, bit, from.peer->id, reason});
  ++counters.promotions;
  dirty_ = true;
  if ((to.confirmed & bit) != 0) note_whole(track, to, stripe, now);
}

/// The stripe's parent delivers, or has nothing that we lack.
void Relay::Impl::note_whole(TrackState& track, UpLink& link, StripeIndex stripe, Now now) {
  auto& mending = track.stripes[stripe.value()].mending;
  if (!mending || (link.wanted & to_mask(stripe)) == 0) return;
  StreamState& stream = *track.stream;
  const Duration gap = std::max(Duration::zero(), now.mono - mending->last_beat);
  ++counters.repairs;
  ++stream.repairs;
  stream.last_repair = LastRepair{mending->lost, link.peer->id, mending->reason, gap, now.mono};
  push(Repaired{stream.descriptor.id, track.id, to_mask(stripe), mending->lost, link.peer->id,
                mending->reason, gap});
  mending.reset();
}

/// A parent that is busy with other tracks gives no heads: when it confirmed and has sent nothing
/// of this stripe since, there was nothing to send.
void Relay::Impl::note_quiet(TrackState& track, UpLink& link, StripeIndex stripe, Now now) {
  const StripeState& state = track.stripes[stripe.value()];
  if (!state.mending || (link.confirmed & to_mask(stripe)) == 0 || link.peer->suspected) return;
  const TimePoint at = link.confirmed_at + kQuiet;
  if (now.mono < at) return wake_at(at);
  const auto missing = state.repair.first_missing(track.window);
  if (missing && *missing < state.repair.head_next()) return;
  note_whole(track, link, stripe, Now{link.confirmed_at, now.wall});
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
    link->avoid_until = now.mono + kPoorAvoided;
    lose(track, *link, bit, LossReason::silent);
    dirty_ = true;
  }
}

}  // namespace tayga::relay
