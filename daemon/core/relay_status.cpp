#include "daemon/core/relay_impl.hpp"

#include <algorithm>
#include <utility>

namespace tayga::relay {

const ObjectStore* Relay::Impl::objects(const StreamId& stream_id, TrackId track_id) const {
  const auto stream = streams_.find(stream_id);
  if (stream == streams_.end()) return nullptr;
  const auto track = stream->second->tracks.find(track_id);
  if (track == stream->second->tracks.end()) return nullptr;
  return track->second->store.get();
}

const Playout* Relay::Impl::playout(const StreamId& stream_id, TrackId track_id) const {
  const auto stream = streams_.find(stream_id);
  if (stream == streams_.end()) return nullptr;
  const auto track = stream->second->tracks.find(track_id);
  if (track == stream->second->tracks.end()) return nullptr;
  return track->second->playout ? &*track->second->playout : nullptr;
}

std::vector<StripeStatus> Relay::Impl::stripes() const {
  std::vector<StripeStatus> all;
  for (const auto& [stream_id, stream] : streams_) {
    for (const auto& [track_id, track] : stream->tracks) {
      if (track->links.empty() && !stream->publishing) continue;
      for (std::size_t i = 0; i < track->stripes.size(); ++i) {
        const StripeIndex index{static_cast<std::uint8_t>(i)};
        StripeStatus& status = all.emplace_back();
        status.stream = stream_id;
        status.track = track_id;
        status.stripe = index;
        status.hops = stream->publishing ? 0 : track->stripes[i].hops;
        status.next_seq = track->stripes[i].repair.next_seq();
        status.lateness = track->stripes[i].lateness;
        for (const auto& link : track->links) {
          const bool stands_by = (link->wanted_standby & ~link->former) >> i & 1U;
          if (stands_by && !status.standby) {
            status.standby = link->peer->id;
            status.standby_ready = link->peer->up() && (link->confirmed_standby >> i & 1U) != 0;
          }
          if ((link->sent >> i & 1U) == 0) continue;
          const bool confirmed = (link->confirmed >> i & 1U) != 0;
          if (status.parent && (status.subscribed || !confirmed)) continue;
          status.parent = link->peer->id;
          status.subscribed = confirmed;
          status.suspected = link->peer->suspected;
        }
      }
    }
  }
  return all;
}

std::vector<ChildStatus> Relay::Impl::children(TimePoint now) const {
  std::vector<ChildStatus> all;
  for (const Peer* peer : children_) {
    ChildStatus& status = all.emplace_back();
    status.child = peer->id;
    status.queued_bytes = peer->feed.queued_bytes();
    status.queued_age = peer->feed.queued_age(now);
    status.sent_bytes = peer->feed.sent_bytes();
    status.dropped_bytes = peer->feed.dropped_bytes();
    for (const auto& subscription : peer->feed.subscriptions()) {
      status.stripes += static_cast<unsigned>(std::popcount(subscription->all()));
    }
  }
  return all;
}

std::vector<StreamStatus> Relay::Impl::streams() const {
  std::vector<StreamStatus> all;
  for (const auto& [id, stream] : streams_) {
    StreamStatus& status = all.emplace_back();
    status.stream = id;
    status.name = stream->descriptor.name;
    status.publishing = stream->publishing;
    status.playing.assign(stream->playing.begin(), stream->playing.end());
    status.revision = stream->revision;
    status.playout_window = stream->descriptor.playout_window;
    status.gateway_bytes = stream->gateway_bytes;
    status.origin_bytes = stream->origin_bytes;
    status.repairs = stream->repairs;
    status.last_repair = stream->last_repair;
    status.objects_complete = stream->past.complete;
    status.objects_late = stream->past.late;
    status.objects_lost = stream->past.lost;
    for (const auto& [track_id, track] : stream->tracks) {
      for (const auto& [seq, slice] : track->window.slices()) status.cached_bytes += slice->bytes;
      if (!plays(*stream, track_id) || !track->store) continue;
      status.objects_complete += track->store->counters().complete;
      status.objects_late += track->store->counters().late;
      status.objects_lost += track->store->counters().lost;
    }
  }
  return all;
}

}  // namespace tayga::relay
