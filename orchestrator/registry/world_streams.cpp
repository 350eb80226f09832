#include "common/media/publish_claim.hpp"
#include "common/media/slice.hpp"
#include "orchestrator/registry/world_error.hpp"
#include "orchestrator/registry/world_impl.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace tayga::orch {
namespace {

constexpr std::size_t kStreamNameMax = 63;
constexpr std::size_t kTracksMax = 64;
/// A track's rate is measured all the time; only a change of a quarter moves plans and caps.
constexpr std::uint64_t kBitrateChangePercent = 25;

bool is_stream_name(const std::string& name) {
  const auto is_alphanumeric = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  };
  const auto is_allowed = [&](char c) {
    return is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kStreamNameMax && is_alphanumeric(name.front()) &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

bool are_tracks_valid(const std::vector<TrackRecord>& tracks) {
  if (tracks.size() > kTracksMax) return false;
  std::set<TrackId> seen;
  for (const TrackRecord& track : tracks) {
    if (!seen.insert(track.id).second) return false;
    if (!track.playlist_path.empty() && !media::is_safe_path(track.playlist_path)) return false;
  }
  return true;
}

/// Written with differences and divisions: a gateway may claim any 64-bit rate.
bool is_other_rate(std::uint64_t planned_bps, std::uint64_t measured_bps) {
  const std::uint64_t difference =
      std::max(planned_bps, measured_bps) - std::min(planned_bps, measured_bps);
  return difference > 0 && difference >= planned_bps / 100 * kBitrateChangePercent;
}

}  // namespace

World::Impl::StreamState* World::Impl::find_stream(const std::string& name) {
  const auto it = streams_.find(name);
  return it == streams_.end() ? nullptr : &it->second;
}

World::Impl::StreamState* World::Impl::find_stream(const StreamId& id) {
  const auto name = stream_names_.find(id);
  return name == stream_names_.end() ? nullptr : find_stream(name->second);
}

bool World::Impl::is_live(const StreamState& stream) const {
  if (!stream.published || !stream.record.gateway) return false;
  const auto gateway = nodes_.find(*stream.record.gateway);
  return gateway != nodes_.end() && gateway->second.present;
}

/// True when nobody gets some wanted track yet. Its first viewers come together (a show begins),
/// and each solve for one of them alone would cost the gateway another catch-up.
bool World::Impl::is_first_audience(const StreamState& stream, const std::vector<TrackId>& wanted) {
  if (stream.links.empty()) return true;
  std::set<TrackId> waiting;
  for (const TrackRecord& track : stream.record.tracks) {
    const bool is_wanted = std::find(wanted.begin(), wanted.end(), track.id) != wanted.end();
    if (is_wanted && track.id != kPresentationTrack) waiting.insert(track.id);
  }
  for (const auto& [node, links] : stream.links) {
    if (waiting.empty()) return false;
    for (const UpstreamLink& link : links) waiting.erase(link.track);
  }
  return !waiting.empty();
}

void World::Impl::offer(StreamState& stream, const NodeState& gateway) {
  const NodeId id = gateway.record.id;
  if (stream.record.gateway && *stream.record.gateway != id) return;
  stream.offered.insert(id);
  outputs_.emplace_back(PushOffer{id, stream.record});
}

void World::Impl::withdraw_from_others(StreamState& stream) {
  for (const NodeId& id : stream.offered) {
    const NodeState* state = find_node(id);
    if (id == stream.record.gateway || state == nullptr || !state->connected) continue;
    outputs_.emplace_back(PushWithdrawn{id, stream.record.name});
  }
  std::erase_if(stream.offered, [&](const NodeId& id) { return id != stream.record.gateway; });
}

Result<void> World::Impl::add_stream(StreamRecord record, WorldNow now) {
  if (!is_stream_name(record.name)) return WorldErrc::bad_stream_name;
  if (record.stripe_count < 1 || record.stripe_count > kStripeCountMax) {
    return WorldErrc::bad_stripe_count;
  }
  if (streams_.contains(record.name)) return WorldErrc::stream_exists;
  if (streams_.size() >= options_.streams_max) return WorldErrc::streams_full;
  if (record.created_ms == 0) record.created_ms = now.wall_ms;
  const std::string name = record.name;
  StreamState& stream = streams_[name];
  stream.record = std::move(record);
  outputs_.emplace_back(PersistStream{stream.record});
  for (const auto& [id, state] : nodes_) {
    if (state.connected && state.has(Role::gateway)) offer(stream, state);
  }
  return {};
}

Result<void> World::Impl::remove_stream(const std::string& name, WorldNow) {
  StreamState* stream = find_stream(name);
  if (stream == nullptr) return WorldErrc::stream_not_found;
  for (const NodeId& id : stream->offered) {
    const NodeState* state = find_node(id);
    if (state != nullptr && state->connected) outputs_.emplace_back(PushWithdrawn{id, name});
  }
  if (stream->record.id) {
    take_back(*stream);
    removed_[*stream->record.id] = stream->record;
    stream_names_.erase(*stream->record.id);
  }
  for (const auto& [id, wish] : stream->wishes) {
    refuse(id, name, RefuseJoin::Reason::no_such_stream, "the stream \"" + name + "\" was removed");
  }
  outputs_.emplace_back(EraseStream{name});
  streams_.erase(name);
  return {};
}

/// Every node that was told to carry the stream drops it. Pre: the stream has its key.
void World::Impl::take_back(StreamState& stream) {
  ++stream.revision;
  for (const auto& [id, target] : stream.told) {
    const NodeState* state = find_node(id);
    if (state == nullptr || !state->connected) continue;
    outputs_.emplace_back(drop_assignment(id, *stream.record.id, stream.revision));
  }
  stream.told.clear();
  stream.stale.clear();
  stream.links.clear();
  stream.standby.clear();
  stream.promoted.clear();
  stream.link_since.clear();
  stream.improve_at.reset();
  stream.depth = 0;
}

void World::Impl::refuse(const NodeId& node, const std::string& name, RefuseJoin::Reason reason,
                         std::string message) {
  const NodeState* state = find_node(node);
  if (state == nullptr || !state->connected) return;
  outputs_.emplace_back(RefuseJoin{node, name, reason, std::move(message)});
}

void World::Impl::on_join(const NodeId& node, const std::string& stream_name,
                          std::vector<TrackId> tracks, WorldNow now) {
  const NodeState* state = find_node(node);
  if (state == nullptr || !state->connected) return;
  if (!state->has(Role::viewer)) {
    refuse(node, stream_name, RefuseJoin::Reason::not_allowed,
           "only a node with the viewer role plays; add \"viewer\" to its roles");
    return;
  }
  StreamState* stream = find_stream(stream_name);
  if (stream == nullptr) {
    refuse(node, stream_name, RefuseJoin::Reason::no_such_stream,
           "no stream is named \"" + stream_name + "\"");
    return;
  }
  // Nobody plays without the playlists and the catalog.
  tracks.push_back(kPresentationTrack);
  std::sort(tracks.begin(), tracks.end());
  tracks.erase(std::unique(tracks.begin(), tracks.end()), tracks.end());
  if (tracks.size() > kTracksMax) {
    refuse(node, stream_name, RefuseJoin::Reason::not_allowed, "more than 64 tracks of one stream");
    return;
  }
  const auto [it, is_new] = stream->wishes.try_emplace(node);
  Wish& wish = it->second;
  const bool changed = is_new || wish.tracks != tracks;
  wish.tracks = std::move(tracks);
  if (!is_live(*stream)) {
    if (std::exchange(wish.told_not_live, true)) return;
    refuse(node, stream_name, RefuseJoin::Reason::not_live,
           "no gateway publishes \"" + stream_name + "\" now; it starts by itself when one does");
    return;
  }
  if (!changed) return;
  wish.told_no_capacity = false;
  if (stream->solve_at) return;
  const bool is_first = is_first_audience(*stream, wish.tracks);
  schedule_in(*stream, is_first ? options_.first_join_delay : options_.resolve_delay, now.mono,
              Effort::serve);
}

void World::Impl::on_leave(const NodeId& node, const std::string& stream_name, WorldNow now) {
  StreamState* stream = find_stream(stream_name);
  if (stream == nullptr || stream->wishes.erase(node) == 0) return;
  schedule(*stream, now.mono);
}

Result<void> World::Impl::check_publish(const NodeId& node, const Publish& publish) {
  const StreamState* stream = find_stream(publish.stream_name);
  if (stream == nullptr) return WorldErrc::stream_not_found;
  const StreamRecord& record = stream->record;
  const NodeState* state = find_node(node);
  if (state == nullptr || !state->connected) return WorldErrc::node_not_connected;
  if (!state->has(Role::gateway)) return WorldErrc::not_a_gateway;
  if (record.gateway && *record.gateway != node) return WorldErrc::other_gateway;
  if (record.id && *record.id != publish.id) return WorldErrc::other_key;
  const auto owner = stream_names_.find(publish.id);
  if (owner != stream_names_.end() && owner->second != publish.stream_name) {
    return WorldErrc::key_in_use;
  }
  if (publish.publisher_epoch < record.publisher_epoch) return WorldErrc::old_publisher_epoch;
  if (!are_tracks_valid(publish.tracks)) return WorldErrc::bad_tracks;
  const auto claim = media::serialize_publish_claim(options_.network, node, publish.stream_name);
  if (!crypto::verify(publish.id.bytes, claim, publish.claim)) return WorldErrc::bad_claim;
  return {};
}

/// True when nodes must be told of it: a track came or went, or a rate changed by a quarter.
bool World::Impl::take_tracks(StreamState& stream, const std::vector<TrackRecord>& tracks) {
  std::vector<TrackRecord> sorted = tracks;
  const auto by_id = [](const TrackRecord& a, const TrackRecord& b) { return a.id < b.id; };
  std::sort(sorted.begin(), sorted.end(), by_id);
  if (sorted.empty() || sorted.front().id != kPresentationTrack) {
    sorted.insert(sorted.begin(), TrackRecord{kPresentationTrack, "", 0});
  }
  std::vector<TrackRecord>& known = stream.record.tracks;
  const auto same = [](const TrackRecord& a, const TrackRecord& b) {
    return a.id == b.id && a.playlist_path == b.playlist_path &&
           !is_other_rate(a.bitrate_bps, b.bitrate_bps);
  };
  if (std::equal(known.begin(), known.end(), sorted.begin(), sorted.end(), same)) return false;
  known = std::move(sorted);
  return true;
}

Result<void> World::Impl::on_publish(const NodeId& node, const Publish& publish, WorldNow now) {
  const Result<void> checked = check_publish(node, publish);
  if (!checked) return checked.error();
  StreamState& stream = *find_stream(publish.stream_name);
  const StreamRecord before = stream.record;
  const bool was_live = is_live(stream);
  stream.record.id = publish.id;
  stream.record.gateway = node;
  stream.record.publisher_epoch = publish.publisher_epoch;
  stream_names_[publish.id] = publish.stream_name;
  stream.published = true;
  stream.stopped = false;
  const bool tracks_changed = take_tracks(stream, publish.tracks);
  if (tracks_changed) {
    for (const auto& [id, target] : stream.told) stream.stale.insert(id);
  }
  if (stream.record != before) outputs_.emplace_back(PersistStream{stream.record});
  if (!before.gateway) withdraw_from_others(stream);
  if (!was_live) {
    for (auto& [id, wish] : stream.wishes) wish.told_not_live = false;
  }
  if (!was_live || tracks_changed) schedule(stream, now.mono);
  return {};
}

void World::Impl::on_unpublish(const NodeId& node, const std::string& stream_name, WorldNow now) {
  StreamState* stream = find_stream(stream_name);
  const NodeState* state = find_node(node);
  if (stream == nullptr || state == nullptr || !state->connected) return;
  if (stream->record.gateway != node || !stream->record.id || stream->stopped) return;
  stream->published = false;
  stream->stopped = true;
  stream->solve_at.reset();
  take_back(*stream);
  for (auto& [id, wish] : stream->wishes) wish = Wish{std::move(wish.tracks)};
  schedule_all(now.mono);  // other streams may have the uplink
}

}  // namespace tayga::orch
