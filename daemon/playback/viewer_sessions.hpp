#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace tayga::playback {

struct ViewerLimits {
  Duration stream_idle_max = 60s;   ///< a stream nobody asked for this long is left
  Duration track_idle_min = 15s;    ///< a rendition is kept at least this long,
  unsigned track_idle_targets = 3;  ///< and at least so many target durations
  std::size_t streams_max = 64;
};

/// Decides which streams and renditions players want, from what they ask for.
///
/// Sans-IO. After every input poll_action() until it is empty; on_timeout() at next_timeout().
class ViewerSessions {
 public:
  /// The renditions wanted now, the whole set.
  struct SetTracks {
    std::string stream;
    std::vector<TrackId> tracks;
    friend bool operator==(const SetTracks&, const SetTracks&) = default;
  };
  struct Close {
    std::string stream;
    friend bool operator==(const Close&, const Close&) = default;
  };
  using Action = std::variant<SetTracks, Close>;

  explicit ViewerSessions(ViewerLimits limits) : limits_{limits} {}

  /// A player asked for something of the stream. False when streams_max others are open.
  [[nodiscard]] bool on_stream_used(const std::string& stream, TimePoint now);
  /// A player asked for a playlist or segment of the rendition. Pre: the stream is in use; the
  /// presentation track needs no asking.
  void on_track_used(const std::string& stream, TrackId track, Duration target, TimePoint now);
  void on_timeout(TimePoint now);

  [[nodiscard]] std::optional<Action> poll_action();
  [[nodiscard]] std::optional<TimePoint> next_timeout() const;

  /// Since when the rendition is wanted without a break; nullopt: it is not.
  [[nodiscard]] std::optional<TimePoint> wanted_since(const std::string& stream,
                                                      TrackId track) const;
  [[nodiscard]] std::vector<TrackId> wanted(const std::string& stream) const;

 private:
  struct Track {
    TimePoint since;
    TimePoint last_used;
    Duration keep{0};
  };
  struct Stream {
    TimePoint last_used;
    std::map<TrackId, Track> tracks;
  };

  ViewerLimits limits_;
  std::map<std::string, Stream> streams_;
  std::deque<Action> actions_;
};

}  // namespace tayga::playback
