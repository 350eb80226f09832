#pragma once

#include "orchestrator/app/assignment_issuer.hpp"
#include "orchestrator/app/epoch_book.hpp"
#include "orchestrator/ledger/ledger.hpp"
#include "orchestrator/registry/world.hpp"
#include "tests/sim/draws.hpp"
#include "tests/sim/live_source.hpp"
#include "tests/sim/sim_net.hpp"
#include "tests/sim/sim_trust.hpp"
#include "tests/support/memory_ledger_store.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace tayga::sim {

/// The orchestrator and every node's way to it: the production World, issuer and ledger, fed by
/// what nodes say over a control path with its own delay and loss.
///
/// A control session is TCP: ordered, a lost message comes one retransmission later, and it ends
/// with the node's process or when the path is silent for too long. What is said while there is
/// none is lost; the next session begins with a hello that says what the node holds.
class ControlPlane {
 public:
  ControlPlane(const SimOptions& options, SimNet& net, const NetworkModel& network,
               LiveSource& source, const SimTrust& trust);

  struct Profile {
    orch::Roles roles = 0;
    std::uint32_t children_max = 0;
    std::vector<TrackId> playing;  ///< joined once the session is there
  };
  /// The process began: it dials the orchestrator.
  void on_started(NodeIndex node, Profile profile);
  enum class Farewell : std::uint8_t {
    goodbye,  ///< it said so
    closed,   ///< its kernel closed the connection
    silent,   ///< nobody says anything
  };
  void on_ended(NodeIndex node, Farewell farewell);
  void on_action(NodeIndex node, const relay::Relay::Action& action);
  /// The orchestrator is gone until then; its store is not.
  void outage(TimePoint until);

  struct Settled {
    std::uint64_t acknowledged_bytes = 0;  ///< what running nodes hold receipts for
    std::uint64_t settled_bytes = 0;       ///< of it, durable in the ledger
    std::size_t open_records = 0;
  };
  [[nodiscard]] Settled settled() const;
  [[nodiscard]] std::uint64_t assignments() const noexcept { return assignments_; }
  [[nodiscard]] bool is_connected(NodeIndex node) const { return clients_[node].connected; }
  /// Real time spent in the World and its solver.
  [[nodiscard]] double brain_seconds() const noexcept { return brain_seconds_; }

 private:
  static constexpr Duration kBatching = 1ms;  ///< what comes within it is looked at together
  static constexpr Duration kHousekeeping = 5s;

  struct Client {
    Profile profile;
    std::uint64_t session = 0;  ///< rises with each; 0 = none yet
    bool connected = false;
    bool started = false;
    TimePoint last_up{};
    TimePoint last_down{};
    std::uint64_t telemetry_seq = 0;
  };
  using Input = std::function<void(orch::World&, orch::WorldNow)>;

  void connect(NodeIndex node);
  void hello(NodeIndex node, std::uint64_t session);
  void drop(NodeIndex node);
  void up(NodeIndex node, Input input);
  void down(NodeIndex node, std::function<void(relay::Relay&, relay::Now)> message);
  TimePoint arrival(NodeIndex node, TimePoint& last);
  void report(NodeIndex node, std::uint64_t session);
  void submit(NodeIndex node);
  void take(Input input);
  void wake();
  void perform();
  void arm();
  void keep_house();
  void push(orch::World::PushAssignment output);
  void publish(NodeIndex gateway);
  [[nodiscard]] orch::Telemetry telemetry(NodeIndex node);
  [[nodiscard]] std::vector<orch::World::Held> held(NodeIndex node) const;
  [[nodiscard]] orch::WorldNow world_now() const;
  void make_world();

  const SimOptions& options_;
  SimNet& net_;
  const NetworkModel& network_;
  LiveSource& source_;
  const SimTrust& trust_;
  std::vector<Client> clients_;
  std::vector<Draws> path_draws_;
  Draws allocation_draws_;
  orch::EpochBook epochs_;
  std::unique_ptr<orch::World> world_;
  std::unique_ptr<orch::AssignmentIssuer> issuer_;
  test::MemoryLedgerStore store_;
  orch::Ledger ledger_;
  std::map<NodeId, orch::NodeRecord> node_records_;
  std::map<std::string, orch::StreamRecord> stream_records_;
  std::vector<Input> inbox_;
  bool awake_ = false;
  std::optional<TimePoint> armed_;
  std::uint64_t world_life_ = 0;
  bool away_ = false;
  PublisherEpoch next_epoch_{1000};
  std::uint64_t assignments_ = 0;
  double brain_seconds_ = 0;
};

}  // namespace tayga::sim
