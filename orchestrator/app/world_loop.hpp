#pragma once

#include "common/base/time.hpp"
#include "orchestrator/app/assignment_issuer.hpp"
#include "orchestrator/app/epoch_book.hpp"
#include "orchestrator/app/inbox.hpp"
#include "orchestrator/app/meters.hpp"
#include "orchestrator/app/online_key_watch.hpp"
#include "orchestrator/app/store_thread.hpp"
#include "orchestrator/registry/world.hpp"
#include "orchestrator/rpc/node_gateway.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tayga::orch {

inline constexpr Duration kSnapshotInterval = 250ms;
inline constexpr Duration kHousekeepingInterval = 5s;
/// A chunk does not say who sent it, so one child's word bans nobody: that takes so many children
/// of the accused within kTamperMemory. Each has left it by itself long before.
inline constexpr std::size_t kTamperReportersMin = 3;
inline constexpr Duration kTamperMemory = 10min;

/// Restored or made before the loop starts, and told to every node.
struct WorldLoopOptions {
  WorldOptions world;
  Welcome welcome;                           ///< time and observed address are filled per node
  std::int64_t online_key_not_after_ms = 0;  ///< of the key that the issuer signs with
};

/// The thread that owns the World: feeds it what nodes and operators say, performs what it decides.
///
/// on_event and on_closed come from gateway threads; everything else of the class that is not
/// marked "any thread" runs on the loop's own.
class WorldLoop final : public NodeSink {
 public:
  struct Parts {
    NodeGateway& gateway;
    StoreThread& store;
    AssignmentIssuer& issuer;
    EpochBook& epochs;  ///< world thread only from start() on
    Meters& meters;
  };
  using SnapshotPtr = std::shared_ptr<const World::Snapshot>;
  /// nullopt: done and durable; otherwise what is wrong, in words.
  using Done = std::function<void(std::optional<std::string> error)>;

  WorldLoop(WorldLoopOptions options, const Parts& parts);
  ~WorldLoop() override;
  WorldLoop(const WorldLoop&) = delete;
  WorldLoop& operator=(const WorldLoop&) = delete;

  /// What the store held. Pre: not started.
  void restore(std::vector<NodeRecord> nodes, std::vector<StreamRecord> streams);
  void start();
  /// Looks at what was taken, then ends: its records are handed to the store. Not from the loop's
  /// own thread; joins. Stop the gateway before it and the store's thread after it.
  void stop();

  // Any thread.
  [[nodiscard]] SnapshotPtr snapshot() const;
  /// Empty when it can do its work; otherwise what is wrong, in words.
  [[nodiscard]] std::string trouble() const;
  void add_stream(StreamRecord stream, Done done);
  void remove_stream(std::string name, Done done);

  // NodeSink.
  Admission on_event(const SessionInfo& session, NodeEvent event) override;
  void on_closed(const SessionInfo& session) override;

 private:
  void wake();
  void on_wake();
  void step(const std::function<void(WorldNow)>& change);
  void settle(WorldNow now);
  void perform_outputs();
  void arm_timer();
  void on_timer();
  void publish_snapshot(WorldNow now);
  void watch_online_key(WorldNow now);
  void keep_house(WorldNow now);

  void take(Inbox::Item item);
  void on_hello(const SessionInfo& session, Hello hello, WorldNow now);
  void welcome(const SessionInfo& session, WorldNow now);
  void on_session_end(const SessionInfo& session, WorldNow now);
  void ban(const SessionInfo& session);
  void on_tamper_report(const NodeId& reporter, const TamperReport& report, WorldNow now);
  void on_telemetry(const SessionInfo& session, Telemetry telemetry, WorldNow now);
  [[nodiscard]] bool is_current(const SessionInfo& session) const;
  [[nodiscard]] const SessionInfo* session_of(const NodeId& node) const;

  void perform(World::PushAssignment output);
  void perform(World::PushOffer output);
  void perform(World::PushWithdrawn output);
  void perform(World::RefuseJoin output);
  void perform(World::PersistNode output);
  void perform(World::PersistStream output);
  void perform(World::EraseStream output);

  const WorldLoopOptions options_;
  Parts parts_;
  World world_;
  Inbox inbox_;
  std::unordered_map<NodeId, SessionInfo> sessions_;
  /// Pushed and not yet applied: (revision, when), for the latency of a revision.
  std::map<std::pair<NodeId, StreamId>, std::pair<std::uint64_t, TimePoint>> unapplied_;
  std::map<NodeId, std::set<NodeId>> tamper_reporters_;  ///< by accused; bounded by its children
  TimePoint tamper_forget_at_;
  std::size_t pushed_in_step_ = 0;
  std::uint32_t epoch_ = 0;
  bool snapshot_stale_ = true;
  TimePoint snapshot_at_;
  TimePoint housekeeping_at_;

  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  boost::asio::steady_timer timer_;
  OnlineKeyWatch online_key_;
  bool stopping_ = false;
  std::thread thread_;

  mutable std::mutex snapshot_mutex_;  // guards snapshot_
  SnapshotPtr snapshot_;
};

}  // namespace tayga::orch
