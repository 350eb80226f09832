#include "common/base/overloaded.hpp"
#include "daemon/core/relay_impl.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace tayga::relay {
namespace {

constexpr std::size_t kHeldSubscribesMax = 256;
constexpr std::size_t kHeldPerPeerMax = 16;
constexpr std::uint64_t kFetchRangeMax = 256;  ///< slices in one range
constexpr std::size_t kFetchSlicesMax = 256;   ///< sent again for one message
constexpr Duration kClosedRetryAfter = 5s;

StripeMask stripes_of(std::size_t stripe_count) noexcept {
  return stripe_count >= 32 ? ~StripeMask{0} : (StripeMask{1} << stripe_count) - 1;
}

}  // namespace

void Relay::Impl::on_message(const NodeId& from, const PeerMessage& message, Now now) {
  Peer* peer = find_peer(from);
  if (peer == nullptr || !peer->up()) return;
  take_message(*peer, message, now);
  settle(now);
}

void Relay::Impl::take_message(Peer& peer, const PeerMessage& message, Now now) {
  const auto asked = [&](auto&& handle) {
    if (peer.requests.take(now.mono)) return handle();
    disconnect(peer, "asks too much", LossReason::closed, now);
  };
  std::visit(
      Overloaded{
          [](const Hello&) {},  // the shell compared networks before it told us of the peer
          [&](const Subscribe& m) { asked([&] { on_subscribe(peer, m, now); }); },
          [&](const SubscribeOk& m) { asked([&] { on_subscribe_ok(peer, m, now); }); },
          [&](const SubscribeRefused& m) { asked([&] { on_subscribe_refused(peer, m, now); }); },
          [&](const Unsubscribe& m) { asked([&] { on_unsubscribe(peer, m); }); },
          [&](const Head& m) { on_head(peer, m, now); },
          [&](const Fetch& m) { on_fetch(peer, m, now); },
          [&](const PeerReceipt& m) { on_receipt(peer, m, now); },
          [&](const UpstreamGap& m) { asked([&] { on_upstream_gap(peer, m, now); }); },
          [&](const GoAway& m) { on_go_away(peer, m, now); },
          [&](const Ping& m) { send(peer, Pong{m.nonce}); },
          [](const Pong&) {},
          [&](const FetchRefused& m) { asked([&] { on_fetch_refused(peer, m, now); }); },
          [&](const Dropped& m) { asked([&] { on_dropped(peer, m, now); }); },
          [&](const Have& m) { on_have(peer, m, now); },
      },
      message);
}

// --- admission

void Relay::Impl::on_subscribe(Peer& from, const Subscribe& message, Now now) {
  if (draining_) return refuse(from, message, RefuseReason::draining, Duration::zero());
  if (!serving_) return refuse(from, message, RefuseReason::no_capacity, kClosedRetryAfter);
  if (judge_subscribe(from, message, now) != Judged::done) hold(from, message, now);
}

/// Whether every one of the stripes comes here, or is made here.
bool Relay::Impl::carries(const StreamState& stream, TrackId track_id, StripeMask stripes) const {
  const auto found = stream.tracks.find(track_id);
  if (found == stream.tracks.end()) return false;
  if (stream.publishing) return true;
  StripeMask wanted = 0;
  for (const auto& link : found->second->links) wanted |= link->wanted;
  return (stripes & ~wanted) == 0;
}

