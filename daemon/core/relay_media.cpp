#include "common/media/slice.hpp"
#include "common/wire/frame.hpp"
#include "common/wire/shared_frame.hpp"
#include "daemon/core/relay_impl.hpp"

#include <algorithm>
#include <utility>

namespace tayga::relay {
namespace {

/// How far above the newest slice a header may lie: an hour of a busy track.
constexpr std::uint64_t kSeqJumpMax = 1 << 20;
constexpr Duration kTamperBlock = 60s;
constexpr Duration kPoorPause = 500ms;  ///< longer than a loss that is sent again, a few times
/// Slices looked at behind an object that has no last one, to tell loss from a publisher's abort.
constexpr std::size_t kTailSpan = 64;

StripeIndex to_stripe(SliceSeq seq, const TrackState& track) {
  return StripeIndex{static_cast<std::uint8_t>(seq.value() % track.stripes.size())};
}

}  // namespace

// --- slices from parents

void Relay::Impl::on_media(const NodeId& from, wire::FrameType type, ByteView payload, Now now) {
  Peer* peer = find_peer(from);
  if (peer == nullptr || !peer->up()) return;
  take_media(*peer, type, payload, now);
  settle(now);
}

void Relay::Impl::take_media(Peer& peer, wire::FrameType type, ByteView payload, Now now) {
  switch (type) {
    case wire::FrameType::slice_header:
      return on_slice_header(peer, payload, now);
    case wire::FrameType::chunk:
      return on_chunk(peer, payload, now);
    case wire::FrameType::control:
      return;  // the shell decodes these and calls on_message
  }
}

/// Frames that nobody asked for are normal for a moment (an unsubscribe under way, an older
/// publisher epoch): they cost a token, and who runs out of them is no peer.
void Relay::Impl::charge(Peer& peer, Now now) {
  if (!peer.unannounced.take(now.mono)) {
    disconnect(peer, "sends media that was not asked for", LossReason::closed, now);
  }
}

/// A parent gives all that it has in this order: what is below came already, or was dropped. Not
/// so what was asked for, nor while the one before it still owes what is below.
void Relay::Impl::note_turn(const Source& source, const CachedSlice& slice) {
  TrackState& track = *source.track;
  StripeState& stripe = track.stripes[source.stripe.value()];
  if ((source.link->sent & to_mask(source.stripe)) == 0 || stripe.handover) return;
  if (track.repair_plan.was_asked(slice.header.seq)) return;
  stripe.repair.on_turn(slice.header.seq, slice.header.priority);
}

std::optional<Relay::Impl::Source> Relay::Impl::find_source(Peer& from, StreamState* stream,
                                                            TrackId track_id, SliceSeq seq,
                                                            Now now) {
  if (stream != nullptr && from.blocked_until <= now.mono) {
    const auto found = stream->tracks.find(track_id);
    if (found != stream->tracks.end()) {
      TrackState& track = *found->second;
      const StripeIndex stripe = to_stripe(seq, track);
      UpLink* link = find_link(track, from);
      if (link != nullptr && (link->accepted(now.mono) & to_mask(stripe)) != 0) {
        heard(from, now);
        return Source{&from, &track, link, stripe};
      }
    }
  }
  charge(from, now);
  return std::nullopt;
}

void Relay::Impl::on_slice_header(Peer& from, ByteView payload, Now now) {
  auto parsed = media::parse_slice_header(payload);
  if (!parsed) {
    return disconnect(from, "malformed slice header: " + parsed.error().message(),
                      LossReason::reset, now);
  }
  media::SliceHeader& header = *parsed;
  const auto source = find_source(from, find_stream(header.stream), header.track, header.seq, now);
  if (!source) return;
  if (!is_wanted(*source, header, payload, now)) {
    const SlicePtr* known = source->track->window.find(header.seq);
    if (known != nullptr && source->track->epoch == header.epoch) note_turn(*source, **known);
    return;
  }
  if (!media::verify_slice_header(payload, header.stream)) {
    ++counters.headers_bad;
    return on_tampered(*source, nullptr, {}, now);
  }
  ++counters.headers_verified;

  TrackState& track = *source->track;
  if (!track.epoch || *track.epoch < header.epoch) start_epoch(track, header.epoch, now);
  StripeState& stripe = track.stripes[source->stripe.value()];
  note_lateness(stripe, *source, now.wall - header.publisher_time);
  stripe.repair.on_header(header.seq, header.kind, now.mono);
  SharedBytes frame = wire::serialize_shared_frame(wire::FrameType::slice_header, payload);
  const SlicePtr slice = insert_slice(track, std::move(header), std::move(frame), now);
  slice->add_announcer(from.session);
  note_turn(*source, *slice);
  if (cache_.over_bytes()) evict(now);
}

bool Relay::Impl::is_wanted(const Source& source, const media::SliceHeader& header,
                            ByteView payload, Now now) {
  const TrackState& track = *source.track;
  if (!track.epoch || *track.epoch < header.epoch) return true;
  if (header.epoch < *track.epoch) return false;
  if (const SlicePtr* known = track.window.find(header.seq)) {
    CachedSlice& slice = **known;
    const ByteView held = ByteView{*slice.frames[0]}.subspan(wire::kFrameHeaderSize);
    if (std::ranges::equal(held, payload)) {
      slice.add_announcer(source.peer->session);
    } else if (!media::verify_slice_header(payload, header.stream)) {
      ++counters.headers_bad;
      on_tampered(source, nullptr, {}, now);
    }  // else the publisher signed two versions: the first one counts, the sender is not to blame
    return false;
  }
  if (header.seq < track.window.floor() && !is_sticky_kind(header.kind)) return false;
  const auto head = track.window.head();
  if (head && header.seq.value() > head->value() + kSeqJumpMax) {
    charge(*source.peer, now);
    return false;
  }
  return true;
}

void Relay::Impl::on_chunk(Peer& from, ByteView payload, Now now) {
  const auto parsed = wire::parse_chunk(payload);
  if (!parsed) {
    return disconnect(from, "malformed chunk: " + parsed.error().message(), LossReason::reset, now);
  }
  const wire::ChunkView& chunk = *parsed;
  const auto tagged = tags_.find(chunk.stream_tag);
  StreamState* stream = tagged == tags_.end() ? nullptr : tagged->second;
  const auto source = find_source(from, stream, chunk.track, chunk.slice_seq, now);
  if (!source) {
    ++counters.chunks_unannounced;
    return;
  }
  TrackState& track = *source->track;
  const SlicePtr* found = track.window.find(chunk.slice_seq);
  if (found == nullptr) {
    ++counters.chunks_unannounced;
    return charge(from, now);
  }
  const SlicePtr slice = *found;
  const bool in_range = chunk.index < slice->header.chunk_count();
  if (in_range && (slice->have & chunk_bit(chunk.index)) != 0) {
    ++counters.chunks_duplicate;
    counters.duplicate_bytes += chunk.bytes.size();
    duplicates_.on_duplicate(chunk.bytes.size());
    if ((source->link->wanted & to_mask(source->stripe)) != 0) {
      note_progress(track.stripes[source->stripe.value()], *slice, now);
    }
    return;
  }
  if (!in_range || !media::verify_chunk(slice->header, chunk.index, chunk.bytes)) {
    if (slice->announced_by(from.session)) {
      ++counters.chunks_bad;
      return on_tampered(*source, slice.get(), payload, now);
    }
    // It may be of an older publisher epoch: not stored, not forwarded, but no evidence either.
    ++counters.chunks_unannounced;
    return charge(from, now);
  }
  ++counters.chunks_verified;
  counters.payload_bytes_in += chunk.bytes.size();
  duplicates_.on_new(chunk.bytes.size());
  count_delivery(*source, *slice, chunk.bytes.size(), now);
  note_source(*source, *slice, chunk.bytes.size(), now);
  add_frame(track, slice, std::size_t{chunk.index} + 1, wire::serialize_chunk_frame(chunk), now);
  if (slice->complete()) note_complete(*source, slice->header.seq, now);
  if (cache_.over_bytes()) evict(now);
}

/// The parent, or for a moment another one, brings the stripe on.
void Relay::Impl::note_source(const Source& source, const CachedSlice& slice, std::size_t size,
                              Now now) {
  UpLink& link = *source.link;
  const StripeMask bit = to_mask(source.stripe);
  if ((link.sent & bit) == 0 && link.wanted_rescue != 0) {
    counters.gateway_bytes += size;
    source.track->stream->gateway_bytes += size;
  }
  if ((link.sent & bit) != 0) link.brought_at = now.mono;
  const bool has_starved = (link.gap & bit) != 0;
  link.gap &= ~bit;
  if ((link.wanted & bit) == 0) return;
  if (has_starved) tell_starving(*source.track, now);
  note_progress(source.track->stripes[source.stripe.value()], slice, now);
}

void Relay::Impl::note_progress(StripeState& stripe, const CachedSlice& slice, Now now) {
  stripe.progress_at = now.mono;
  stripe.forecast.on_media(slice.header.publisher_time, now.mono);
}

void Relay::Impl::note_complete(const Source& source, SliceSeq seq, Now now) {
  TrackState& track = *source.track;
  if (track.stripes[source.stripe.value()].mending) note_whole(track, source.stripe, now);
  note_have(source, seq, now);
  // What nobody was asked for says nothing of the parent, nor what was asked for while it went on.
  const bool is_parent = (source.link->wanted & to_mask(source.stripe)) != 0;
  if (is_parent || !track.repair_plan.was_asked(seq)) return;
  const WallTime published = (*track.window.find(seq))->header.publisher_time;
  const Duration window = track.stream->descriptor.playout_window;
  const bool is_pressing = now.wall >= std::max(published, track.played_since) + window / 2;
  const bool has_stopped =
      now.mono >= track.stripes[source.stripe.value()].progress_at + kPoorPause;
  if (is_pressing || has_stopped) note_poor(track, source.stripe, *source.link, now);
}

/// What a parent sends live, by how long it takes; what is caught up or fetched says nothing.
void Relay::Impl::note_lateness(StripeState& stripe, const Source& source, Duration lateness) {
  stripe.lateness = lateness;
  const bool is_live = (source.link->sent & to_mask(source.stripe)) != 0 && !stripe.mending;
  if (!is_live || lateness > source.track->stream->descriptor.playout_window) return;
  if (stripe.usual_lateness == Duration::zero()) stripe.usual_lateness = lateness;
  const Duration deviation = lateness > stripe.usual_lateness ? lateness - stripe.usual_lateness
                                                              : stripe.usual_lateness - lateness;
  stripe.lateness_jitter += (deviation - stripe.lateness_jitter) / 4;
  stripe.usual_lateness += (lateness - stripe.usual_lateness) / 16;
}

void Relay::Impl::on_tampered(const Source& source, const CachedSlice* slice, ByteView chunk,
                              Now now) {
  if (slice != nullptr) {
    const ByteView header = ByteView{*slice->frames[0]}.subspan(wire::kFrameHeaderSize);
    push(Tampered{source.peer->id, Bytes(header.begin(), header.end()),
                  Bytes(chunk.begin(), chunk.end())});
  }
  source.peer->blocked_until = now.mono + kTamperBlock;
  disconnect(*source.peer, "tampered with media", LossReason::tampered, now);
}

void Relay::Impl::count_delivery(const Source& source, const CachedSlice& slice, std::size_t size,
                                 Now now) {
  // What was published before the subscription is catch-up: it cannot have come earlier.
  const WallTime from = std::max(slice.header.publisher_time, source.link->subscribed_wall);
  const bool in_time = now.wall <= from + source.track->stream->descriptor.playout_window;
  issuer_.on_delivered({source.peer->id, source.link->handle, slice.header.object,
                        static_cast<std::uint32_t>(size), in_time},
                       now);
  flush_receipts();
}

// --- into the window and on

void Relay::Impl::start_epoch(TrackState& track, PublisherEpoch epoch, Now now) {
  if (track.epoch) cache_.retire(track.window, now.mono);
  track.epoch = epoch;
  for (StripeState& stripe : track.stripes) {
    stripe.repair.reset();
    stripe.handover.reset();
    if (stripe.mending)
      stripe.mending->whole_at = SliceSeq{0};  // of the old one nothing is awaited
    stripe.usual_lateness = stripe.lateness_jitter = Duration::zero();
  }
  track.repair_plan.clear();
  track.origin_allowed.reset();
  track.stream->gate.clear();
  track.stream->origin_gate.clear();
  for (const Fan& fan : track.fans) {
    fan.peer->feed.reset(*fan.subscription, epoch);
    count_dropped(*fan.peer);
  }
}

SlicePtr Relay::Impl::insert_slice(TrackState& track, media::SliceHeader header, SharedBytes frame,
                                   Now now) {
  auto slice = std::make_shared<CachedSlice>();
  slice->full = full_mask(header.chunk_count());
  slice->header = std::move(header);
  slice->arrived = now.mono;
  slice->arrival_no = next_arrival_++;
  track.window.insert(slice);
  cache_.add(slice, track.window);
  const StripeIndex stripe = to_stripe(slice->header.seq, track);
  for (const Fan& fan : track.fans) {
    if ((fan.stripes & to_mask(stripe)) == 0) continue;
    fan.peer->feed.on_header(*fan.subscription, stripe, slice);
  }
  if (track.store) track.store->on_header(slice->header, now, late_rule(track));
  add_frame(track, slice, 0, std::move(frame), now);
  if (!track.repair_at) wake_at(Duty::repair, now.mono + limits_.head_interval);
  // A new version of what is sticky may let go of an old one.
  const bool may_unstick = is_sticky_kind(slice->header.kind);
  wake_at(Duty::cache, now.mono + (may_unstick ? kEvictTogether : limits_.cache_age));
  return slice;
}

void Relay::Impl::add_frame(TrackState& track, const SlicePtr& slice, std::size_t index,
                            SharedBytes frame, Now now) {
  const std::size_t size = frame->size();
  slice->frames[index] = frame;
  slice->have |= FrameMask{1} << index;
  slice->bytes += size;
  slice->last_frame = now.mono;
  track.window.on_bytes(*slice, size);
  cache_.on_bytes(size);
  const StripeIndex stripe = to_stripe(slice->header.seq, track);
  fan_out(track, stripe, *slice, size, now);
  if (slice->complete()) track.stripes[stripe.value()].repair.on_complete(slice->header.seq);
  if (!track.store) return;
  if (index > 0) {
    const ByteView payload = chunk_payload(frame);
    track.store->on_chunk(slice->header, index - 1, std::move(frame), payload, now,
                          late_rule(track));
  }
  if (slice->complete()) update_playout(track, now);
  tell_progress(track);
}

void Relay::Impl::fan_out(TrackState& track, StripeIndex stripe, const CachedSlice& slice,
                          std::size_t size, Now now) {
  const std::size_t count = track.fans.size();
  if (count == 0) return;
  track.fan_turn = (track.fan_turn + 1) % count;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = track.fan_turn + i;
    const Fan& fan = track.fans[at < count ? at : at - count];
    if ((fan.stripes & to_mask(stripe)) == 0) continue;
    Peer& child = *fan.peer;
    if (child.feed.on_frame(*fan.subscription, stripe, slice, size, now.mono)) {
      push(MediaReady{child.id});
    }
    if (child.feed.dropped_bytes() != child.dropped_counted) count_dropped(child);
  }
}

void Relay::Impl::evict(Now now) {
  cache_.evict(now.mono, [this](const CachedSlice& slice) {
    TrackState* track = find_track(slice.header.stream, slice.header.track);
    if (track == nullptr || !track->store) return;
    const auto tail_of = [&] {
      const auto last =
          slice.retired ? std::nullopt : track->window.last_seq_of(slice.header.object);
      const bool is_open = last && !track->window.is_gapless(*last, kTailSpan);
      return is_open ? ObjectStore::Tail::open : ObjectStore::Tail::whole;
    };
    // The object leaves with its first slice; only of an incomplete one the tail matters.
    const ObjectInfo* object = track->store->peek(slice.header.epoch, slice.header.object);
    if (object == nullptr) return;
    track->store->drop(slice.header.epoch, slice.header.object,
                       object->complete() ? ObjectStore::Tail::whole : tail_of());
    tell_progress(*track);
  });
}

}  // namespace tayga::relay
