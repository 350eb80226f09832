#include "daemon/core/relay_impl.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace tayga::relay {
namespace {

constexpr Duration kRepairTick = 50ms;  ///< while something may be missing
constexpr Duration kLookSoon = 5ms;
constexpr Duration kHoleOpen = 60ms;  ///< at the first hop; each further one waits as long again
constexpr unsigned kHoleHopsMax = 4;
constexpr Duration kCatchUpStart = 150ms;  ///< until a new parent's first slices are here
constexpr Duration kCatchUpSpan = 3s;      ///< of a join; who needs longer is a slow parent
constexpr Duration kGiveUpMin = 1s;        ///< after its deadline a slice is of no use any more
constexpr Duration kRescueKept = 10s;      ///< a gateway's session after its last use
constexpr Duration kPressedSpan = 2s;

TimePoint to_mono(WallTime at, Now now) noexcept {
  return now.mono + (at - now.wall);
}

}  // namespace

/// Fetches by peer, sent when the whole track was looked at.
struct Relay::Impl::Asking {
  StreamState& stream;
  TrackState& track;
  Now now;
  std::map<UpLink*, Fetch> fetches;
  std::map<UpLink*, Fetch> rescues;
};

void Relay::Impl::add_fetch(Fetch& fetch, const TrackState& track, SliceSeq seq) {
  if (fetch.ranges.size() >= kFetchRangesMax) return;
  const SlicePtr* slice = track.window.find(seq);
  const std::uint32_t have = slice == nullptr ? 0 : (*slice)->have;
  ++counters.fetched_slices;
  if (have == 0 && !fetch.ranges.empty() && fetch.ranges.back().have == 0 &&
      fetch.ranges.back().last.next() == seq) {
    fetch.ranges.back().last = seq;
    return;
  }
  fetch.ranges.push_back({seq, seq, have});
}

/// Who else was to send the slice need not do it any more: what it has left is for others.
void Relay::Impl::note_have(const Source& source, SliceSeq seq, Now now) {
  TrackState& track = *source.track;
  for (const auto& link : track.links) {
    if (link.get() == source.link || !link->peer->up()) continue;
    const bool is_parent = (link->sent & to_mask(source.stripe)) != 0;
    const bool is_asked = now.mono < link->fetched_until && seq <= link->fetched_last;
    if ((!is_parent && !is_asked) || link->have.size() >= kFetchRangesMax) continue;
    link->have.push_back(seq);
    tell_have_at_ = std::min(tell_have_at_, now.mono + kHaveTogether);
    wake_at(Duty::repair, tell_have_at_);
  }
}

void Relay::Impl::tell_have() {
  tell_have_at_ = kNever;
  for (auto& [stream_id, stream] : streams_) {
    for (auto& [track_id, track] : stream->tracks) {
      for (const auto& link : track->links) {
        if (link->have.empty()) continue;
        Have told{stream_id, track_id, track->epoch.value_or(PublisherEpoch{0}), {}};
        for (const SliceSeq seq : link->have) told.ranges.push_back({seq, seq});
        link->have.clear();
        if (link->peer->up() && track->epoch) send(*link->peer, std::move(told));
      }
    }
  }
}

void Relay::Impl::send_fetch(UpLink& link, Fetch fetch, Now now) {
  link.fetched_until = now.mono + kFetchedAccepted;
  for (const SeqRange& range : fetch.ranges) {
    link.fetched_last = std::max(link.fetched_last, range.last);
  }
  wake_at(Duty::links, link.fetched_until);
  send(*link.peer, std::move(fetch));
}

