#pragma once

#include "orchestrator/registry/assignment_diff.hpp"
#include "orchestrator/registry/link_health.hpp"
#include "orchestrator/registry/reachability.hpp"
#include "orchestrator/registry/uplink_estimator.hpp"
#include "orchestrator/registry/world.hpp"
#include "orchestrator/solver/standby_plan.hpp"

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace tayga::orch {

/// The state behind World, in parts: nodes (world_nodes.cpp), what they report of each
/// other (world_failures.cpp), streams (world_streams.cpp), the plans between them
/// (world_plan.cpp), and the plans for when they fail (world_standby.cpp).
class World::Impl {
 public:
  explicit Impl(const WorldOptions& options);

  void restore(std::vector<NodeRecord> nodes, std::vector<StreamRecord> streams, WorldNow now);

  // Streams.
  Result<void> add_stream(StreamRecord record, WorldNow now);
  Result<void> remove_stream(const std::string& name, WorldNow now);
  Result<void> on_publish(const NodeId& node, const Publish& publish, WorldNow now);
  void on_unpublish(const NodeId& node, const std::string& stream_name, WorldNow now);
  void on_join(const NodeId& node, const std::string& stream_name, std::vector<TrackId> tracks,
               WorldNow now);
  void on_leave(const NodeId& node, const std::string& stream_name, WorldNow now);

  // Nodes.
  Result<void> on_hello(NodeRecord record, std::vector<Held> held, WorldNow now);
  void on_disconnected(const NodeId& node, WorldNow now);
  void on_goodbye(const NodeId& node, WorldNow now);
  void on_telemetry(const NodeId& node, Telemetry telemetry, WorldNow now);
  void on_link_failure(const NodeId& node, const LinkFailure& failure, WorldNow now);
  void on_tampering(const NodeId& sender, WorldNow now);
  /// Any message of a connected node: it is not dead.
  void hear(const NodeId& node, WorldNow now);

  // Plans.
  void on_renew_allocations(const ReceiverLinks& due, WorldNow now);
  void on_renew_allocations(WorldNow now);
  void on_timeout(WorldNow now);
  std::optional<Output> poll_output();
  [[nodiscard]] std::optional<TimePoint> next_timeout() const;

  // Views.
  [[nodiscard]] std::shared_ptr<const Snapshot> snapshot(WorldNow now) const;
  [[nodiscard]] const NodeRecord* node(const NodeId& id) const;
  [[nodiscard]] const StreamRecord* stream(const StreamId& id) const;
  [[nodiscard]] const StreamRecord* stream(const std::string& name) const;

 private:
  struct Baseline {
    std::uint64_t bytes_received = 0;
    TimePoint at;
  };
  struct SentBaseline {
    std::uint64_t bytes_sent = 0;
    TimePoint at;
    std::uint64_t rate_bps = 0;  ///< over the last whole interval
  };
  struct NodeState {
    NodeRecord record;
    bool connected = false;
    bool present = false;   ///< connected, or its session broke less than node_grace ago
    TimePoint absent_at{};  ///< when the grace ends; meant while present and not connected
    std::int64_t connected_since_ms = 0;
    TimePoint heard_at{};                 ///< its last message; meant while connected
    bool reports = false;                 ///< it sent telemetry in this session
    std::optional<TimePoint> dead_since;  ///< its children agree, and it is silent towards us
    std::optional<TimePoint> judge_at;    ///< when its children's complaints are looked at
    Telemetry telemetry;
    std::map<NodeId, Baseline> received;  ///< per parent, where the present rate interval began
    std::map<NodeId, SentBaseline> sent;  ///< per child
    std::map<NodeId, std::uint64_t> dropped_bytes;  ///< per child, at the last report
    UplinkEstimator uplink;

    [[nodiscard]] bool has(Role role) const { return has_role(record.roles, role); }
    /// May have children: there, alive, not banned.
    [[nodiscard]] bool may_serve() const {
      return present && !dead_since && record.ban_reason.empty();
    }
  };
  struct Wish {
    std::vector<TrackId> tracks;
    bool told_not_live = false;
    bool told_no_capacity = false;
  };
  struct StreamState {
    StreamRecord record;
    bool published = false;  ///< by record.gateway, since it came
    bool stopped = false;    ///< by its publisher: what nodes still hold of it is taken back
    std::set<NodeId> offered;
    std::map<NodeId, Wish> wishes;
    LinkPlan links;    ///< in force, or held by nodes since before us
    LinkPlan standby;  ///< one a stripe at most, beside the links
    /// Since which revision a node is to have each of its links, or of its standbys.
    std::map<NodeId, std::map<UpstreamLink, std::uint64_t>> link_since;
    std::map<NodeId, NodeTarget> told;
    std::set<NodeId> stale;  ///< to be told again although nothing changed
    std::uint64_t revision = 0;
    std::uint32_t audience = 0;  ///< as nodes are told: rounded up
    unsigned depth = 0;
    std::optional<TimePoint> solve_at;
    Effort effort = Effort::rest;         ///< of that solve: the most that was asked for
    std::optional<TimePoint> improve_at;  ///< when the plan is looked at for a better one
    TimePoint upgraded_at{};              ///< when standbys were last replaced by better ones
    LinkPlan promoted;                    ///< of `links`: by nodes themselves, since the last solve
  };

  // world_nodes.cpp
  bool make_room_for_node();
  void accept_held(NodeState& state, const std::vector<Held>& held, WorldNow now);
  void accept_held_stream(const NodeId& node, StreamState& stream, const Held& held, TimePoint now);
  [[nodiscard]] bool is_new_process(const NodeState& state, const std::vector<Held>& held) const;
  void tell_address(const NodeId& parent, TimePoint now);
  void drop_from_stream(const NodeId& node, StreamState& stream);
  void depart(NodeState& state, WorldNow now);
  void measure_links(NodeState& state, const Telemetry& telemetry, WorldNow now);
  static void measure_sent(NodeState& state, Telemetry& telemetry, TimePoint now);
  void note_congestion(NodeState& state, const Telemetry& telemetry, WorldNow now);
  [[nodiscard]] std::uint64_t usable_uplink_bps(const NodeState& state, TimePoint now) const;
  NodeState* find_node(const NodeId& id);

  // world_failures.cpp
  static bool names_link(const StreamState& stream, const LinkPlan& plan, const NodeId& node,
                         const LinkFailure& failure);
  static void drop_failed(std::vector<UpstreamLink>& links, const LinkFailure& failure);
  enum class OtherParent : std::uint8_t { no, yes };
  void hold_back(const NodeId& node, const LinkFailure& failure, OtherParent other, TimePoint now);
  void complain(const NodeId& node, const LinkFailure& failure, WorldNow now);
  [[nodiscard]] Duration silence_max() const;
  [[nodiscard]] bool is_doubted(const NodeState& state, TimePoint now) const;
  void judge_at(NodeState& parent, TimePoint now) const;
  static constexpr TimePoint kNever = TimePoint::max();
  [[nodiscard]] TimePoint nodes_due() const;
  void judge(NodeState& parent, WorldNow now);
  void revive(NodeState& state, WorldNow now);

  // world_streams.cpp
  void offer(StreamState& stream, const NodeState& gateway);
  void withdraw_from_others(StreamState& stream);
  Result<void> check_publish(const NodeId& node, const Publish& publish);
  bool take_tracks(StreamState& stream, const std::vector<TrackRecord>& tracks);
  void take_back(StreamState& stream);
  void refuse(const NodeId& node, const std::string& name, RefuseJoin::Reason reason,
              std::string message);
  [[nodiscard]] bool is_live(const StreamState& stream) const;
  static bool is_first_audience(const StreamState& stream, const std::vector<TrackId>& wanted);
  StreamState* find_stream(const std::string& name);
  StreamState* find_stream(const StreamId& id);

  // world_plan.cpp
  /// Tells a node to stop carrying a stream.
  static PushAssignment drop_assignment(const NodeId& node, const StreamId& stream,
                                        std::uint64_t revision);
  void schedule(StreamState& stream, TimePoint now, Effort effort = Effort::serve) {
    schedule_in(stream, options_.resolve_delay, now, effort);
  }
  void schedule_in(StreamState& stream, Duration delay, TimePoint now, Effort effort);
  void schedule_node(const NodeId& node, TimePoint now);
  void schedule_all(TimePoint now);
  void solve_stream(StreamState& stream, WorldNow now);
  static bool trust_all(SolverInput& input);
  static void improve_in(StreamState& stream, Duration delay, TimePoint now);
  [[nodiscard]] SolverInput solver_input(const StreamState& stream, TimePoint now);
  void add_node_views(SolverInput& input, const StreamState& stream, TimePoint now) const;
  void add_viewers(SolverInput& input, const StreamState& stream) const;
  void add_rtts(SolverInput& input) const;
  void push_again(StreamState& stream, TimePoint now);
  void apply_plan(StreamState& stream, SolverPlan plan, WorldNow now);
  void push_changes(StreamState& stream);
  static void note_links(StreamState& stream, const NodeId& node,
                         const std::map<NodeId, NodeTarget>& targets);
  void tell_unserved(StreamState& stream, const SolverPlan& plan, TimePoint now);

  // world_standby.cpp
  enum class Load : std::uint8_t { add, remove };
  /// What standbys are planned with, and which sessions all streams need together.
  struct StandbyBooks {
    /// Place of a node in the input; nullopt: it is not there.
    [[nodiscard]] std::optional<std::size_t> find(const NodeId& id) const;

    StandbyInput input;
    std::vector<NodeId> ids;                                 ///< by node of the input, ascending
    std::vector<std::uint32_t> children_max;                 ///< by node of the input
    std::vector<std::uint32_t> children;                     ///< distinct, over plans and standbys
    std::unordered_map<std::uint64_t, std::uint32_t> links;  ///< per (parent, child)
  };
  StandbyBooks standby_books(TimePoint now);
  static void count_session(StandbyBooks& books, std::size_t parent, std::size_t child, Load load);
  static void move_standby_load(StandbyBooks& books, const StreamState& stream, Load load);
  bool plan_stream_standbys(StreamState& stream, StandbyBooks& books, TimePoint now) const;
  void refresh_standbys(WorldNow now);
  void refresh_standbys_in(Duration delay, TimePoint now);
  /// The link of the same track and stripe; nullptr when there is none.
  static UpstreamLink* find_link(LinkPlan& plan, const NodeId& node, const UpstreamLink& of);
  static bool leads_up(StreamState& stream, const NodeId& node, const UpstreamLink& link);
  static bool is_standby(StreamState& stream, const NodeId& node, const UpstreamLink& link);
  bool promote(StreamState& stream, const NodeId& node, const UpstreamLink& link);
  void take_promotion(StreamState& stream, const NodeId& node, const LinkFailure& failure);
  void take_held_promotions(StreamState& stream, const NodeId& node, const Held& held,
                            TimePoint now);
  void promote_orphans(StreamState& stream);
  static void count_audience(StreamState& stream);
  [[nodiscard]] std::map<NodeId, NodeTarget> targets_of(StreamState& stream) const;

  WorldOptions options_;
  std::map<NodeId, NodeState> nodes_;
  /// Earliest of the nodes' times; kNever: none has one; nothing: has to be looked for again.
  mutable std::optional<TimePoint> nodes_due_;
  std::map<std::string, StreamState> streams_;
  std::map<StreamId, std::string> stream_names_;
  std::map<StreamId, StreamRecord> removed_;  ///< until the outputs that name them are polled
  LinkHealth health_;
  Reachability reachability_;
  TimePoint solving_from_{};
  std::optional<TimePoint> refresh_at_;  ///< of standbys
  std::deque<Output> outputs_;
};

}  // namespace tayga::orch
