#include "daemon/playback/viewer_sessions.hpp"

#include "common/base/check.hpp"

#include <algorithm>
#include <utility>

namespace tayga::playback {

bool ViewerSessions::on_stream_used(const std::string& stream, TimePoint now) {
  const auto known = streams_.find(stream);
  if (known != streams_.end()) {
    known->second.last_used = now;
    return true;
  }
  if (streams_.size() >= limits_.streams_max) return false;
  streams_.emplace(stream, Stream{now, {}});
  return true;
}

void ViewerSessions::on_track_used(const std::string& stream, TrackId track, Duration target,
                                   TimePoint now) {
  if (track == kPresentationTrack) return;
  const auto known = streams_.find(stream);
  TAYGA_CHECK(known != streams_.end());
  known->second.last_used = now;
  const auto [entry, added] = known->second.tracks.try_emplace(track, Track{now, now, {}});
  entry->second.last_used = now;
  entry->second.keep = std::max(limits_.track_idle_min, target * limits_.track_idle_targets);
  if (added) actions_.emplace_back(SetTracks{stream, wanted(stream)});
}

void ViewerSessions::on_timeout(TimePoint now) {
  for (auto stream = streams_.begin(); stream != streams_.end();) {
    const auto current = stream++;
    if (current->second.last_used + limits_.stream_idle_max <= now) {
      actions_.emplace_back(Close{current->first});
      streams_.erase(current);
      continue;
    }
    const auto left = std::erase_if(current->second.tracks, [now](const auto& entry) {
      return entry.second.last_used + entry.second.keep <= now;
    });
    if (left > 0) actions_.emplace_back(SetTracks{current->first, wanted(current->first)});
  }
}

std::optional<ViewerSessions::Action> ViewerSessions::poll_action() {
  if (actions_.empty()) return std::nullopt;
  Action action = std::move(actions_.front());
  actions_.pop_front();
  return action;
}

std::optional<TimePoint> ViewerSessions::next_timeout() const {
  std::optional<TimePoint> earliest;
  const auto consider = [&earliest](TimePoint time) {
    if (!earliest || time < *earliest) earliest = time;
  };
  for (const auto& [name, stream] : streams_) {
    consider(stream.last_used + limits_.stream_idle_max);
    for (const auto& [id, track] : stream.tracks) consider(track.last_used + track.keep);
  }
  return earliest;
}

std::optional<TimePoint> ViewerSessions::wanted_since(const std::string& stream,
                                                      TrackId track) const {
  const auto known = streams_.find(stream);
  if (known == streams_.end()) return std::nullopt;
  const auto entry = known->second.tracks.find(track);
  if (entry == known->second.tracks.end()) return std::nullopt;
  return entry->second.since;
}

std::vector<TrackId> ViewerSessions::wanted(const std::string& stream) const {
  std::vector<TrackId> list;
  const auto known = streams_.find(stream);
  if (known == streams_.end()) return list;
  for (const auto& [id, track] : known->second.tracks) list.push_back(id);
  return list;
}

}  // namespace tayga::playback
