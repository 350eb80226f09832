#include "daemon/core/relay.hpp"

#include "daemon/core/relay_impl.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace tayga::relay {
namespace {

constexpr Duration kIdlePeerGrace = 10s;
/// Timers never fire faster than this, whatever a deadline says.
constexpr Duration kTimerFloor = 1ms;
constexpr Duration kIdleLook = 1s;
/// A timer this late means that we did not run: parents may have beaten all the while, and are not
/// judged before what they sent had time to be read.
constexpr Duration kTimerLate = 20ms;

}  // namespace

Relay::Impl::Impl(const crypto::SigningKey& identity, const RelayLimits& limits,
                  Duration submit_interval)
    : book{identity.node_id(), submit_interval},
      self_{identity.node_id()},
      limits_{limits},
      issuer_{identity},
      cache_{{limits.cache_age, limits.cache_bytes}} {}

// --- state

Peer* Relay::Impl::find_peer(const NodeId& node) {
  return peer_index_.find(node);
}

Peer& Relay::Impl::peer_of(const NodeId& node) {
  if (Peer* peer = find_peer(node)) return *peer;
  auto& peer = peers_[node];
  peer = std::make_unique<Peer>(
      node, ChildFeed::Limits{limits_.child_queue_bytes, limits_.child_queue_age});
  peer_index_.add(*peer);
  return *peer;
}

StreamState* Relay::Impl::find_stream(const StreamId& stream) {
  const auto it = streams_.find(stream);
  return it == streams_.end() ? nullptr : it->second.get();
}

StreamState* Relay::Impl::stream_of(const StreamId& id) {
  if (StreamState* stream = find_stream(id)) return stream;
  if (streams_.size() >= limits_.streams_max) return nullptr;
  auto stream = std::make_unique<StreamState>();
  stream->descriptor.id = id;
  stream->tag = wire::to_stream_tag(id);
  // Two streams with one tag could not be told apart on the wire: the later one is not carried.
  if (!tags_.emplace(stream->tag, stream.get()).second) return nullptr;
  return (streams_[id] = std::move(stream)).get();
}

TrackState* Relay::Impl::find_track(const StreamId& stream_id, TrackId track) {
  StreamState* stream = find_stream(stream_id);
  if (stream == nullptr) return nullptr;
  const auto it = stream->tracks.find(track);
  return it == stream->tracks.end() ? nullptr : it->second.get();
}

TrackState* Relay::Impl::track_of(StreamState& stream, TrackId id) {
  const auto it = stream.tracks.find(id);
  if (it != stream.tracks.end()) return it->second.get();
  if (stream.tracks.size() >= limits_.tracks_per_stream_max) return nullptr;
  auto track = std::make_unique<TrackState>();
  track->stream = &stream;
  track->id = id;
  for (unsigned i = 0; i < stream.descriptor.stripe_count; ++i) {
    const StripeIndex stripe{static_cast<std::uint8_t>(i)};
    track->stripes.emplace_back(stripe, stream.descriptor.stripe_count);
  }
  return (stream.tracks[id] = std::move(track)).get();
}

void Relay::Impl::set_descriptor(StreamState& stream, const StreamDescriptor& descriptor, Now now) {
  const bool restripe = stream.descriptor.stripe_count != descriptor.stripe_count;
  stream.descriptor = descriptor;
  for (auto& [track_id, track] : stream.tracks) {
    if (track->playout) track->playout->set_window(descriptor.playout_window);
  }
  wake_at(Duty::playout, now.mono);
  stream.known = true;
  if (!restripe) return;
  // Sequences stay, who sends which of them starts over; the cached slices remain.
  for (auto& [track_id, track] : stream.tracks) {
    drop_children(*track, RefuseReason::unknown_stream);
    for (const auto& link : track->links) {
      if ((link->sent | link->sent_standby) == 0) continue;  // a rescue is asked for again
      send(*link->peer, Unsubscribe{descriptor.id, track_id, link->sent | link->sent_standby});
    }
    track->links.clear();
    track->stripes.clear();
    for (unsigned i = 0; i < descriptor.stripe_count; ++i) {
      const StripeIndex stripe{static_cast<std::uint8_t>(i)};
      track->stripes.emplace_back(stripe, descriptor.stripe_count);
    }
    for (const auto& [seq, slice] : track->window.slices()) {
      auto& repair = track->stripes[seq.value() % descriptor.stripe_count].repair;
      repair.on_header(seq, slice->header.kind, now.mono);
      if (slice->complete()) repair.on_complete(seq);
    }
  }
}

// --- trust

void Relay::Impl::on_network(const NetworkId& network) {
  network_ = network;
  dues_.fill(TimePoint{});  // see on_online_keys
}