Relay::Impl::Judged Relay::Impl::judge_subscribe(Peer& from, const Subscribe& message, Now now) {
  StreamState* stream = find_stream(message.stream);
  if (stream == nullptr || !stream->known || !network_ || keys_.empty()) return Judged::hold;
  if (message.stripes == 0 ||
      (message.stripes & ~stripes_of(stream->descriptor.stripe_count)) != 0) {
    refuse(from, message, RefuseReason::bad_allocation, Duration::zero());
    return Judged::done;
  }
  if (!carries(*stream, message.track, message.stripes)) return Judged::hold;
  TrackState& track = *stream->tracks.at(message.track);

  const AdmissionCase wanted{
      *network_,          self_, from.id, stream->descriptor.handles, message.stripes, now.wall,
      grace_.at(now.mono)};
  const AdmissionResult judged = judge_allocation(message.allocation, wanted, keys_);
  switch (judged.verdict) {
    case Admission::hold:
      return Judged::hold_allocation;
    case Admission::bad_allocation:
      refuse(from, message, RefuseReason::bad_allocation, Duration::zero());
      return Judged::done;
    case Admission::expired_allocation:
      refuse(from, message, RefuseReason::expired_allocation, Duration::zero());
      return Judged::done;
    case Admission::admit:
      break;
  }
  // Two nodes that feed each other the same stripe starve: it waits until we have another parent.
  const UpLink* back = find_link(track, from);
  const StripeMask mutual = back == nullptr ? 0 : back->wanted & back->sent & message.stripes;
  if (mutual != 0 && message.mode == SubscribeMode::active) return Judged::hold;
  const bool is_new = from.feed.subscriptions().empty();
  if (is_new && children_.size() >= limits_.children_max && !make_room(message.mode)) {
    refuse(from, message, RefuseReason::no_capacity, Duration::zero());
    return Judged::done;
  }
  admit(from, track, message, judged.allocation, now);
  return Judged::done;
}

void Relay::Impl::admit(Peer& child, TrackState& track, const Subscribe& message,
                        const wire::Allocation& allocation, Now now) {
  book.on_allocation(allocation, message.allocation);
  ChildSubscription* subscription = child.feed.find(track);
  if (subscription == nullptr) {
    subscription = &child.feed.add(track, *track.stream, track.stripes.size());
    update_child(child);
  }
  // A child whose clock is behind may have presented it past its end.
  const std::int64_t skew_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(media::kAllocationSkewMax).count();
  const std::int64_t until =
      std::clamp(to_unix_ms(now.wall), allocation.not_after_ms, allocation.not_after_ms + skew_ms);
  // Before our first slice the child's word stands: it names a sequence of what we are to get.
  const bool same_epoch = track.epoch.value_or(message.epoch) == message.epoch;
  const StripeMask fresh = message.stripes & ~subscription->active;
  for (std::size_t i = 0; i < track.stripes.size(); ++i) {
    const StripeIndex stripe{static_cast<std::uint8_t>(i)};
    if ((message.stripes & to_mask(stripe)) == 0) continue;
    auto& until_ms = subscription->stripes[i].service_until_ms;
    until_ms = std::max(until_ms, until);
    child.service_checked_ms = std::min(child.service_checked_ms, until_ms);
    if (message.mode == SubscribeMode::standby || (fresh & to_mask(stripe)) == 0) continue;
    std::optional<SliceSeq> start;
    subscription->stripes[i].asked_epoch = PublisherEpoch{0};
    for (const StripeStart& wanted : message.starts) {
      if (wanted.stripe != stripe) continue;
      subscription->stripes[i].asked_from = wanted.next_seq;
      subscription->stripes[i].asked_epoch = message.epoch;
      if (same_epoch) start = wanted.next_seq;
    }
    child.feed.catch_up(*subscription, stripe, track.window, start, next_arrival_, now.mono);
  }
  if (message.mode == SubscribeMode::active) {
    subscription->active |= message.stripes;
    subscription->standby &= ~message.stripes;
  } else {
    subscription->standby |= message.stripes & ~subscription->active;
  }
  update_fan(child, track);
  child.last_pull = now.mono;
  wake_at(Duty::children, now.mono + limits_.head_interval);
  send(child, SubscribeOk{message.stream, message.track, message.stripes});
  const StripeMask starving = track.starving & subscription->all();
  if (starving != 0) send(child, UpstreamGap{message.stream, message.track, starving});
  if (fresh != 0 && message.mode == SubscribeMode::active && child.feed.mark_ready()) {
    push(MediaReady{child.id});
  }
}

void Relay::Impl::hold(const Peer& from, const Subscribe& message, Now now) {
  // A repeated request replaces the one that waits, so that asking often takes no room.
  std::size_t of_peer = 0;
  for (HeldSubscribe& held : held_) {
    if (held.from != from.id) continue;
    ++of_peer;
    const Subscribe& other = held.message;
    if (other.stream != message.stream || other.track != message.track ||
        other.stripes != message.stripes) {
      continue;
    }
    held.message = message;
    return;
  }
  if (of_peer >= kHeldPerPeerMax || held_.size() >= kHeldSubscribesMax) {
    return refuse(from, message, RefuseReason::unknown_stream, kRefusedRetryAfter);
  }
  held_.push_back(HeldSubscribe{from.id, message, now.mono + limits_.pending_subscribe_max});
  wake_at(Duty::links, now.mono + limits_.head_interval);
}

