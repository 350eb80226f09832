#include "common/base/check.hpp"
#include "common/media/slice.hpp"
#include "daemon/ingest/pull_paths.hpp"
#include "daemon/ingest/track_map.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <string>

// Whatever an encoder or an origin calls a playlist: reading it, learning from it and rewriting it
// keeps to the limits, names only safe paths, and what was rewritten is still the same playlist.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tayga;
  using namespace tayga::ingest;
  const std::string text{as_text(fuzz::to_view(data, size))};
  const auto playlist = parse_playlist(text);
  if (!playlist) {
    TAYGA_CHECK(!to_string(playlist.error()).empty());
    return 0;
  }
  TAYGA_CHECK(playlist->uris.size() <= kPlaylistEntriesMax);
  for (const PlaylistUri& uri : playlist->uris) {
    TAYGA_CHECK(text.compare(uri.offset, uri.text.size(), uri.text) == 0);
    const auto path = resolve_path("v0/index.m3u8", uri.text);
    if (path) TAYGA_CHECK(media::is_safe_path(*path));
  }

  TrackMap map;
  if (const auto* master = std::get_if<MasterPlaylist>(&playlist->body)) {
    TAYGA_CHECK(map.on_master("master.m3u8", *master) || !map.master());
    TAYGA_CHECK(map.tracks().size() <= kTracksMax);
  } else {
    TAYGA_CHECK(map.on_media("v0/index.m3u8", *playlist));
  }

  const HttpUrl root{"http", "origin.example", "/live/master.m3u8", {}};
  const HttpUrl url{"http", "origin.example", "/live/v0/index.m3u8", {}};
  const auto translated = PullPaths{root}.translate("v0/index.m3u8", url, text, *playlist);
  for (const auto& resource : translated.resources) {
    TAYGA_CHECK(media::is_safe_path(resource.path));
  }
  const auto again = parse_playlist(translated.text);
  // Longer references may take a playlist over its own limits, nothing else may break.
  if (!again) {
    TAYGA_CHECK(translated.text.size() > text.size());
    return 0;
  }
  TAYGA_CHECK(again->uris.size() == playlist->uris.size());
  TAYGA_CHECK(again->body.index() == playlist->body.index());
  return 0;
}
