#include "orchestrator/registry/world.hpp"

#include "orchestrator/registry/world_impl.hpp"

#include <algorithm>
#include <utility>

namespace tayga::orch {

World::Impl::Impl(const WorldOptions& options)
    : options_{options},
      health_{options.failed_pair_quarantine,
              // A complaint must still count when the parent was silent for long enough.
              std::max(LinkHealth::kComplaintWindow, 2 * silence_max())} {}

void World::Impl::restore(std::vector<NodeRecord> nodes, std::vector<StreamRecord> streams,
                          WorldNow now) {
  // With nothing to remember there is nobody to wait for.
  if (!nodes.empty() || !streams.empty()) solving_from_ = now.mono + options_.restart_grace;
  // The store forgets no node. Banned ones first, then those that were seen last.
  const auto goes_before = [](const NodeRecord& a, const NodeRecord& b) {
    if (a.ban_reason.empty() != b.ban_reason.empty()) return b.ban_reason.empty();
    return a.last_seen_ms > b.last_seen_ms;
  };
  std::stable_sort(nodes.begin(), nodes.end(), goes_before);
  if (nodes.size() > options_.nodes_max) nodes.resize(options_.nodes_max);
  for (NodeRecord& record : nodes) {
    const NodeId id = record.id;
    nodes_[id].record = std::move(record);
  }
  for (StreamRecord& record : streams) {
    if (record.id) stream_names_[*record.id] = record.name;
    const std::string name = record.name;
    streams_[name].record = std::move(record);
  }
}

std::shared_ptr<const World::Snapshot> World::Impl::snapshot(WorldNow now) const {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->taken_ms = now.wall_ms;
  snapshot->nodes.reserve(nodes_.size());
  for (const auto& [id, state] : nodes_) {
    snapshot->nodes.push_back(NodeStatus{
        state.record, state.connected, state.connected ? state.connected_since_ms : 0,
        usable_uplink_bps(state, now.mono), state.uplink.measured_bps(now.mono), state.telemetry});
  }
  snapshot->streams.reserve(streams_.size());
  for (const auto& [name, stream] : streams_) {
    StreamStatus status;
    status.record = stream.record;
    status.live = is_live(stream);
    status.viewers = stream.wishes.size();
    for (const auto& [node, links] : stream.links) {
      status.carriers += stream.wishes.contains(node) ? 0U : 1U;
    }
    status.depth = stream.depth;
    status.revision = stream.revision;
    status.upstream = stream.links;
    status.standby = stream.standby;
    snapshot->streams.push_back(std::move(status));
  }
  return snapshot;
}

const NodeRecord* World::Impl::node(const NodeId& id) const {
  const auto it = nodes_.find(id);
  return it == nodes_.end() ? nullptr : &it->second.record;
}

const StreamRecord* World::Impl::stream(const StreamId& id) const {
  const auto name = stream_names_.find(id);
  if (name != stream_names_.end()) return stream(name->second);
  const auto removed = removed_.find(id);
  return removed == removed_.end() ? nullptr : &removed->second;
}

const StreamRecord* World::Impl::stream(const std::string& name) const {
  const auto it = streams_.find(name);
  return it == streams_.end() ? nullptr : &it->second.record;
}

World::World(const WorldOptions& options) : impl_{std::make_unique<Impl>(options)} {}
World::~World() = default;

void World::restore(std::vector<NodeRecord> nodes, std::vector<StreamRecord> streams,
                    WorldNow now) {
  impl_->restore(std::move(nodes), std::move(streams), now);
}
Result<void> World::add_stream(StreamRecord stream, WorldNow now) {
  return impl_->add_stream(std::move(stream), now);
}
Result<void> World::remove_stream(const std::string& name, WorldNow now) {
  return impl_->remove_stream(name, now);
}
Result<void> World::on_hello(NodeRecord node, std::vector<Held> held, WorldNow now) {
  return impl_->on_hello(std::move(node), std::move(held), now);
}
void World::on_disconnected(const NodeId& node, WorldNow now) {
  impl_->on_disconnected(node, now);
}
void World::on_goodbye(const NodeId& node, WorldNow now) {
  impl_->on_goodbye(node, now);
}
void World::on_telemetry(const NodeId& node, Telemetry telemetry, WorldNow now) {
  impl_->hear(node, now);
  impl_->on_telemetry(node, std::move(telemetry), now);
}
void World::on_join(const NodeId& node, const std::string& stream_name, std::vector<TrackId> tracks,
                    WorldNow now) {
  impl_->hear(node, now);
  impl_->on_join(node, stream_name, std::move(tracks), now);
}
void World::on_leave(const NodeId& node, const std::string& stream_name, WorldNow now) {
  impl_->hear(node, now);
  impl_->on_leave(node, stream_name, now);
}
Result<void> World::on_publish(const NodeId& node, const Publish& publish, WorldNow now) {
  impl_->hear(node, now);
  return impl_->on_publish(node, publish, now);
}
void World::on_unpublish(const NodeId& node, const std::string& stream_name, WorldNow now) {
  impl_->hear(node, now);
  impl_->on_unpublish(node, stream_name, now);
}
void World::on_link_failure(const NodeId& node, const LinkFailure& failure, WorldNow now) {
  impl_->hear(node, now);
  impl_->on_link_failure(node, failure, now);
}
void World::on_tampering(const NodeId& sender, WorldNow now) {
  impl_->on_tampering(sender, now);
}
void World::on_renew_allocations(const ReceiverLinks& due, WorldNow now) {
  impl_->on_renew_allocations(due, now);
}
void World::on_renew_allocations(WorldNow now) {
  impl_->on_renew_allocations(now);
}
void World::on_timeout(WorldNow now) {
  impl_->on_timeout(now);
}
std::optional<World::Output> World::poll_output() {
  return impl_->poll_output();
}
std::optional<TimePoint> World::next_timeout() const {
  return impl_->next_timeout();
}
std::shared_ptr<const World::Snapshot> World::snapshot(WorldNow now) const {
  return impl_->snapshot(now);
}
const NodeRecord* World::node(const NodeId& id) const {
  return impl_->node(id);
}
const StreamRecord* World::stream(const StreamId& id) const {
  return impl_->stream(id);
}
const StreamRecord* World::stream(const std::string& name) const {
  return impl_->stream(name);
}

}  // namespace tayga::orch
