#pragma once

#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/crypto/ed25519.hpp"
#include "orchestrator/model/records.hpp"
#include "orchestrator/solver/solver.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace tayga::orch {

struct WorldOptions {
  NetworkId network;
  Duration resolve_delay = 20ms;      ///< joins within it are solved together
  Duration first_join_delay = 120ms;  ///< the first audience of a track is solved together
  Duration node_grace = 3s;           ///< a node whose session broke keeps its place this long
  Duration restart_grace = 2s;  ///< after our start: wait for nodes' held links before solving
  Duration failed_pair_quarantine = 30s;
  Duration telemetry_interval = 1s;  ///< as nodes are told: who is silent for longer may be dead
  Duration improve_interval = 15s;   ///< a plan that changed is looked at for a better one so late
  Duration upgrade_interval = 15s;   ///< between standbys of a lesser kind and better ones
  Duration migration_interval = 5s;  ///< between the parts of the way to a better plan
  unsigned gateway_copies = 1;
  Duration standby_refresh = 1s;        ///< after telemetry: standbys follow what nodes can spare
  unsigned rescue_share_permille = 50;  ///< of the audience may have one object from the gateway
  std::size_t nodes_max = 100'000;
  std::size_t streams_max = 1024;
};

/// Both clocks, read once by the shell.
struct WorldNow {
  TimePoint mono;
  std::int64_t wall_ms = 0;
};

/// Everything the orchestrator knows, and what it decides: nodes, links, streams, who joins what,
/// and the current plan per stream.
///
/// Sans-IO, one owner thread. After every input call poll_output() until empty; call on_timeout()
/// at next_timeout().
class World {
 public:
  // Outputs.
  /// Target state for a connected node; allocations are signed by the shell per (parent, stripes).
  struct PushAssignment {
    NodeAssignment assignment;
  };
  struct PushOffer {
    NodeId gateway;
    StreamRecord stream;
  };
  struct PushWithdrawn {
    NodeId gateway;
    std::string stream_name;
  };
  struct RefuseJoin {
    NodeId node;
    std::string stream_name;
    enum class Reason : std::uint8_t {
      no_such_stream = 1,
      not_live,
      no_capacity,
      not_allowed
    } reason;
    std::string message;
  };
  struct PersistNode {
    NodeRecord node;
  };
  struct PersistStream {
    StreamRecord stream;
  };
  struct EraseStream {
    std::string name;
  };
  using Output = std::variant<PushAssignment, PushOffer, PushWithdrawn, RefuseJoin, PersistNode,
                              PersistStream, EraseStream>;

  explicit World(const WorldOptions& options);
  ~World();

  // Start: what the store held.
  void restore(std::vector<NodeRecord> nodes, std::vector<StreamRecord> streams, WorldNow now);

  // Operator. Errors: stream_exists, stream_not_found, bad_stream_name, bad_stripe_count,
  // streams_full (see registry/world_error.hpp).
  Result<void> add_stream(StreamRecord stream, WorldNow now);
  Result<void> remove_stream(const std::string& name, WorldNow now);

  // Nodes. A hello of a node that is connected already replaces its session (the shell drops the
  // old). `held` is all that the node carries and plays: what it does not list, it must join again.
  // Errors: bad_hello, nodes_full.
  struct Held {
    StreamId stream;
    std::uint64_t revision = 0;
    std::vector<UpstreamLink> upstream;
    std::vector<TrackId> playing;
    std::vector<UpstreamLink> standby;
  };
  Result<void> on_hello(NodeRecord node, std::vector<Held> held, WorldNow now);
  void on_disconnected(const NodeId& node, WorldNow now);
  void on_goodbye(const NodeId& node, WorldNow now);
  void on_telemetry(const NodeId& node, Telemetry telemetry, WorldNow now);
  void on_join(const NodeId& node, const std::string& stream_name, std::vector<TrackId> tracks,
               WorldNow now);
  void on_leave(const NodeId& node, const std::string& stream_name, WorldNow now);
  struct Publish {
    std::string stream_name;
    StreamId id;
    crypto::Signature claim{};
    std::uint32_t publisher_epoch = 0;
    std::vector<TrackRecord> tracks;
  };
  /// The first valid claim pins both the stream's key and its gateway: only that node holds the
  /// key. Errors: stream_not_found, node_not_connected, not_a_gateway, other_gateway, other_key,
  /// key_in_use, old_publisher_epoch, bad_tracks, bad_claim. Nothing changes then.
  Result<void> on_publish(const NodeId& node, const Publish& publish, WorldNow now);
  /// The gateway's publisher stopped: the stream is not live, and nobody carries it. Who plays it
  /// is remembered and served when it is live again. Ignored from a node that does not publish it;
  /// repeating it changes nothing.
  void on_unpublish(const NodeId& node, const std::string& stream_name, WorldNow now);
  struct LinkFailure {
    StreamId stream;
    TrackId track;
    std::uint32_t stripe_mask = 0;
    NodeId parent;
    LinkFailureReason reason = LinkFailureReason::reset;
    std::uint64_t revision = 0;
    std::optional<NodeId> promoted_to;  ///< the standby that took over, before we were asked
  };
  /// A standby that took over is the parent in the plan in force from here on; the next solve keeps
  /// it where there is room (a gateway only for want of a peer), moves nobody else, and names the
  /// next standby. Children's complaints
  /// condemn a connected parent once it is silent towards us as well; a gateway they never do.
  void on_link_failure(const NodeId& node, const LinkFailure& failure, WorldNow now);
  /// Evidence that was verified by the shell: `sender` sent what the signed header does not cover.
  void on_tampering(const NodeId& sender, WorldNow now);
  /// Allocations are near their end: push the assignments of `due` again (fresh allocations).
  using ReceiverLinks = std::set<std::pair<NodeId, StreamId>>;
  void on_renew_allocations(const ReceiverLinks& due, WorldNow now);
  /// The same for everybody, at the turn of the accounting epoch.
  void on_renew_allocations(WorldNow now);

  void on_timeout(WorldNow now);
  [[nodiscard]] std::optional<Output> poll_output();
  [[nodiscard]] std::optional<TimePoint> next_timeout() const;

  // Views.
  struct NodeStatus {
    NodeRecord record;
    bool connected = false;
    std::int64_t connected_since_ms = 0;
    std::uint64_t usable_uplink_bps = 0;
    std::uint64_t measured_uplink_bps = 0;
    Telemetry telemetry;
  };
  struct StreamStatus {
    StreamRecord record;
    bool live = false;  ///< a gateway publishes it now
    std::size_t viewers = 0;
    std::size_t carriers = 0;  ///< relays that carry it without playing it
    unsigned depth = 0;
    std::uint64_t revision = 0;
    std::map<NodeId, std::vector<UpstreamLink>> upstream;
    std::map<NodeId, std::vector<UpstreamLink>> standby;
  };
  /// Immutable copy for the HTTP and admin threads.
  struct Snapshot {
    std::int64_t taken_ms = 0;
    std::vector<NodeStatus> nodes;
    std::vector<StreamStatus> streams;
  };
  [[nodiscard]] std::shared_ptr<const Snapshot> snapshot(WorldNow now) const;
  [[nodiscard]] const NodeRecord* node(const NodeId& id) const;
  /// Also a stream that was removed, until poll_output() was empty once: its last assignments,
  /// which tell nodes to drop it, still name it.
  [[nodiscard]] const StreamRecord* stream(const StreamId& id) const;
  [[nodiscard]] const StreamRecord* stream(const std::string& name) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tayga::orch
