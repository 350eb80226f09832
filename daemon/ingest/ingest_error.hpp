#pragma once

#include "common/base/result.hpp"

#include <cstdint>
#include <string>

namespace tayga::ingest {

enum class IngestErrc : std::uint8_t {
  bad_path = 1,      ///< not a safe relative path
  not_a_playlist,    ///< a .m3u8 whose content is no HLS playlist
  too_large,         ///< the object goes beyond its limit
  too_many_objects,  ///< more uploads open at once than one encoder needs
  too_many_tracks,   ///< more media playlists than a stream may have
  unlisted_full,     ///< too much media waits for a playlist that lists it
  stopped,           ///< the stream was withdrawn or ended meanwhile
};

/// What is wrong, with the value, and what to do: the text goes to the person at the encoder.
struct IngestFailure {
  IngestErrc code{};
  std::string message;
};

template <class T = void>
using IngestResult = boost::system::result<T, IngestFailure>;

/// The HTTP status that tells an encoder of it.
constexpr unsigned to_http_status(IngestErrc code) noexcept {
  switch (code) {
    case IngestErrc::bad_path:
      return 400;
    case IngestErrc::not_a_playlist:
    case IngestErrc::too_many_tracks:
      return 422;
    case IngestErrc::too_large:
      return 413;
    case IngestErrc::too_many_objects:
      return 429;
    case IngestErrc::unlisted_full:
    case IngestErrc::stopped:
      return 503;
  }
  return 500;
}

}  // namespace tayga::ingest