void Relay::Impl::repair_tracks(Now now) {
  if (tell_have_at_ <= now.mono) {
    tell_have();
  } else if (tell_have_at_ != kNever) {
    wake_at(Duty::repair, tell_have_at_);
  }
  for (auto& [stream_id, stream] : streams_) {
    if (stream->publishing) continue;
    for (auto& [track_id, track] : stream->tracks) {
      if (track->links.empty() || !track->epoch) continue;
      // One timer looks at all tracks of which nothing is missing.
      const Duration early =
          track->repair_plan.next_timeout() ? Duration::zero() : Duration{kRepairTick / 2};
      if (!track->repair_at || *track->repair_at <= now.mono + early) {
        repair_track(*stream, *track, now);
      }
      wake_at(Duty::repair, *track->repair_at);
    }
  }
}

void Relay::Impl::repair_track(StreamState& stream, TrackState& track, Now now) {
  track.repair_at = now.mono + kRepairTick;
  const std::vector<MissingSlice> missing = missing_slices(stream, track, now);
  if (missing.empty() && track.repair_plan.is_idle()) return;
  std::size_t pressing = 0;
  for (const auto& link : track.links) {
    pressing += link->pressed_at && now.mono - *link->pressed_at < kPressedSpan ? 1U : 0U;
  }
  unsigned hops = 1;
  for (const StripeState& stripe : track.stripes) hops = std::max(hops, stripe.hops);
  RepairPlan::Case how;
  how.window = stream.descriptor.playout_window;
  how.patience = kHoleOpen * std::min(hops, kHoleHopsMax);
  // Several parents that all drop: our own downlink is full, and more of the same does not help.
  if (pressing > 1) how.patience = std::max<Duration>(how.patience, how.window / 2);
  how.may_speculate = duplicates_.may_speculate();
  how.may_hedge = pressing == 0 && how.may_speculate;
  Asking asking{stream, track, now, {}, {}};
  track.repair_plan.plan(missing, how, now.mono,
                         [&](const MissingSlice& slice, const RepairPlan::Ask& wanted) {
                           return ask(asking, slice, wanted);
                         });
  const auto send_all = [&](std::map<UpLink*, Fetch>& fetches) {
    for (const auto& link : track.links) {
      const auto fetch = fetches.find(link.get());
      if (fetch == fetches.end() || fetch->second.ranges.empty()) continue;
      send_fetch(*link, std::move(fetch->second), now);
    }
  };
  send_all(asking.fetches);
  send_all(asking.rescues);
  if (const auto next = track.repair_plan.next_timeout()) {
    track.repair_at = std::min(*track.repair_at, *next);
  }
}

std::vector<MissingSlice> Relay::Impl::missing_slices(StreamState& stream, TrackState& track,
                                                      Now now) {
  std::vector<MissingSlice> missing;
  const Duration give_up = std::max(stream.descriptor.playout_window, Duration{kGiveUpMin});
  std::vector<StripeRepair::Hole> holes;
  for (std::size_t i = 0; i < track.stripes.size(); ++i) {
    StripeRepair& repair = track.stripes[i].repair;
    holes.clear();
    repair.collect(track.window, now.mono, holes);
    for (const StripeRepair::Hole& hole : holes) {
      MissingSlice slice = describe(stream, track, hole, now);
      if (now.mono > slice.deadline + give_up) {
        // What only a head told of may come when the publisher goes on.
        if (hole.exists) repair.give_up(hole.seq);
      } else if (missing.size() < kMissingMax) {
        missing.push_back(slice);
      }
    }
  }
  if (missing.empty()) return missing;
  std::ranges::sort(missing, {}, &MissingSlice::seq);
  std::map<ObjectId, std::size_t> lacking;
  for (const MissingSlice& slice : missing) {
    if (slice.object) ++lacking[*slice.object];
  }
  for (MissingSlice& slice : missing) {
    if (!slice.object || lacking[*slice.object] > kHedgedSlicesMax) continue;
    const auto last = track.window.last_seq_of(*slice.object);
    const SlicePtr* tail = last ? track.window.find(*last) : nullptr;
    slice.closes_object = tail != nullptr && (*tail)->header.last;
  }
  return missing;
}

