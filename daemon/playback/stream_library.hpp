#pragma once

#include "common/async/event.hpp"
#include "common/async/task.hpp"
#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "daemon/core/object_store.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace tayga::playback {

/// The streams that this node can play, as players see them; daemon/app joins them through the
/// control session and reads them from the relay. On the daemon's executor.
class StreamLibrary {
 public:
  virtual ~StreamLibrary() = default;

  /// Follows the stream with its presentation track (track 0) if that is not so yet, and waits
  /// until its id is known. Errors are errc: no_such_stream-like codes of
  /// playback/playback_error.hpp (unknown stream, not live, no capacity, no orchestrator,
  /// timed_out).
  virtual async::Task<Result<StreamId>> open(std::string stream_name, TimePoint deadline) = 0;

  /// The renditions that players want now besides the presentation track; the whole set each time.
  virtual void set_wanted_tracks(const std::string& stream_name, std::vector<TrackId> tracks) = 0;
  /// Nobody plays it any more: leave the stream.
  virtual void close(const std::string& stream_name) = 0;

  /// nullptr while the track is not here. Valid until the next suspension point.
  [[nodiscard]] virtual const relay::ObjectStore* objects(const StreamId& stream,
                                                          TrackId track) const = 0;
  /// Set whenever objects of the stream changed: wait, look again, wait.
  [[nodiscard]] virtual async::Event& changed(const StreamId& stream) = 0;

  /// Counts bytes given to a player (payload).
  virtual void count_served(const StreamId& stream, std::uint64_t bytes) = 0;
};

}  // namespace tayga::playback
