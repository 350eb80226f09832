#include "common/media/slice.hpp"
#include "daemon/core/relay_impl.hpp"

#include <utility>

namespace tayga::relay {

bool Relay::Impl::plays(const StreamState& stream, TrackId track) {
  return stream.playing.contains(track);
}

ObjectStore::Late Relay::Impl::late_rule(const TrackState& track) {
  return {track.stream->descriptor.playout_window, track.played_since};
}

void Relay::Impl::on_local_demand(const StreamId& id, std::vector<TrackId> tracks, Now now) {
  StreamState* stream = tracks.empty() ? find_stream(id) : stream_of(id);
  if (stream == nullptr) return;
  const std::set<TrackId> before = std::exchange(stream->playing, {});
  for (const TrackId track : tracks) {
    if (stream->playing.size() >= limits_.tracks_per_stream_max) break;
    stream->playing.insert(track);
    track_of(*stream, track);
  }
  for (auto& [track_id, track] : stream->tracks) {
    if (before.contains(track_id) == plays(*stream, track_id)) continue;
    if (before.contains(track_id) && track->store) {
      // Players left: what was counted for them stays counted.
      const auto& counted = track->store->counters();
      stream->past.complete += counted.complete;
      stream->past.late += counted.late;
      stream->past.lost += counted.lost;
      track->store.reset();
      track->playout.reset();
    }
    update_store(*stream, *track, now);
  }
  wake_at(Duty::idle, now.mono + limits_.head_interval);
}

void Relay::Impl::update_store(StreamState& stream, TrackState& track, Now now) {
  const bool wanted = stream.publishing || plays(stream, track.id);
  if (!wanted) {
    track.store.reset();
    track.playout.reset();
  }
  if (!wanted || track.store) return;
  track.store = std::make_unique<ObjectStore>();
  track.playout.emplace(stream.descriptor.playout_window, now.wall);
  track.played_since = now.wall;
  for (const auto& [seq, slice] : track.window.slices()) {
    track.store->on_header(slice->header, now, late_rule(track));
    for (std::size_t i = 0; i < slice->header.chunk_count(); ++i) {
      const SharedBytes& frame = slice->frames[i + 1];
      if (!frame) continue;
      track.store->on_chunk(slice->header, i, frame, chunk_payload(frame), now, late_rule(track));
    }
  }
  if (!track.window.empty()) tell_progress(track);
  update_playout(track, now);
}

void Relay::Impl::update_playout(TrackState& track, Now now) {
  if (!track.playout) return;
  track.playout->update(*track.store, now);
  if (const auto due = track.playout->next_timeout()) {
    wake_at(Duty::playout, now.mono + (*due - now.wall));
  }
}

void Relay::Impl::on_publish_started(const StreamDescriptor& descriptor, Now now) {
  StreamState* stream = stream_of(descriptor.id);
  if (stream == nullptr) return;
  if (stream->revision == 0) {
    set_descriptor(*stream, descriptor, now);
  } else {
    // The orchestrator's word on handles and stripes stands; only the publisher knows its tracks.
    StreamDescriptor merged = stream->descriptor;
    merged.tracks = descriptor.tracks;
    set_descriptor(*stream, merged, now);
  }
  stream->publishing = true;
  track_of(*stream, kPresentationTrack);
  for (const TrackInfo& info : descriptor.tracks) track_of(*stream, info.id);
  for (auto& [track_id, track] : stream->tracks) update_store(*stream, *track, now);
  reconcile(now);
  retry_held(now);
  wake_at(Duty::idle, now.mono + limits_.head_interval);
}

void Relay::Impl::on_published(media::SignedSlice published, Now now) {
  StreamState* stream = find_stream(published.header.stream);
  if (stream == nullptr || !stream->publishing) return;
  const bool is_new = !stream->tracks.contains(published.header.track);
  TrackState* track = track_of(*stream, published.header.track);
  if (track == nullptr) return;
  if (is_new) {
    update_store(*stream, *track, now);
    retry_held(now);
  }
  const media::SliceHeader& header = published.header;
  if (track->epoch && header.epoch < *track->epoch) return;
  if (!track->epoch || *track->epoch < header.epoch) start_epoch(*track, header.epoch, now);
  if (track->window.find(header.seq) != nullptr) return;

  const SlicePtr slice =
      insert_slice(*track, std::move(published.header), std::move(published.header_frame), now);
  for (std::size_t i = 0; i < published.chunk_frames.size(); ++i) {
    add_frame(*track, slice, i + 1, std::move(published.chunk_frames[i]), now);
  }
  if (cache_.over_bytes()) evict(now);
}

void Relay::Impl::on_publish_stopped(const StreamId& id, Now now) {
  StreamState* stream = find_stream(id);
  if (stream == nullptr) return;
  stream->publishing = false;
  for (auto& [track_id, track] : stream->tracks) update_store(*stream, *track, now);
  reconcile(now);
  wake_at(Duty::repair, now.mono + limits_.head_interval);
  wake_at(Duty::idle, now.mono + limits_.head_interval);
}

}  // namespace tayga::relay