MissingSlice Relay::Impl::describe(const StreamState& stream, const TrackState& track,
                                   const StripeRepair::Hole& hole, Now now) const {
  MissingSlice slice;
  slice.seq = hole.seq;
  slice.exists = hole.exists;
  slice.passed = hole.passed;
  const StripeState& stripe = track.stripes[hole.seq.value() % track.stripes.size()];
  const auto& slices = track.window.slices();
  const auto above = track.window.lower_bound(hole.seq);
  WallTime published = now.wall;
  if (above != slices.end() && above->first == hole.seq) {
    published = above->second->header.publisher_time;
    slice.object = above->second->header.object;
    slice.touched = above->second->last_frame;
  } else if (above != slices.end()) {
    published = above->second->header.publisher_time;
    const bool inside = above->second->header.offset > 0 && !above->second->header.first;
    if (inside) slice.object = above->second->header.object;
  } else if (!slices.empty()) {
    published = std::prev(above)->second->header.publisher_time;
  }
  // A parent that falls behind bit by bit makes lateness usual: to a point.
  const Duration usual = std::min<Duration>(stripe.usual_lateness + stripe.lateness_jitter * 4,
                                            stream.descriptor.playout_window * 2 / 5);
  slice.expected = to_mono(published + usual + stream.descriptor.playout_window / 10, now);
  // What was published before the track was joined cannot be late by that.
  slice.deadline =
      to_mono(std::max(published, track.played_since) + stream.descriptor.playout_window, now);
  const bool has_turn = slice.object && track.origin_allowed != slice.object;
  if (has_turn && stream.rescue.share_permille != 0) {
    slice.origin_turn =
        rescue_turn(self_, *slice.object, stream.rescue.audience, stream.rescue.share_permille);
  }
  for (const auto& link : track.links) {
    const StripeMask bit = StripeMask{1} << (hole.seq.value() % track.stripes.size());
    if ((link->wanted & link->gap & bit) != 0) slice.held = true;
    // A new parent was asked for it, and sends one after the other.
    if ((link->wanted & link->sent & bit) == 0) continue;
    slice.touched = std::max(slice.touched, link->subscribed_at + kCatchUpStart);
    if (hole.passed) continue;
    slice.progress = stripe.progress_at;
    if (const auto coming = stripe.forecast.expect(published)) slice.coming = *coming;
    if (now.mono < link->subscribed_at + kCatchUpSpan) {
      slice.touched = std::max(slice.touched, stripe.progress_at + kCatchUpPause);
    } else if ((link->confirmed & bit) != 0) {
      slice.flowing = stripe.progress_at;
    }
  }
  return slice;
}

bool Relay::Impl::ask(Asking& asking, const MissingSlice& slice, const RepairPlan::Ask& wanted) {
  TrackState& track = asking.track;
  const Now now = asking.now;
  const StripeIndex stripe{static_cast<std::uint8_t>(slice.seq.value() % track.stripes.size())};
  UpLink* source = nullptr;
  switch (wanted.stage) {
    case RepairStage::standby:
      source = repair_source(track, stripe, now);
      break;
    case RepairStage::parents:
      gateway_link(asking.stream, track, now);  // handshaken when it is needed
      source = other_source(track, stripe, now);
      break;
    case RepairStage::gateway:
      source = gateway_link(asking.stream, track, now);
      if (source != nullptr && !is_ready(*source, stripe, now.mono)) source = nullptr;
      // It was asked as a peer: the same question again brings the same bytes again.
      if (source == repair_source(track, stripe, now)) source = nullptr;
      break;
    case RepairStage::origin:
      return ask_origin(asking.stream, track, slice);
  }
  if (source == nullptr) return false;
  const bool is_rescue = wanted.stage == RepairStage::gateway;
  auto& fetches = is_rescue ? asking.rescues : asking.fetches;
  auto [fetch, is_new] = fetches.try_emplace(source);
  if (is_new) {
    fetch->second = Fetch{.stream = asking.stream.descriptor.id,
                          .track = track.id,
                          .epoch = *track.epoch,
                          .ranges = {},
                          .rescue = is_rescue};
  }
  add_fetch(fetch->second, track, slice.seq);
  if (wanted.hedge) ++counters.hedged_slices;
  return true;
}

