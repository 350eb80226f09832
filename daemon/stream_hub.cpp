#include "daemon/stream_hub.hpp"

#include "common/async/clock.hpp"
#include "common/log/log.hpp"

#include <algorithm>

namespace tayga {
namespace {

using playback::PlaybackErrc;

/// Longer than any open() waits, and than players pause before they ask again.
constexpr Duration kUnplayedMax = 30s;

PlaybackErrc to_error(control::JoinRefusal reason) noexcept {
  switch (reason) {
    case control::JoinRefusal::no_such_stream:
      return PlaybackErrc::unknown_stream;
    case control::JoinRefusal::not_allowed:
      return PlaybackErrc::not_allowed;
    case control::JoinRefusal::not_live:
      return PlaybackErrc::not_live;
    case control::JoinRefusal::no_capacity:
      return PlaybackErrc::no_capacity;
  }
  return PlaybackErrc::unknown_stream;
}

}  // namespace

StreamHub::StreamHub(boost::asio::any_io_executor executor, Parts parts)
    : executor_{executor}, parts_{parts}, unknown_{executor} {
  if (parts_.journal) audit_.emplace(*parts_.journal);
}

async::Task<Result<StreamId>> StreamHub::open(std::string stream_name, TimePoint deadline) {
  auto& slot = followed_[stream_name];
  if (!slot) {
    if (followed_.size() > kStreamsMax) {
      followed_.erase(stream_name);
      co_return PlaybackErrc::no_capacity;
    }
    slot = std::make_shared<Followed>(executor_);
    slot->name = stream_name;
    const bool is_local = publishing_ && publishing_->live_stream(stream_name);
    if (!is_local && !parts_.control.join(stream_name, {kPresentationTrack})) {
      followed_.erase(stream_name);
      co_return PlaybackErrc::no_capacity;
    }
  }
  const std::shared_ptr<Followed> followed = slot;  // it may be closed while we wait
  followed->asked_at = async::Clock::now();
  // Each time: its encoder may have begun since it was asked for, or have come back with a new key.
  if (const auto local = publishing_ ? publishing_->live_stream(stream_name) : std::nullopt) {
    if (followed->id != local) resolve(*followed, *local);
  }
  while (!followed->id && !followed->refused) {
    const async::WaitResult waited = co_await followed->resolved.wait(deadline);
    if (waited == async::WaitResult::signalled) continue;
    if (followed->id || followed->refused) break;
    co_return parts_.control.connected() ? PlaybackErrc::timed_out : PlaybackErrc::no_orchestrator;
  }
  if (followed->id) {
    followed->is_played = true;
    co_return *followed->id;
  }
  const PlaybackErrc refused = *followed->refused;
  // The orchestrator forgets what it does not know: ask again with the next request. Another
  // request may have begun to do so already.
  const auto found = followed_.find(stream_name);
  const bool is_current = found != followed_.end() && found->second == followed;
  if (refused != PlaybackErrc::not_live && is_current) close(stream_name);
  co_return refused;
}

void StreamHub::set_wanted_tracks(const std::string& stream_name, std::vector<TrackId> tracks) {
  const auto found = followed_.find(stream_name);
  if (found == followed_.end()) return;
  Followed& followed = *found->second;
  if (std::find(tracks.begin(), tracks.end(), kPresentationTrack) == tracks.end()) {
    tracks.insert(tracks.begin(), kPresentationTrack);
  }
  if (tracks == followed.tracks) return;
  followed.tracks = std::move(tracks);
  const bool local = publishing_ && publishing_->live_stream(stream_name);
  if (!local && !parts_.control.join(stream_name, followed.tracks)) {
    log::warn("the stream cannot be joined: too many are", log::field("stream", stream_name));
  }
  demand(followed);
}

void StreamHub::close(const std::string& stream_name) {
  const auto found = followed_.find(stream_name);
  if (found == followed_.end()) return;
  const std::shared_ptr<Followed> followed = found->second;
  followed_.erase(found);
  parts_.control.leave(stream_name);
  if (followed->id) end_demand(*followed->id);
}

void StreamHub::drop_unplayed(TimePoint now) {
  std::vector<std::string> names;
  for (const auto& [name, followed] : followed_) {
    if (!followed->is_played && now - followed->asked_at > kUnplayedMax) names.push_back(name);
  }
  for (const std::string& name : names) close(name);
}

const relay::ObjectStore* StreamHub::objects(const StreamId& stream, TrackId track) const {
  return parts_.relay.objects(stream, track);
}

async::Event& StreamHub::changed(const StreamId& stream) {
  Followed* followed = find(stream);
  return followed ? followed->changed : unknown_;
}

void StreamHub::count_served(const StreamId& stream, std::uint64_t bytes) {
  served_[stream] += bytes;
}

void StreamHub::on_assignment(const relay::Assignment& assignment) {
  const auto found = followed_.find(assignment.stream.name);
  if (found == followed_.end() || !assignment.carry) return;
  Followed& followed = *found->second;
  if (followed.id == assignment.stream.id) return;
  resolve(followed, assignment.stream.id);
}

void StreamHub::on_join_refused(const std::string& name, control::JoinRefusal reason) {
  const auto found = followed_.find(name);
  if (found == followed_.end() || found->second->id) return;
  found->second->refused = to_error(reason);
  found->second->resolved.pulse();
}

void StreamHub::resolve(Followed& followed, const StreamId& id) {
  if (followed.id) end_demand(*followed.id);
  followed.id = id;
  followed.refused.reset();
  demand(followed);
  followed.resolved.pulse();
  followed.changed.pulse();
}

void StreamHub::demand(const Followed& followed) {
  if (!followed.id) return;
  parts_.driver.input([&](relay::Relay& relay, relay::Now now) {
    relay.on_local_demand(*followed.id, followed.tracks, now);
  });
}

void StreamHub::end_demand(const StreamId& stream) {
  parts_.driver.input(
      [&](relay::Relay& relay, relay::Now now) { relay.on_local_demand(stream, {}, now); });
}

void StreamHub::on_progress(const StreamId& stream, TrackId track) {
  Followed* followed = find(stream);
  if (!followed) return;
  if (audit_) {
    if (const relay::ObjectStore* store = objects(stream, track)) {
      audit_->on_progress(followed->name, track, *store);
    }
  }
  followed->changed.pulse();
}

StreamHub::Followed* StreamHub::find(const StreamId& stream) {
  for (auto& [name, followed] : followed_) {
    if (followed->id == stream) return followed.get();
  }
  return nullptr;
}

}  // namespace tayga
