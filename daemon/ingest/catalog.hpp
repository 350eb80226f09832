#pragma once

#include "daemon/core/assignment.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tayga::ingest {

inline constexpr std::string_view kCatalogPath = ".tayga/catalog.json";
inline constexpr std::size_t kCatalogSizeMax = 64 * 1024;
inline constexpr std::size_t kTracksMax = 15;  ///< media playlists of a stream, track 0 not counted

/// What a stream consists of, as its publisher says: an object of kind catalog on track 0.
///
//  {"version":1,"stripes":4,"tracks":[{"id":1,"playlist":"v0.m3u8","bitrate_bps":812000}],
//   "master":"master.m3u8"}                       master is null when none was published
struct Catalog {
  unsigned stripe_count = 1;
  std::vector<relay::TrackInfo> tracks;  ///< 1..15, without the presentation track
  std::optional<std::string> master;     ///< path of the newest master playlist
  friend bool operator==(const Catalog&, const Catalog&) = default;
};

std::string serialize_catalog(const Catalog& catalog);

/// Checks every field; unknown ones are ignored, so that later versions can add some. nullopt when
/// it is no catalog, has another major version, an unsafe path or a track id outside 1..15.
std::optional<Catalog> parse_catalog(std::string_view json);

}  // namespace tayga::ingest
