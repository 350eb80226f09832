#pragma once

#include "common/crypto/ed25519.hpp"
#include "common/media/publish_claim.hpp"
#include "orchestrator/registry/world.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tayga::orch::test {

inline NodeId node_id(unsigned number) {
  NodeId id;
  id.bytes[0] = static_cast<std::byte>(number >> 8);
  id.bytes[1] = static_cast<std::byte>(number);
  return id;
}

inline WorldOptions options_with(std::size_t nodes_max, std::size_t streams_max,
                                 unsigned gateway_copies) {
  WorldOptions options;
  options.nodes_max = nodes_max;
  options.streams_max = streams_max;
  options.gateway_copies = gateway_copies;
  return options;
}

inline crypto::SigningKey stream_key(unsigned number) {
  crypto::init();
  std::array<std::byte, 32> seed{};
  seed[0] = static_cast<std::byte>(number);
  return crypto::SigningKey::from_seed(seed);
}

/// A World with a clock of its own, and nodes that are played by hand: what was pushed to each is
/// kept as that node's state, as a node would.
class WorldDriver {
 public:
  explicit WorldDriver(const WorldOptions& world_options = {})
      : options{world_options}, world{world_options} {}

  WorldOptions options;
  World world;
  WorldNow now{TimePoint{Duration{5'000'000'000}}, 1'800'000'000'000};

  std::vector<NodeAssignment> pushed;  ///< since the last clear(), in order
  std::vector<World::RefuseJoin> refused;
  std::vector<World::PushOffer> offers;
  std::vector<World::PushWithdrawn> withdrawn;
  std::vector<NodeRecord> persisted_nodes;
  std::vector<StreamRecord> persisted_streams;
  std::vector<std::string> erased;
  std::map<NodeId, NodeAssignment> state;  ///< the newest assignment of each node
  std::size_t outputs = 0;

  void clear() {
    pushed.clear();
    refused.clear();
    offers.clear();
    withdrawn.clear();
    persisted_nodes.clear();
    persisted_streams.clear();
    erased.clear();
  }

  void drain() {
    while (auto output = world.poll_output()) {
      ++outputs;
      std::visit([this](auto& one) { take(one); }, *output);
    }
  }

  /// Lets `duration` pass, with every timeout at its time.
  void pass(Duration duration) {
    drain();
    const TimePoint end = now.mono + duration;
    for (auto next = world.next_timeout(); next && *next <= end; next = world.next_timeout()) {
      set_time(std::max(*next, now.mono));
      world.on_timeout(now);
      drain();
    }
    set_time(end);
  }
  /// Past the delay of a first audience, and so of every solve.
  void settle() { pass(150ms); }

  Result<void> hello(unsigned node, Roles roles, std::uint64_t upload_mbit,
                     std::vector<World::Held> held = {}, std::vector<Endpoint> endpoints = {}) {
    NodeRecord record;
    record.id = node_id(node);
    record.name = "node-" + std::to_string(node);
    record.roles = roles;
    record.declared_upload_bps = upload_mbit * 1'000'000;
    record.children_max = 100;
    record.endpoints = std::move(endpoints);
    return world.on_hello(record, std::move(held), now);
  }
  void gateway(unsigned node, std::uint64_t upload_mbit = 0) {
    hello(node, static_cast<Roles>(Role::gateway), upload_mbit).value();
  }
  void relay(unsigned node, std::uint64_t upload_mbit = 50) {
    hello(node, static_cast<Roles>(Role::relay), upload_mbit).value();
  }
  void viewer(unsigned node, std::uint64_t upload_mbit = 10) {
    hello(node, static_cast<Roles>(Role::viewer), upload_mbit).value();
  }
  void join(unsigned node, std::vector<TrackId> tracks = {TrackId{1}}) {
    world.on_join(node_id(node), "show", std::move(tracks), now);
  }

  static StreamRecord show(unsigned stripe_count = 1) {
    StreamRecord record;
    record.name = "show";
    record.stripe_count = stripe_count;
    return record;
  }
  World::Publish claim(unsigned gateway, unsigned key = 1, const std::string& name = "show",
                       std::uint64_t bitrate_bps = 3'000'000) const {
    const crypto::SigningKey signer = stream_key(key);
    World::Publish publish;
    publish.stream_name = name;
    publish.id = signer.stream_id();
    publish.claim =
        signer.sign(media::serialize_publish_claim(options.network, node_id(gateway), name));
    publish.publisher_epoch = 100;
    publish.tracks = {TrackRecord{kPresentationTrack, "", 0},
                      TrackRecord{TrackId{1}, "v1.m3u8", bitrate_bps}};
    return publish;
  }
  /// Stream "show", live from gateway node 1.
  void go_live(unsigned stripe_count = 1) {
    world.add_stream(show(stripe_count), now).value();
    gateway(1);
    world.on_publish(node_id(1), claim(1), now).value();
    settle();
  }

  [[nodiscard]] NodeId parent_of(unsigned node, TrackId track = TrackId{1}) const {
    const auto it = state.find(node_id(node));
    if (it == state.end()) return NodeId{};
    for (const UpstreamLink& link : it->second.upstream) {
      if (link.track == track) return link.parent;
    }
    return NodeId{};
  }
  [[nodiscard]] bool is_served(unsigned node) const { return !parent_of(node).is_zero(); }
  [[nodiscard]] bool was_pushed(unsigned node) const {
    const auto is_it = [&](const NodeAssignment& a) { return a.node == node_id(node); };
    return std::any_of(pushed.begin(), pushed.end(), is_it);
  }
  /// What a node with this state says when it comes back.
  [[nodiscard]] std::vector<World::Held> held_by(unsigned node, bool plays = true) const {
    const auto it = state.find(node_id(node));
    if (it == state.end() || !it->second.carry) return {};
    std::vector<TrackId> playing;
    if (plays) playing = {kPresentationTrack, TrackId{1}};
    return {World::Held{it->second.stream, it->second.revision, it->second.upstream, playing,
                        it->second.standby}};
  }
  World::LinkFailure failure(unsigned node,
                             LinkFailureReason reason = LinkFailureReason::reset) const {
    const NodeAssignment& assignment = state.at(node_id(node));
    return World::LinkFailure{assignment.stream,   TrackId{1},  1, parent_of(node), reason,
                              assignment.revision, std::nullopt};
  }
  void fail(unsigned node, LinkFailureReason reason = LinkFailureReason::reset) {
    world.on_link_failure(node_id(node), failure(node, reason), now);
  }

  void set_time(TimePoint mono) {
    now.wall_ms += std::chrono::duration_cast<std::chrono::milliseconds>(mono - now.mono).count();
    now.mono = mono;
  }

 private:
  void take(World::PushAssignment& one) {
    pushed.push_back(one.assignment);
    state[one.assignment.node] = one.assignment;
  }
  void take(World::RefuseJoin& one) { refused.push_back(one); }
  void take(World::PushOffer& one) { offers.push_back(one); }
  void take(World::PushWithdrawn& one) { withdrawn.push_back(one); }
  void take(World::PersistNode& one) { persisted_nodes.push_back(one.node); }
  void take(World::PersistStream& one) { persisted_streams.push_back(one.stream); }
  void take(World::EraseStream& one) { erased.push_back(one.name); }
};

}  // namespace tayga::orch::test