void Relay::Impl::on_online_keys(std::vector<media::OnlineKey> keys) {
  keys_.replace(std::move(keys));
  // Allocations and subscriptions that waited for a key are judged at the next house-keeping: this
  // call has no time to give them.
  dues_.fill(TimePoint{});
}

// --- actions

void Relay::Impl::tell_progress(TrackState& track) {
  if (std::exchange(track.progress_told, true)) return;
  push(Progress{track.stream->descriptor.id, track.id});
}

std::optional<Relay::Action> Relay::Impl::poll_action() {
  if (actions_.empty()) return std::nullopt;
  std::optional<Action> action{std::move(actions_.front())};
  actions_.pop_front();
  if (const auto* progress = std::get_if<Progress>(&*action)) {
    if (TrackState* track = find_track(progress->stream, progress->track)) {
      track->progress_told = false;
    }
  }
  return action;
}

void Relay::Impl::flush_receipts() {
  if (!issuer_.has_receipt()) return;
  while (auto issued = issuer_.poll_receipt()) {
    const Peer* peer = find_peer(issued->sender);
    if (peer != nullptr && peer->up()) send(*peer, PeerReceipt{issued->blob});
  }
}

// --- time

std::optional<TimePoint> Relay::Impl::next_timeout() const {
  const auto receipts = issuer_.next_timeout();
  const TimePoint due = next_due();
  if (due == kNever) return receipts;
  const TimePoint duties = std::max(due, rests_until_);
  return receipts ? std::min(duties, *receipts) : duties;
}

void Relay::Impl::on_timeout(Now now) {
  const auto due_receipt = issuer_.next_timeout();
  if (due_receipt && *due_receipt <= now.mono) {
    issuer_.on_timeout(now);
    flush_receipts();
  }
  const TimePoint due = next_due();
  if (now.mono < std::max(due, rests_until_)) return;
  if (due != TimePoint{} && now.mono - std::max(due, rests_until_) > kTimerLate) {
    deaf_until_ = now.mono + kTimerLate;
  }
  rests_until_ = now.mono + kTimerFloor;
  keep_house(now);
}

void Relay::Impl::keep_house(Now now) {
  if (take_due(Duty::parents, now)) watch_parents(now);
  if (take_due(Duty::links, now)) {
    for (auto& [stream_id, stream] : streams_) {
      if (!stream->unverified.empty()) verify_allocations(*stream, now);
    }
    dirty_ = true;
  }
  settle(now);
  if (!held_.empty()) retry_held(now);
  if (take_due(Duty::playout, now)) {
    for (auto& [stream_id, stream] : streams_) {
      for (auto& [track_id, track] : stream->tracks) update_playout(*track, now);
    }
  }
  if (take_due(Duty::repair, now)) repair_tracks(now);
  settle(now);
  if (take_due(Duty::children, now, kTogether)) serve_children(now);
  if (take_due(Duty::cache, now, kTogether)) {
    evict(now);
    if (const auto next = cache_.next_timeout()) wake_at(Duty::cache, *next + kEvictTogether);
  }
  if (take_due(Duty::idle, now)) drop_idle(now);
  settle(now);
}

void Relay::Impl::drop_idle(Now now) {
  for (auto& [stream_id, stream] : streams_) drop_idle_tracks(*stream);
  std::erase_if(streams_, [&](const auto& entry) {
    const StreamState& stream = *entry.second;
    const bool used = stream.publishing || !stream.playing.empty() || !stream.tracks.empty();
    if (!used) tags_.erase(stream.tag);
    return !used;
  });
  drop_idle_peers(now);
  if (!streams_.empty() || !peers_.empty()) wake_at(Duty::idle, now.mono + kIdleLook);
}

void Relay::Impl::drop_idle_tracks(StreamState& stream) {
  if (stream.publishing) return;
  std::erase_if(stream.tracks, [&](const auto& entry) {
    TrackState& track = *entry.second;
    const auto is_child = [&](Peer* peer) { return peer->feed.find(track) != nullptr; };
    if (!track.links.empty() || plays(stream, track.id)) return false;
    // What is cached may still be asked for; sticky objects alone are not a reason to stay.
    const auto& slices = track.window.slices();
    const bool has_media = std::ranges::any_of(
        slices, [](const auto& slice) { return !is_sticky_kind(slice.second->header.kind); });
    if (has_media || std::ranges::any_of(children_, is_child)) return false;
    cache_.forget(track.window);
    return true;
  });
}

bool Relay::Impl::is_used(const Peer& peer) const {
  if (!peer.feed.subscriptions().empty()) return true;
  for (const HeldSubscribe& held : held_) {
    if (held.from == peer.id) return true;
  }
  for (const auto& [stream_id, stream] : streams_) {
    if (stream->expected_children.contains(peer.id)) return true;
    for (const auto& [track_id, track] : stream->tracks) {
      if (find_link(*track, peer) != nullptr) return true;
    }
  }
  return false;
}

