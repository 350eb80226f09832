#pragma once

#include "common/base/result.hpp"

#include <boost/system/error_category.hpp>
#include <boost/system/is_error_code_enum.hpp>

namespace tayga::playback {

/// Why a stream cannot be played here.
enum class PlaybackErrc {
  unknown_stream = 1,  ///< the network has no stream of that name
  not_live,            ///< known, but nobody publishes it now: try again
  no_capacity,         ///< the network is full: try again
  not_allowed,         ///< this node may not play it
  no_orchestrator,     ///< not reachable, and the stream was not followed before
  timed_out,           ///< no answer, or no media, in time
};

const boost::system::error_category& playback_category() noexcept;
inline error_code make_error_code(PlaybackErrc code) noexcept {
  return {static_cast<int>(code), playback_category()};
}

/// The HTTP status that tells a player; 503 for errors of another category.
unsigned to_http_status(const error_code& error) noexcept;

}  // namespace tayga::playback

template <>
struct boost::system::is_error_code_enum<tayga::playback::PlaybackErrc> : std::true_type {};
