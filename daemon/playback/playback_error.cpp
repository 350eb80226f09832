#include "daemon/playback/playback_error.hpp"

#include <string>

namespace tayga::playback {
namespace {

class PlaybackCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "playback"; }

  std::string message(int code) const override {
    switch (static_cast<PlaybackErrc>(code)) {
      case PlaybackErrc::unknown_stream:
        return "the network has no stream of this name";
      case PlaybackErrc::not_live:
        return "the stream is not live now";
      case PlaybackErrc::no_capacity:
        return "the network has no room for another viewer now";
      case PlaybackErrc::not_allowed:
        return "this node may not play the stream";
      case PlaybackErrc::no_orchestrator:
        return "the orchestrator cannot be reached, and this stream was not followed before";
      case PlaybackErrc::timed_out:
        return "nothing of the stream arrived in time";
    }
    return "unknown playback error";
  }
};

}  // namespace

const boost::system::error_category& playback_category() noexcept {
  static const PlaybackCategory category;
  return category;
}

unsigned to_http_status(const error_code& error) noexcept {
  if (error.category() != playback_category()) return 503;
  switch (static_cast<PlaybackErrc>(error.value())) {
    case PlaybackErrc::unknown_stream:
      return 404;
    case PlaybackErrc::not_allowed:
      return 403;
    case PlaybackErrc::timed_out:
      return 504;
    case PlaybackErrc::not_live:
    case PlaybackErrc::no_capacity:
    case PlaybackErrc::no_orchestrator:
      break;
  }
  return 503;
}

}  // namespace tayga::playback
