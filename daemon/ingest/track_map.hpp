#pragma once

#include "common/base/ids.hpp"
#include "common/media/slice.hpp"
#include "daemon/ingest/catalog.hpp"
#include "daemon/ingest/ingest_error.hpp"
#include "daemon/ingest/playlist.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tayga::ingest {

/// What a file is by its name alone.
enum class PathClass : std::uint8_t {
  playlist,
  media,  ///< a segment or init segment: belongs to the track whose playlist lists it
  other,  ///< presentation track (.mpd, .json, ...)
};
PathClass classify_path(std::string_view path) noexcept;

/// Knows to which track an ingested path belongs.
///
/// Pure. Encoders upload a segment before the playlist that lists it, and name files as they like.
/// So a path belongs to the track whose newest playlist lists it; a path not yet listed belongs to
/// the track that alone owns its *stem*, the name with its last run of digits blanked out. A stem
/// counts only when one playlist listed two different names of it: "00001_v0.ts" of one playlist
/// must not claim "00001_v1.ts". Everything else has to wait for its playlist.
class TrackMap {
 public:
  struct Place {
    TrackId track;
    media::ObjectKind kind = media::ObjectKind::segment;
    friend bool operator==(const Place&, const Place&) = default;
  };

  struct Track {
    TrackId id;
    std::string playlist_path;
    std::uint64_t declared_bps = 0;  ///< of the master playlist
    bool seen = false;               ///< its playlist itself was uploaded
  };

  /// Numbers the playlists that it names and that have no track yet, in its order.
  /// Error: too_many_tracks; the master is then not taken.
  IngestResult<void> on_master(std::string_view path, const MasterPlaylist& master);

  /// Learns which files are its. Error: too_many_tracks.
  IngestResult<TrackId> on_media(std::string_view path, const Playlist& playlist);

  /// nullopt: no playlist has listed it, and its stem is nobody's or several tracks'.
  [[nodiscard]] std::optional<Place> find(std::string_view path) const;

  [[nodiscard]] const std::vector<Track>& tracks() const noexcept { return tracks_; }
  [[nodiscard]] const std::optional<std::string>& master() const noexcept { return master_; }

 private:
  struct Stem {
    std::string last_name;  // the newest path seen with it
    bool proven = false;    // two different paths were seen
  };
  struct Names {
    std::map<std::string, media::ObjectKind, std::less<>> listed;  // by the newest playlist
    std::map<std::string, Stem, std::less<>> stems;
  };

  IngestResult<TrackId> track_for(std::string_view playlist_path);

  std::vector<Track> tracks_;
  std::vector<Names> names_;  // of the track at the same index
  std::optional<std::string> master_;
};

/// "v0_00012.m4s" -> "v0_#.m4s"; digits of the directory and of the extension do not count.
/// nullopt when the name has none.
std::optional<std::string> to_stem(std::string_view path);

}  // namespace tayga::ingest