/// The standby, or for want of one the parent itself: it may have dropped the slice for us.
UpLink* Relay::Impl::repair_source(TrackState& track, StripeIndex stripe, Now now) {
  const StripeMask bit = to_mask(stripe);
  UpLink* parent = nullptr;
  for (const auto& link : track.links) {
    if ((link->wanted & bit) != 0) parent = link.get();
  }
  if (UpLink* standby = standby_of(track, stripe, parent, now.mono)) return standby;
  if (parent == nullptr || !is_ready(*parent, stripe, now.mono)) return nullptr;
  return parent;
}

/// Any other peer that we hear of this track from: it has what it relays or plays.
UpLink* Relay::Impl::other_source(TrackState& track, StripeIndex stripe, Now now) {
  const UpLink* asked = repair_source(track, stripe, now);
  const std::size_t count = track.links.size();
  for (std::size_t i = 0; i < count; ++i) {
    UpLink& link = track.links[(stripe.value() + i) % count];
    const Peer& peer = *link.peer;
    if (&link == asked || !peer.up() || peer.suspected || now.mono < peer.blocked_until) continue;
    if ((link.confirmed | link.confirmed_standby) == 0 || link.wanted_rescue != 0) continue;
    return &link;
  }
  return nullptr;
}

/// A link to a gateway, subscribed as a standby is; nullptr when there is no gateway to ask.
UpLink* Relay::Impl::gateway_link(StreamState& stream, TrackState& track, Now now) {
  if (stream.rescue.gateways.empty() || stream.rescue.share_permille == 0 || draining_) {
    return nullptr;
  }
  const std::size_t turn = std::to_integer<std::size_t>(self_.bytes[0]);
  const NodeId& id = stream.rescue.gateways[turn % stream.rescue.gateways.size()];
  Peer& peer = peer_of(id);
  if (now.mono < peer.blocked_until) return nullptr;
  UpLink* link = find_link(track, peer);
  if (link == nullptr) link = &track.links.add(peer);
  if (link->wanted_rescue == 0) {
    link->wanted_rescue = all_stripes(track);
    dirty_ = true;
  }
  link->rescue_until = now.mono + kRescueKept;
  return link;
}

void Relay::Impl::on_fetch_refused(Peer& from, const FetchRefused& message, Now now) {
  TrackState* track = find_track(message.stream, message.track);
  if (track == nullptr || !track->epoch || *track->epoch != message.epoch) return;
  const auto& gateways = track->stream->rescue.gateways;
  const bool is_gateway = std::ranges::find(gateways, from.id) != gateways.end();
  if (!is_gateway || !message.origin) return;
  const SlicePtr* slice = track->window.find(message.first);
  if (slice == nullptr) return;
  track->origin_allowed = (*slice)->header.object;
  look_soon(*track, now);
}

void Relay::Impl::on_dropped(Peer& from, const Dropped& message, Now now) {
  TrackState* track = find_track(message.stream, message.track);
  UpLink* link = track == nullptr ? nullptr : find_link(*track, from);
  if (link == nullptr || !track->epoch || *track->epoch != message.epoch) return;
  heard(from, now);
  link->pressed_at = now.mono;
  for (const SeqRange& range : message.ranges) {
    if (range.last < range.first) continue;
    track->repair_plan.on_dropped(range.first, range.last);
  }
  look_soon(*track, now);
}

/// Not at once: a peer that says much must not cost a round of repair for each word.
void Relay::Impl::look_soon(TrackState& track, Now now) {
  const TimePoint at = now.mono + kLookSoon;
  if (!track.repair_at || at < *track.repair_at) track.repair_at = at;
  wake_at(Duty::repair, *track.repair_at);
}

}  // namespace tayga::relay