void Relay::Impl::drop_idle_peers(Now now) {
  for (auto it = peers_.begin(); it != peers_.end();) {
    Peer& peer = *it->second;
    if (is_used(peer)) {
      peer.idle_since = now.mono;
      ++it;
    } else if (peer.up()) {
      if (now.mono >= peer.idle_since + kIdlePeerGrace) {
        disconnect(peer, "unused", LossReason::closed, now);
      }
      ++it;
    } else if (now.mono < peer.blocked_until) {
      ++it;  // remembered so that it is not believed when it comes back
    } else {
      peer_index_.erase(peer);
      it = peers_.erase(it);
    }
  }
}

void Relay::Impl::on_shutdown(GoAwayReason reason, Duration grace, Now now) {
  draining_ = true;
  for (auto& [id, peer] : peers_) {
    if (!peer->up()) continue;
    issuer_.on_sender_gone(id, now);
    send(*peer, GoAway{reason, grace});
  }
  flush_receipts();
  for (const HeldSubscribe& held : std::exchange(held_, {})) {
    const Peer* peer = find_peer(held.from);
    if (peer == nullptr || !peer->up()) continue;
    refuse(*peer, held.message, RefuseReason::draining, Duration::zero());
  }
}

// --- the public face

Relay::Relay(const crypto::SigningKey& identity, const RelayLimits& limits,
             Duration receipt_submit_interval)
    : impl_{std::make_unique<Impl>(identity, limits, receipt_submit_interval)} {}
Relay::~Relay() = default;

void Relay::on_network(const NetworkId& network) {
  impl_->on_network(network);
}
void Relay::on_online_keys(std::vector<media::OnlineKey> keys) {
  impl_->on_online_keys(std::move(keys));
}
void Relay::on_assignment(const Assignment& assignment, Now now) {
  impl_->on_assignment(assignment, now);
}
void Relay::on_local_demand(const StreamId& stream, std::vector<TrackId> tracks, Now now) {
  impl_->on_local_demand(stream, std::move(tracks), now);
}
void Relay::on_publish_started(const StreamDescriptor& stream, Now now) {
  impl_->on_publish_started(stream, now);
}
void Relay::on_published(media::SignedSlice slice, Now now) {
  impl_->on_published(std::move(slice), now);
}
void Relay::on_publish_stopped(const StreamId& stream, Now now) {
  impl_->on_publish_stopped(stream, now);
}
void Relay::on_peer_up(const NodeId& peer, Now now) {
  impl_->on_peer_up(peer, now);
}
void Relay::on_connect_failed(const NodeId& peer, Now now) {
  impl_->on_connect_failed(peer, now);
}
void Relay::on_peer_down(const NodeId& peer, LossReason reason, Now now) {
  impl_->on_peer_down(peer, reason, now);
}
void Relay::on_message(const NodeId& from, const PeerMessage& message, Now now) {
  impl_->on_message(from, message, now);
}
void Relay::on_media(const NodeId& from, wire::FrameType type, ByteView payload, Now now) {
  impl_->on_media(from, type, payload, now);
}
void Relay::on_origin_bytes(std::uint64_t request, std::uint64_t offset, ByteView bytes, Now now) {
  impl_->on_origin_bytes(request, offset, bytes, now);
}
void Relay::on_origin_done(std::uint64_t request, const OriginDone& done, Now now) {
  impl_->on_origin_done(request, done, now);
}
void Relay::on_control(Control control, Now now) {
  impl_->on_control(control, now);
}
void Relay::on_serving(Serving serving, Duration grace, Now now) {
  impl_->on_serving(serving, grace, now);
}
void Relay::on_shutdown(GoAwayReason reason, Duration grace, Now now) {
  impl_->on_shutdown(reason, grace, now);
}
void Relay::on_timeout(Now now) {
  impl_->on_timeout(now);
}
std::optional<Relay::Action> Relay::poll_action() {
  return impl_->poll_action();
}
std::optional<MediaFrame> Relay::next_media(const NodeId& child, Now now) {
  return impl_->next_media(child, now);
}
std::optional<TimePoint> Relay::next_timeout() const {
  return impl_->next_timeout();
}
const ObjectStore* Relay::objects(const StreamId& stream, TrackId track) const {
  return impl_->objects(stream, track);
}
const Playout* Relay::playout(const StreamId& stream, TrackId track) const {
  return impl_->playout(stream, track);
}
ReceiptBook& Relay::receipt_book() {
  return impl_->book;
}
std::vector<StripeStatus> Relay::stripes() const {
  return impl_->stripes();
}
std::vector<ChildStatus> Relay::children(TimePoint now) const {
  return impl_->children(now);
}
std::vector<StreamStatus> Relay::streams() const {
  return impl_->streams();
}
const RelayCounters& Relay::counters() const {
  return impl_->counters;
}

}  // namespace tayga::relay
