#pragma once

#include "common/base/result.hpp"
#include "common/base/time.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tayga::ingest {

inline constexpr std::size_t kPlaylistSizeMax = 1024 * 1024;
inline constexpr std::size_t kPlaylistEntriesMax = 10'000;  ///< references of all kinds
inline constexpr std::size_t kPlaylistLineSizeMax = 4096;

enum class UriKind : std::uint8_t { variant, rendition, segment, part, map, key };

/// A reference and the place of its text, so that it alone can be replaced.
struct PlaylistUri {
  UriKind kind = UriKind::segment;
  std::string text;        ///< as written, without quotes
  std::size_t offset = 0;  ///< into the playlist's bytes
  std::size_t line = 0;    ///< from 1
};

struct MediaSegment {
  std::string uri;
  Duration duration{0};
  bool discontinuity = false;  ///< EXT-X-DISCONTINUITY stands before it
  bool byte_range = false;     ///< it is a part of a file
};

struct MediaPlaylist {
  Duration target_duration{0};
  std::uint64_t media_sequence = 0;
  bool ended = false;                  ///< EXT-X-ENDLIST
  bool independent_segments = false;   ///< every segment begins with a key frame
  bool byte_ranges = false;            ///< EXT-X-BYTERANGE, or a BYTERANGE attribute, is used
  std::vector<MediaSegment> segments;  ///< oldest first
};

struct Variant {
  std::string uri;
  std::uint64_t bandwidth_bps = 0;  ///< peak, as declared
};

struct MasterPlaylist {
  std::vector<Variant> variants;
  std::vector<std::string> renditions;  ///< URIs of EXT-X-MEDIA; I-frame variants are left out
};

struct Playlist {
  std::variant<MasterPlaylist, MediaPlaylist> body;
  std::vector<PlaylistUri> uris;  ///< every reference, in the order of the text
};

struct PlaylistError {
  std::size_t line = 0;  ///< from 1; 0 = the playlist as a whole
  std::string what;
};
/// "line 7: #EXTINF has no duration".
std::string to_string(const PlaylistError& error);

/// Reads a master or media playlist (RFC 8216) as encoders and packagers write them.
///
/// Tolerates what the RFC forbids but players accept: a byte order mark, CRLF, spaces at the end of
/// a line, a missing EXT-X-TARGETDURATION (the longest segment stands for it), unknown tags.
/// Refuses what is no playlist, mixes both kinds, or breaks a limit above. Cost: linear, no
/// recursion; memory below 20 times the text.
boost::system::result<Playlist, PlaylistError> parse_playlist(std::string_view text);

/// Whether a file of this name must be a playlist: ".m3u8" or ".m3u", any case.
[[nodiscard]] bool is_playlist_path(std::string_view path) noexcept;

}  // namespace tayga::ingest