void Relay::Impl::retry_held(Now now) {
  std::vector<HeldSubscribe> waiting = std::exchange(held_, {});
  for (HeldSubscribe& held : waiting) {
    Peer* peer = find_peer(held.from);
    if (peer == nullptr || !peer->up()) continue;
    const Judged judged = judge_subscribe(*peer, held.message, now);
    if (judged == Judged::done) continue;
    if (now.mono < held.deadline) {
      wake_at(Duty::links, now.mono + limits_.head_interval);
      held_.push_back(std::move(held));
      continue;
    }
    const auto reason =
        judged == Judged::hold ? RefuseReason::unknown_stream : RefuseReason::bad_allocation;
    refuse(*peer, held.message, reason, kRefusedRetryAfter);
  }
}

void Relay::Impl::refuse(const Peer& peer, const Subscribe& message, RefuseReason reason,
                         Duration retry_after) {
  ++counters.subscriptions_refused;
  send(peer, SubscribeRefused{message.stream, message.track, message.stripes, reason, retry_after});
}

// --- the end of a subscription

void Relay::Impl::on_unsubscribe(Peer& from, const Unsubscribe& message) {
  std::erase_if(held_, [&](const HeldSubscribe& held) {
    return held.from == from.id && held.message.stream == message.stream &&
           held.message.track == message.track && (held.message.stripes & ~message.stripes) == 0;
  });
  TrackState* track = find_track(message.stream, message.track);
  if (track == nullptr) return;
  ChildSubscription* subscription = from.feed.find(*track);
  if (subscription != nullptr) end_service(from, *subscription, message.stripes);
}

void Relay::Impl::end_service(Peer& child, ChildSubscription& subscription, StripeMask stripes) {
  TrackState& track = *subscription.track;
  child.feed.remove(subscription, stripes);
  update_child(child);
  update_fan(child, track);
}

/// After its first subscription came or its last one went.
void Relay::Impl::update_child(Peer& peer) {
  const auto at = std::ranges::lower_bound(children_, peer.id, {}, &Peer::id);
  const bool is_known = at != children_.end() && *at == &peer;
  if (is_known == !peer.feed.subscriptions().empty()) return;
  if (is_known) {
    children_.erase(at);
  } else {
    children_.insert(at, &peer);
  }
}

void Relay::Impl::update_fan(Peer& child, TrackState& track) {
  child.is_active = std::ranges::any_of(child.feed.subscriptions(), [](const auto& subscription) {
    return subscription->active != 0;
  });
  std::erase_if(track.fans, [&](const Fan& fan) { return fan.peer == &child; });
  ChildSubscription* subscription = child.feed.find(track);
  if (subscription == nullptr || subscription->active == 0) return;
  track.fans.push_back(Fan{subscription->active, &child, subscription});
}

void Relay::Impl::drop_children(TrackState& track, RefuseReason reason) {
  for (Peer* peer : std::vector<Peer*>{children_}) {
    ChildSubscription* subscription = peer->feed.find(track);
    if (subscription == nullptr) continue;
    const StripeMask stripes = subscription->all();
    end_service(*peer, *subscription, stripes);
    send(*peer, SubscribeRefused{track.stream->descriptor.id, track.id, stripes, reason,
                                 kRefusedRetryAfter});
  }
}

void Relay::Impl::drop_child(Peer& child) {
  while (!child.feed.subscriptions().empty()) {
    ChildSubscription& subscription = *child.feed.subscriptions().back();
    end_service(child, subscription, subscription.all());
  }
  std::erase_if(held_, [&](const HeldSubscribe& held) { return held.from == child.id; });
  count_dropped(child);
}

void Relay::Impl::count_dropped(Peer& child) {
  counters.dropped_bytes += child.feed.dropped_bytes() - child.dropped_counted;
  child.dropped_counted = child.feed.dropped_bytes();
}

// --- what children get

