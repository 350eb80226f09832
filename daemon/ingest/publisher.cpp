#include "daemon/ingest/publisher.hpp"

#include "common/base/check.hpp"

#include <algorithm>
#include <utility>

namespace tayga::ingest {
namespace {

/// Sizes of whole segments that are remembered until a playlist says how long they are.
constexpr std::size_t kRecentSegments = 16;

IngestFailure stopped_failure(const std::string& stream) {
  return {IngestErrc::stopped, "the stream " + stream + " was stopped; try again"};
}

}  // namespace

Publisher::Publisher(const crypto::SigningKey& stream_key, PublishTarget& target, Options options)
    : key_{stream_key}, target_{target}, options_{std::move(options)} {
  TAYGA_CHECK(options_.stream.id == key_.stream_id());
  TAYGA_CHECK(options_.stream.stripe_count >= 1 && options_.stream.stripe_count <= kStripeCountMax);
}

Publisher::~Publisher() = default;

// ---- uploads

IngestResult<UploadId> Publisher::begin(std::string path, relay::Now now) {
  if (stopped_) return stopped_failure(options_.stream.name);
  if (!media::is_safe_path(path) || path == kCatalogPath) {
    return IngestFailure{IngestErrc::bad_path,
                         "the path \"" + path.substr(0, 80) +
                             "\" cannot be published: it must be relative, without empty, \".\" or "
                             "\"..\" parts, and at most " +
                             std::to_string(media::kPathSizeMax) + " bytes"};
  }
  if (open_count() >= options_.limits.open_max) {
    return IngestFailure{IngestErrc::too_many_objects,
                         "more than " + std::to_string(options_.limits.open_max) +
                             " uploads are open at once; finish some before " + path};
  }
  if (next_upload_ == UploadId{1}) began_ = now.mono;
  Upload upload;
  upload.id = std::exchange(next_upload_, next_upload_.next());
  upload.path = std::move(path);
  upload.began = now.mono;
  uploads_.push_back(std::move(upload));
  Upload& opened = uploads_.back();
  switch (classify_path(opened.path)) {
    case PathClass::playlist:
      opened.stage = Stage::playlist;
      break;
    case PathClass::other:
      make_live(opened, {kPresentationTrack, media::ObjectKind::other}, now);
      break;
    case PathClass::media:
      if (const auto place = map_.find(opened.path)) {
        make_live(opened, *place, now);
      } else {
        opened.stage = Stage::unlisted;
      }
      break;
  }
  return opened.id;
}

IngestResult<void> Publisher::append(UploadId id, ByteView bytes, relay::Now now) {
  const auto upload = find(id);
  if (upload == uploads_.end()) return stopped_failure(options_.stream.name);
  last_activity_ = now.mono;
  const std::uint64_t size = upload->size + bytes.size();
  const bool playlist = upload->stage == Stage::playlist;
  const std::size_t size_max = playlist ? kPlaylistSizeMax : options_.limits.object_size_max;
  if (size > size_max) {
    IngestFailure failure{IngestErrc::too_large,
                          upload->path + " is larger than " + std::to_string(size_max) +
                              " bytes; make segments shorter or the bitrate lower"};
    give_up(upload);
    return failure;
  }
  if (upload->stage == Stage::unlisted) {
    if (unlisted_bytes_ + bytes.size() > options_.limits.unlisted_bytes_max) {
      IngestFailure failure{IngestErrc::unlisted_full,
                            "no media playlist lists " + upload->path +
                                " yet, and too much waits for one; upload the playlist as well"};
      give_up(upload);
      return failure;
    }
    unlisted_bytes_ += bytes.size();
  }
  upload->size = size;
  if (upload->stage == Stage::live) {
    slice(*upload, bytes, now);
    drain(upload->track);
  } else {
    upload->kept += as_text(bytes);
  }
  return {};
}

IngestResult<void> Publisher::finish(UploadId id, relay::Now now) {
  const auto upload = find(id);
  if (upload == uploads_.end()) return stopped_failure(options_.stream.name);
  last_activity_ = now.mono;
  switch (upload->stage) {
    case Stage::playlist: {
      const std::string path = std::move(upload->path);
      const std::string text = std::move(upload->kept);
      uploads_.erase(upload);
      return take_playlist(path, text, true, now);
    }
    case Stage::unlisted:
      upload->ended = true;
      return {};
    case Stage::live:
      complete(*upload, now);
      uploads_.erase(upload);
      release_held(now);
      return {};
  }
  return {};
}

void Publisher::abort(UploadId id, relay::Now now) {
  const auto upload = find(id);
  if (upload == uploads_.end()) return;
  give_up(upload);
  release_held(now);
}

void Publisher::remove(std::string_view path) {
  for (auto upload = uploads_.begin(); upload != uploads_.end();) {
    const auto current = upload++;
    if (current->stage == Stage::unlisted && current->ended && current->path == path) {
      give_up(current);
    }
  }
  // The encoder will not append to this list again; what viewers need of it is published.
  playlists_.erase(std::string{path});
}

Publisher::Uploads::iterator Publisher::find(UploadId id) {
  return std::ranges::find(uploads_, id, &Upload::id);
}

std::size_t Publisher::open_count() const {
  return static_cast<std::size_t>(std::ranges::count(uploads_, false, &Upload::ended));
}

Publisher::TrackState& Publisher::track_state(TrackId track) {
  const auto known = tracks_.find(track);
  if (known != tracks_.end()) return known->second;
  TrackState state{media::Slicer{key_, track, options_.epoch}, 0, 0, {}, {}};
  return tracks_.emplace(track, std::move(state)).first->second;
}

void Publisher::make_live(Upload& upload, TrackMap::Place place, relay::Now now) {
  upload.stage = Stage::live;
  upload.track = place.track;
  upload.kind = place.kind;
  const bool key_frame = place.kind == media::ObjectKind::segment;
  upload.object =
      track_state(place.track).slicer.open({upload.path, place.kind, key_frame}, now.mono);
  if (options_.on_object) upload.hash.emplace();
}

/// Pre: live, and its size stays within object_size_max.
void Publisher::slice(Upload& upload, ByteView bytes, relay::Now now) {
  media::Slicer& slicer = track_state(upload.track).slicer;
  const auto taken = slicer.append(upload.object, bytes, now.mono, now.wall);
  TAYGA_CHECK(taken);  // object_size_max is at most the slicer's own limit
  if (upload.hash) upload.hash->update(bytes);
}

void Publisher::complete(Upload& upload, relay::Now now) {
  TrackState& track = track_state(upload.track);
  track.slicer.finish(upload.object, now.mono, now.wall);
  drain(upload.track);
  ++counters_.objects;
  counters_.bytes += upload.size;
  if (options_.on_object) {
    options_.on_object({upload.track, options_.epoch, upload.object, upload.path, upload.size,
                        upload.hash->finish(), now.wall});
  }
  if (upload.kind != media::ObjectKind::segment) return;
  if (track.sizes.insert_or_assign(upload.path, upload.size).second) {
    track.recent.push_back(upload.path);
  }
  if (track.recent.size() <= kRecentSegments) return;
  track.sizes.erase(track.recent.front());
  track.recent.pop_front();
}

void Publisher::give_up(Uploads::iterator upload) {
  if (upload->stage == Stage::unlisted) unlisted_bytes_ -= upload->kept.size();
  if (upload->stage == Stage::live) track_state(upload->track).slicer.abort(upload->object);
  ++counters_.aborted;
  uploads_.erase(upload);
}

/// A playlist came: publishes, in the order of their arrival, what waited for being listed.
void Publisher::release_listed(relay::Now now) {
  for (auto upload = uploads_.begin(); upload != uploads_.end();) {
    const auto current = upload++;
    if (current->stage != Stage::unlisted) continue;
    const auto place = map_.find(current->path);
    if (!place) continue;
    const std::string bytes = std::exchange(current->kept, {});
    unlisted_bytes_ -= bytes.size();
    make_live(*current, *place, now);
    slice(*current, as_bytes(bytes), now);
    drain(current->track);
    if (!current->ended) continue;
    complete(*current, now);
    uploads_.erase(current);
  }
}

void Publisher::drop_expired(TimePoint now) {
  const auto waiting = [](const Upload& upload) { return upload.stage == Stage::unlisted; };
  auto count = static_cast<std::size_t>(std::ranges::count_if(uploads_, waiting));
  for (auto upload = uploads_.begin(); upload != uploads_.end();) {
    const auto current = upload++;
    if (!waiting(*current) || !current->ended) continue;
    const bool old = current->began + options_.limits.unlisted_age_max <= now;
    if (!old && count <= options_.limits.unlisted_objects_max) continue;
    ++counters_.unlisted_dropped;
    last_unlisted_ = current->path;
    give_up(current);
    --count;
  }
}

// ---- output

void Publisher::ensure_started() {
  if (std::exchange(started_, true)) return;
  options_.stream.tracks = tracks();
  target_.on_started(options_.stream, options_.epoch);
}

void Publisher::drain(TrackId track) {
  while (auto slice = track_state(track).slicer.poll_slice()) {
    ensure_started();
    if (slice->header.first) {
      for (Upload& upload : uploads_) {
        const bool same = upload.stage == Stage::live && upload.track == track &&
                          upload.object == slice->header.object;
        if (same) upload.started = true;
      }
    }
    if (track == kPresentationTrack) {
      presentation_bytes_ += slice->header_frame->size() + slice->header.length;
    }
    target_.on_slice(std::move(*slice));
  }
}

void Publisher::publish_whole(const std::string& path, TrackId track, media::ObjectKind kind,
                              std::string_view text, relay::Now now) {
  media::Slicer& slicer = track_state(track).slicer;
  const ObjectId id = slicer.open({path, kind, false}, now.mono);
  const auto taken = slicer.append(id, as_bytes(text), now.mono, now.wall);
  TAYGA_CHECK(taken);
  slicer.finish(id, now.mono, now.wall);
  drain(track);
  ++counters_.objects;
  counters_.bytes += text.size();
  if (!options_.on_object) return;
  options_.on_object(
      {track, options_.epoch, id, path, text.size(), crypto::sha256(as_bytes(text)), now.wall});
}

// ---- time

void Publisher::on_timeout(relay::Now now) {
  if (stopped_) return;
  for (auto& [id, track] : tracks_) {
    track.slicer.on_timeout(now.mono, now.wall);
    drain(id);
  }
  drop_expired(now.mono);
  release_held(now);
  publish_catalog(now);
}

std::optional<TimePoint> Publisher::next_timeout() const {
  if (stopped_) return std::nullopt;
  std::optional<TimePoint> earliest;
  const auto consider = [&earliest](std::optional<TimePoint> time) {
    if (time && (!earliest || *time < *earliest)) earliest = time;
  };
  for (const auto& [id, track] : tracks_) consider(track.slicer.next_timeout());
  for (const Held& held : held_) consider(held.deadline);
  for (const Upload& upload : uploads_) {
    const bool waiting = upload.stage == Stage::unlisted && upload.ended;
    if (waiting) consider(upload.began + options_.limits.unlisted_age_max);
  }
  if (first_playlist_ && catalog_.empty()) {
    consider(*first_playlist_ + options_.limits.catalog_delay_max);
  }
  return earliest;
}

void Publisher::stop() {
  if (std::exchange(stopped_, true)) return;
  while (!uploads_.empty()) give_up(uploads_.begin());
  for (auto& [id, track] : tracks_) drain(id);
  held_.clear();
  if (started_) target_.on_stopped(options_.stream.id);
}

const std::string* Publisher::playlist(std::string_view path) const {
  const auto known = playlists_.find(path);
  return known == playlists_.end() ? nullptr : &known->second.text;
}

}  // namespace tayga::ingest
