#include "daemon/core/relay_impl.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

namespace tayga::relay {
namespace {

constexpr std::size_t kDroppedRangesMax = 64;

}  // namespace

void Relay::Impl::on_control(Control control, Now now) {
  switch (control) {
    case Control::connected:
      return grace_.on_connected(now.mono);
    case Control::away:
      return grace_.on_away();
  }
}

/// Nothing can be given: who feeds us stays as a peer and is refused, the others are asked to go.
void Relay::Impl::on_serving(Serving serving, Duration grace, Now now) {
  serving_ = serving == Serving::open;
  if (serving_) return;
  for (Peer* peer : std::vector<Peer*>{children_}) {
    if (!peer->up()) continue;
    StripeMask feeds_us = 0;
    for_each_link(*peer, [&](const StreamState&, const TrackState&, const UpLink& link) {
      feeds_us |= link.wanted | link.wanted_standby | link.sent;
    });
    if (feeds_us == 0) {
      send(*peer, GoAway{GoAwayReason::paused, grace});
    } else {
      end_all_service(*peer, RefuseReason::draining);
    }
  }
  wake_at(Duty::children, now.mono + limits_.head_interval);
}

void Relay::Impl::end_all_service(Peer& child, RefuseReason reason) {
  while (!child.feed.subscriptions().empty()) {
    ChildSubscription& ended = *child.feed.subscriptions().back();
    const TrackState& track = *ended.track;
    const StripeMask stripes = ended.all();
    end_service(child, ended, stripes);
    ++counters.subscriptions_refused;
    send(child, SubscribeRefused{track.stream->descriptor.id, track.id, stripes, reason,
                                 kRefusedRetryAfter});
  }
}

/// Who only stands by gives way to a child that wants media now. False: nobody does.
bool Relay::Impl::make_room(SubscribeMode mode) {
  if (mode == SubscribeMode::standby) return false;
  for (Peer* peer : children_) {
    const auto& subscriptions = peer->feed.subscriptions();
    const bool stands_by = std::ranges::all_of(
        subscriptions, [](const auto& subscription) { return subscription->active == 0; });
    if (!stands_by) continue;
    end_all_service(*peer, RefuseReason::no_capacity);
    return true;
  }
  return false;
}

/// Tells a child what its full queue lost: it need not wait to find out.
void Relay::Impl::tell_drops(Peer& child, Now now) {
  if (!child.feed.take_has_dropped()) return;
  for (const auto& subscription : child.feed.subscriptions()) {
    if (subscription->dropped_slices.empty()) continue;
    const std::vector<SliceSeq> lost = child.feed.take_dropped(*subscription);
    const TrackState& track = *subscription->track;
    if (lost.empty() || !track.epoch) continue;
    Dropped told{
        track.stream->descriptor.id, track.id, *track.epoch, {}, child.feed.queued_age(now.mono)};
    for (const SliceSeq seq : lost) {
      if (told.ranges.size() >= kDroppedRangesMax) break;
      told.ranges.push_back({seq, seq});
    }
    send(child, std::move(told));
  }
}

void Relay::Impl::serve_children(Now now) {
  const std::int64_t over_ms = to_unix_ms(now.wall - grace_.at(now.mono));
  for (std::size_t i = 0; i < children_.size();) {
    Peer* const peer = children_[i];
    if (peer->service_checked_ms < over_ms) expire_allocations(*peer, over_ms);
    if (peer->feed.subscriptions().empty()) continue;  // it left its place to the next one
    ++i;
    peer->feed.enforce(now.mono);
    count_dropped(*peer);
    tell_drops(*peer, now);
    const Duration interval = peer->is_active ? limits_.head_interval : limits_.standby_interval;
    if (now.mono + kTogether >= peer->last_pull + interval) send_head(*peer, now);
    wake_at(Duty::children, peer->last_pull + interval);
  }
}

/// Ends what was to be served until before `over_ms`.
void Relay::Impl::expire_allocations(Peer& child, std::int64_t over_ms) {
  child.service_checked_ms = std::numeric_limits<std::int64_t>::max();
  for (std::size_t s = child.feed.subscriptions().size(); s > 0; --s) {
    ChildSubscription& subscription = *child.feed.subscriptions()[s - 1];
    StripeMask over = 0;
    std::int64_t next_ms = std::numeric_limits<std::int64_t>::max();
    for (std::size_t i = 0; i < subscription.stripes.size(); ++i) {
      const StripeMask bit = StripeMask{1} << i;
      if ((subscription.all() & bit) == 0) continue;
      const std::int64_t until_ms = subscription.stripes[i].service_until_ms;
      if (until_ms < over_ms) {
        over |= bit;
      } else {
        next_ms = std::min(next_ms, until_ms);
      }
    }
    child.service_checked_ms = std::min(child.service_checked_ms, next_ms);
    if (over == 0) continue;
    const TrackState& track = *subscription.track;
    send(child, SubscribeRefused{track.stream->descriptor.id, track.id, over,
                                 RefuseReason::expired_allocation, Duration::zero()});
    end_service(child, subscription, over);
  }
}

void Relay::Impl::send_head(Peer& child, Now now) {
  Head head;
  for (const auto& subscription : child.feed.subscriptions()) {
    const TrackState& track = *subscription->track;
    if (!track.epoch) continue;
    TrackHead& told = head.tracks.emplace_back();
    told.stream_tag = track.stream->tag;
    told.track = track.id;
    told.epoch = *track.epoch;
    for (StripeMask rest = subscription->all(); rest != 0; rest &= rest - 1) {
      const StripeIndex stripe{static_cast<std::uint8_t>(std::countr_zero(rest))};
      const StripeState& state = track.stripes[stripe.value()];
      const unsigned hops = track.stream->publishing ? 0 : state.hops;
      told.stripes.push_back({stripe, state.repair.next_seq(), hops});
    }
  }
  child.last_pull = now.mono;
  send(child, std::move(head));
}

}  // namespace tayga::relay