std::optional<MediaFrame> Relay::Impl::next_media(const NodeId& child, Now now) {
  Peer* peer = find_peer(child);
  if (peer == nullptr) return std::nullopt;
  auto next = peer->feed.next(now.mono);
  count_dropped(*peer);
  if (!next) return std::nullopt;
  peer->last_pull = now.mono;
  counters.media_bytes_out += next->frame->size();
  return MediaFrame{next->subscription->stream->tag, next->subscription->track->id,
                    std::move(next->frame)};
}

void Relay::Impl::on_fetch(Peer& from, const Fetch& message, Now now) {
  if (!from.fetches.take(now.mono)) return;  // it goes without: a fetch is a favour
  if (message.ranges.size() > kFetchRangesMax) {
    return disconnect(from, "fetches too many ranges", LossReason::closed, now);
  }
  TrackState* track = find_track(message.stream, message.track);
  if (track == nullptr || !track->epoch || *track->epoch != message.epoch) return;
  ChildSubscription* subscription = from.feed.find(*track);
  if (subscription == nullptr) return;
  std::optional<ObjectId> refused;
  const auto& slices = track->window.slices();
  std::vector<std::pair<SlicePtr, FrameMask>> wanted;
  for (const SeqRange& range : message.ranges) {
    if (range.last < range.first || range.last.value() - range.first.value() >= kFetchRangeMax) {
      return disconnect(from, "fetches a range that is none", LossReason::closed, now);
    }
    for (auto it = slices.lower_bound(range.first); it != slices.end() && it->first <= range.last;
         ++it) {
      if (!it->second->complete() || wanted.size() == kFetchSlicesMax) continue;
      const auto& same = &std::pair<SlicePtr, FrameMask>::first;
      if (std::ranges::find(wanted, it->second, same) != wanted.end()) continue;
      if (refused == it->second->header.object) continue;
      if (message.rescue && !admit_rescue(from, *track, *it->second, now)) {
        refused = it->second->header.object;
        continue;
      }
      wanted.emplace_back(it->second, range.first == range.last ? range.have : 0);
    }
  }
  // Each goes before what waits in its turn, so the first one asked for is queued last.
  std::size_t sent = 0;
  for (auto it = wanted.rbegin(); it != wanted.rend(); ++it) {
    if (from.feed.resend(*subscription, it->first, it->second, now.mono)) ++sent;
  }
  if (sent == 0) return;
  from.feed.enforce(now.mono);
  count_dropped(from);
  if (from.feed.mark_ready()) push(MediaReady{from.id});
}

void Relay::Impl::on_have(Peer& from, const Have& message, Now now) {
  if (!from.haves.take(now.mono)) return;  // then some of it comes twice
  if (message.ranges.size() > kFetchRangesMax) {
    return disconnect(from, "names too many ranges", LossReason::closed, now);
  }
  TrackState* track = find_track(message.stream, message.track);
  if (track == nullptr || track->epoch != message.epoch) return;
  if (ChildSubscription* child = from.feed.find(*track)) from.feed.skip(*child, message.ranges);
}

/// A gateway helps a share of its audience at once with one object, and sends as many on to the
/// origin when there is one. The others may ask again.
bool Relay::Impl::admit_rescue(Peer& from, TrackState& track, const CachedSlice& slice, Now now) {
  StreamState& stream = *track.stream;
  if (!stream.publishing) return true;
  const std::size_t limit = rescue_limit(stream.rescue.audience, stream.rescue.share_permille);
  const RescueGate::Key object{track.id, slice.header.object};
  if (stream.gate.admit(object, from.id, limit, now.mono)) return true;
  FetchRefused refused{stream.descriptor.id, track.id,    slice.header.epoch,
                       slice.header.seq,     kRescueHold, false};
  refused.origin = !stream.descriptor.origin_url.empty() &&
                   stream.origin_gate.admit(object, from.id, limit, now.mono);
  ++counters.rescues_refused;
  send(from, refused);
  return false;
}

void Relay::Impl::on_receipt(Peer& from, const PeerReceipt& message, Now now) {
  const auto taken = book.on_receipt(from.id, message.blob, now);
  // Under an allocation that is long over a receipt may still be under way: not a crime, not
  // counted.
  static_cast<void>(taken);
}

}  // namespace tayga::relay
