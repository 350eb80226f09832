// What a publisher does with playlists: the tracks follow from them, and so does the catalog.
#include "daemon/ingest/publisher.hpp"
#include "daemon/ingest/uri.hpp"

#include <algorithm>
#include <utility>

namespace tayga::ingest {
namespace {

constexpr std::size_t kMeasuredSegments = 3;    ///< over which a rendition's bitrate is averaged
constexpr Duration kPresentationAverage = 10s;  ///< at least: track 0 has bursts at the start

/// The files that a media playlist lists, as paths of the stream.
std::set<std::string, std::less<>> listed_paths(const std::string& path, const Playlist& playlist) {
  std::set<std::string, std::less<>> paths;
  for (const PlaylistUri& uri : playlist.uris) {
    if (uri.kind == UriKind::key) continue;
    if (auto file = resolve_path(path, uri.text)) paths.insert(std::move(*file));
  }
  return paths;
}

}  // namespace

IngestResult<void> Publisher::learn(const std::string& path, std::string_view text,
                                    relay::Now now) {
  if (stopped_) return IngestFailure{IngestErrc::stopped, "the stream was stopped"};
  return take_playlist(path, text, false, now);
}

IngestResult<void> Publisher::take_playlist(const std::string& path, std::string_view text,
                                            bool publish, relay::Now now) {
  const auto playlist = parse_playlist(text);
  if (!playlist) {
    ++counters_.playlists_refused;
    return IngestFailure{IngestErrc::not_a_playlist,
                         path + " is not an HLS playlist: " + to_string(playlist.error())};
  }
  if (const auto* master = std::get_if<MasterPlaylist>(&playlist->body)) {
    const auto taken = map_.on_master(path, *master);
    if (!taken) {
      ++counters_.playlists_refused;
      return taken.error();
    }
    announce(now.mono);
    if (!publish) return {};
    publish_catalog(now);
    publish_playlist(path, kPresentationTrack, text, now);
    return {};
  }
  const auto track = map_.on_media(path, *playlist);
  if (!track) {
    ++counters_.playlists_refused;
    return track.error();
  }
  take_media(path, std::string{text}, *track, *playlist, publish, now);
  return {};
}

void Publisher::take_media(const std::string& path, std::string text, TrackId track,
                           const Playlist& playlist, bool publish, relay::Now now) {
  if (!first_playlist_) first_playlist_ = now.mono;
  track_state(track);
  release_listed(now);
  measure(track, path, std::get<MediaPlaylist>(playlist.body));
  announce(now.mono);
  publish_catalog(now);
  if (!publish) return;

  // An older version of this list must not overtake the new one.
  for (auto held = held_.begin(); held != held_.end();) {
    const auto current = held++;
    if (current->path != path) continue;
    publish_playlist(current->path, current->track, current->text, now);
    held_.erase(current);
  }
  const auto listed = listed_paths(path, playlist);
  std::set<UploadId> waits_for;
  for (const Upload& upload : uploads_) {
    const bool open = upload.stage == Stage::live && !upload.started;
    if (open && listed.contains(upload.path)) waits_for.insert(upload.id);
  }
  if (waits_for.empty()) return publish_playlist(path, track, text, now);
  held_.push_back(Held{path, track, std::move(text), std::move(waits_for),
                       now.mono + options_.limits.playlist_hold_max});
}

void Publisher::publish_playlist(const std::string& path, TrackId track, std::string_view text,
                                 relay::Now now) {
  // Some encoders (ffmpeg's DASH muxer) upload the same text several times a second.
  const auto newest = playlists_.find(path);
  if (newest != playlists_.end() && newest->second.text == text) {
    if (newest->second.published + options_.limits.playlist_repeat_min > now.mono) return;
  }
  if (track == kPresentationTrack && master_path_ != path) {
    playlists_.erase(std::exchange(master_path_, path));
  }
  playlists_.insert_or_assign(path, Accepted{std::string{text}, now.mono});
  publish_whole(path, track, media::ObjectKind::playlist, text, now);
}

/// Publishes the held playlists whose segments have begun or will not begin any more.
void Publisher::release_held(relay::Now now) {
  for (auto held = held_.begin(); held != held_.end();) {
    const auto current = held++;
    std::erase_if(current->waits_for, [this](UploadId id) {
      const auto upload = find(id);
      return upload == uploads_.end() || upload->started;
    });
    if (!current->waits_for.empty() && current->deadline > now.mono) continue;
    publish_playlist(current->path, current->track, current->text, now);
    held_.erase(current);
  }
}

void Publisher::measure(TrackId id, const std::string& path, const MediaPlaylist& playlist) {
  TrackState& track = track_state(id);
  std::uint64_t bytes = 0;
  Duration duration{0};
  std::size_t count = 0;
  const auto& segments = playlist.segments;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (count == kMeasuredSegments) break;
    const auto file = resolve_path(path, segment->uri);
    const auto size = file ? track.sizes.find(*file) : track.sizes.end();
    if (size == track.sizes.end()) continue;
    bytes += size->second;
    duration += segment->duration;
    ++count;
  }
  if (duration <= Duration{0}) return;
  track.measured_bps = bytes * 8 * 1'000'000 / static_cast<std::uint64_t>(duration.count());
}

std::vector<relay::TrackInfo> Publisher::tracks() const {
  std::vector<relay::TrackInfo> infos;
  infos.push_back({kPresentationTrack, {}, presentation_bps_});
  for (const TrackMap::Track& track : map_.tracks()) {
    const auto state = tracks_.find(track.id);
    const bool measured = state != tracks_.end() && state->second.announced_bps != 0;
    infos.push_back({track.id, track.playlist_path,
                     measured ? state->second.announced_bps : track.declared_bps});
  }
  return infos;
}

/// Tells the target about new tracks, and about bitrates that moved by a quarter.
void Publisher::announce(TimePoint now) {
  const Duration running = std::max<Duration>(now - began_, kPresentationAverage);
  presentation_bps_ =
      presentation_bytes_ * 8 * 1'000'000 / static_cast<std::uint64_t>(running.count());
  bool changed = options_.stream.tracks.size() != map_.tracks().size() + 1;
  for (auto& [id, track] : tracks_) {
    const std::uint64_t difference = track.measured_bps > track.announced_bps
                                         ? track.measured_bps - track.announced_bps
                                         : track.announced_bps - track.measured_bps;
    if (track.measured_bps == 0 || difference < track.announced_bps / 4 || difference == 0) {
      continue;
    }
    track.announced_bps = track.measured_bps;
    changed = true;
  }
  if (!changed) return;
  ensure_started();
  options_.stream.tracks = tracks();
  target_.on_tracks(options_.stream.id, options_.epoch, options_.stream.tracks);
}

void Publisher::publish_catalog(relay::Now now) {
  if (!first_playlist_) return;
  // Encoders write the master playlist shortly after the first media playlist: a catalog without
  // it would make early players build their own.
  const bool waits = catalog_.empty() && !map_.master() &&
                     now.mono < *first_playlist_ + options_.limits.catalog_delay_max;
  if (waits) return;
  Catalog catalog;
  catalog.stripe_count = options_.stream.stripe_count;
  catalog.tracks = tracks();
  catalog.tracks.erase(catalog.tracks.begin());
  catalog.master = map_.master();
  std::string text = serialize_catalog(catalog);
  if (text == catalog_) return;
  catalog_ = std::move(text);
  publish_whole(std::string{kCatalogPath}, kPresentationTrack, media::ObjectKind::catalog, catalog_,
                now);
}

}  // namespace tayga::ingest
