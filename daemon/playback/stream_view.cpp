#include "daemon/playback/stream_view.hpp"

#include "daemon/ingest/uri.hpp"

#include <algorithm>

namespace tayga::playback {
namespace {

constexpr std::size_t kEdgeSegments = 3;
/// Declared for a rendition that was not measured yet; players need some number.
constexpr std::uint64_t kUnknownBandwidthBps = 1'000'000;

bool is_begun(const relay::ObjectStore& store, const std::string& path) {
  const auto object = store.find(path);
  return object && (object->contiguous > 0 || object->complete());
}

}  // namespace

std::optional<std::string> read_whole(const relay::ObjectStore& store,
                                      const relay::ObjectInfo& object, std::size_t size_max) {
  if (!object.complete() || *object.size > size_max) return std::nullopt;
  std::string text;
  text.reserve(*object.size);
  while (text.size() < *object.size) {
    const auto run = store.read(object.epoch, object.id, text.size());
    if (!run || run->bytes.empty()) return std::nullopt;
    text += as_text(run->bytes);
  }
  return text;
}

const ingest::Catalog* StreamView::update_catalog(const relay::ObjectStore& presentation) {
  const auto object = presentation.find(ingest::kCatalogPath);
  if (!object || !object->complete()) return catalog();
  const Version version{object->epoch, object->id};
  if (catalog_version_ == version) return catalog();
  const auto text = read_whole(presentation, *object, ingest::kCatalogSizeMax);
  auto parsed = text ? ingest::parse_catalog(*text) : std::nullopt;
  if (!parsed) return catalog();
  catalog_version_ = version;
  catalog_ = std::move(parsed);
  return catalog();
}

const StreamView::Listing* StreamView::update_listing(const relay::TrackInfo& track,
                                                      const relay::ObjectStore& store) {
  const auto object = store.find(track.playlist_path);
  if (!object || !object->complete()) return nullptr;
  Listing& listing = listings_[track.id];
  const bool same = !listing.text.empty() && listing.object.epoch == object->epoch &&
                    listing.object.id == object->id;
  if (same) return &listing;
  auto text = read_whole(store, *object, ingest::kPlaylistSizeMax);
  if (!text) return nullptr;
  const auto playlist = ingest::parse_playlist(*text);
  const auto* media = playlist ? std::get_if<ingest::MediaPlaylist>(&playlist->body) : nullptr;
  if (media == nullptr) return nullptr;
  listing = Listing{*object, std::move(*text), media->target_duration, {}, {}};
  for (const ingest::PlaylistUri& uri : playlist->uris) {
    const bool init = uri.kind == ingest::UriKind::map;
    if (!init && uri.kind != ingest::UriKind::segment) continue;
    auto path = ingest::resolve_path(track.playlist_path, uri.text);
    if (path) (init ? listing.inits : listing.segments).push_back(std::move(*path));
  }
  return &listing;
}

const StreamView::Listing* StreamView::listing(TrackId track) const {
  const auto known = listings_.find(track);
  return known == listings_.end() ? nullptr : &known->second;
}

std::optional<TrackId> StreamView::track_listing(std::string_view path) const {
  const auto has = [path](const std::vector<std::string>& paths) {
    return std::ranges::find(paths, path) != paths.end();
  };
  for (const auto& [track, listing] : listings_) {
    if (has(listing.segments) || has(listing.inits)) return track;
  }
  return std::nullopt;
}

EdgeState edge_state(const StreamView::Listing& listing, const relay::ObjectStore& store) {
  EdgeState state;
  state.wanted = std::min(kEdgeSegments, listing.segments.size());
  for (auto path = listing.segments.end() - static_cast<std::ptrdiff_t>(state.wanted);
       path != listing.segments.end(); ++path) {
    if (is_begun(store, *path)) ++state.present;
  }
  return state;
}

bool is_overtaken(const StreamView::Listing& listing, std::string_view path,
                  const relay::ObjectStore& store) {
  const auto at = std::ranges::find(listing.segments, path);
  if (at == listing.segments.end()) return false;
  return std::any_of(at + 1, listing.segments.end(), [&store](const std::string& later) {
    const auto object = store.find(later);
    return object && object->complete();
  });
}

std::string make_master(const ingest::Catalog& catalog) {
  std::string text = "#EXTM3U\n";
  for (const relay::TrackInfo& track : catalog.tracks) {
    const std::uint64_t bps = track.bitrate_bps == 0 ? kUnknownBandwidthBps : track.bitrate_bps;
    text += "#EXT-X-STREAM-INF:BANDWIDTH=" + std::to_string(bps) + "\n" +
            ingest::make_reference("master.m3u8", track.playlist_path) + "\n";
  }
  return text;
}

}  // namespace tayga::playback
