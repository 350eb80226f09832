#pragma once

#include "tests/sim/auditor.hpp"
#include "tests/sim/control_plane.hpp"
#include "tests/sim/live_source.hpp"
#include "tests/sim/network_model.hpp"
#include "tests/sim/playout_meter.hpp"
#include "tests/sim/repair_meter.hpp"
#include "tests/sim/sim_net.hpp"
#include "tests/sim/sim_options.hpp"
#include "tests/sim/sim_trust.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace tayga::sim {

inline constexpr NodeIndex kGatewayNode = 0;

/// What one run showed.
struct TrialResult {
  std::uint64_t seed = 0;
  std::uint64_t trace_hash = 0;
  Duration simulated{0};
  double cpu_seconds = 0;
  double brain_seconds = 0;
  std::uint64_t events = 0;
  std::uint64_t frames = 0;
  std::uint64_t assignments = 0;
  RepairMeter::Totals repairs;
  PlayoutMeter::Totals playout;
  Duration node_time{0};  ///< of all running nodes together
  std::uint64_t suspicions = 0;
  std::uint64_t false_suspicions = 0;
  std::uint64_t origin_side_bytes = 0;  ///< media out of the gateway, and of the origin
  std::uint64_t payload_bytes = 0;      ///< verified and new, all nodes
  std::uint64_t duplicate_bytes = 0;
  std::uint64_t rescued_bytes = 0;
  std::uint64_t signed_bytes = 0;  ///< receivers' receipts that reached the senders
  std::uint64_t acknowledged_bytes = 0;
  std::uint64_t settled_bytes = 0;
  std::uint64_t tampered = 0;
  std::string network;
  std::vector<Auditor::Violation> violations;
};

/// One run: nodes, network, orchestrator, encoder and meters, and the faults that a scenario asks
/// for. Safety is checked all the time; liveness in the last kHealing, which is without faults:
/// everything must be whole again.
class Trial final : public NetObserver {
 public:
  static constexpr Duration kHealing = 10s;
  static constexpr Duration kDrain = 8s;  ///< after the encoder ends: receipts settle

  explicit Trial(const SimOptions& options);
  ~Trial() override;

  // What scenarios do. Times are since the run's start.
  void at(Duration when, std::function<void()> call);
  void every(Duration first, Duration interval, Duration last, const std::function<void()>& call);
  /// kill -9; the process comes back after `back` (nothing: never).
  void kill(NodeIndex node, SimNet::Death death, std::optional<Duration> back);
  /// go_away with this grace, then a regular end.
  void leave(NodeIndex node, Duration grace, std::optional<Duration> back);
  void stop(NodeIndex node, Duration length);
  /// It comes that long after the run's start. Before run().
  void delay_start(NodeIndex node, Duration when) { arrivals_[node] = when; }
  /// For so long its uplink gives no more than this.
  void dribble(NodeIndex node, std::uint64_t bps, Duration length);
  /// Its downlink is a bottleneck: it is not expected to play everything. Before run().
  void make_thin(NodeIndex node, std::uint64_t bps);
  /// Nothing passes between the region and the rest; its viewers count again a while after.
  void cut_region(unsigned region, Duration length);
  /// Its chunks leave with a bit flipped, one in `one_in`.
  void make_liar(NodeIndex node, std::uint64_t one_in);
  /// In the end receipts must cover this share of what peers delivered, and all be settled.
  void require_receipts(unsigned permille) { signed_permille_ = permille; }

  /// Running nodes other than the gateway, in order.
  [[nodiscard]] std::vector<NodeIndex> members() const;
  /// Of them, those with children, the busiest first.
  [[nodiscard]] std::vector<NodeIndex> parents() const;
  [[nodiscard]] Draws& draws() noexcept { return fault_draws_; }
  [[nodiscard]] SimNet& net() noexcept { return *net_; }
  [[nodiscard]] NetworkModel& network() noexcept { return network_; }
  [[nodiscard]] ControlPlane& control() noexcept { return *control_; }
  [[nodiscard]] RepairMeter& repairs() noexcept { return *repairs_; }
  [[nodiscard]] Auditor& auditor() noexcept { return *auditor_; }
  [[nodiscard]] const SimOptions& options() const noexcept { return options_; }
  /// Faults end kHealing before the encoder does.
  [[nodiscard]] Duration faults_end() const { return options_.duration - kHealing; }
  void set_tap(NetTap* tap) { net_->set_tap(tap); }

  TrialResult run();

 private:
  class Liars;
  class Origin;

  void on_frame(const Delivered& frame) override;
  void on_message(const Said& said, const relay::PeerMessage& message) override;
  void on_unreadable(const Said& said, const relay::PeerMessage& message) override;
  void on_action(NodeIndex node, const relay::Relay::Action& action) override;

  void start(NodeIndex node);
  void end(NodeIndex node);
  void start_all();
  void check_whole();
  void check_settled();
  void check_signed(const TrialResult& result);
  TrialResult result(double cpu_seconds);

  SimOptions options_;
  SimTrust trust_;
  NetworkModel network_;
  FrameBank bank_;
  std::unique_ptr<SimNet> net_;
  std::unique_ptr<LiveSource> source_;
  std::unique_ptr<ControlPlane> control_;
  std::unique_ptr<PlayoutMeter> playout_;
  std::unique_ptr<RepairMeter> repairs_;
  std::unique_ptr<Auditor> auditor_;
  std::unique_ptr<Liars> liars_;
  std::unique_ptr<Origin> origin_;
  Draws fault_draws_;
  std::vector<TimePoint> started_;
  std::vector<std::optional<Duration>> arrivals_;  ///< nothing: among the first
  std::vector<bool> thin_;
  std::optional<unsigned> signed_permille_;
  relay::RelayCounters ended_;  ///< of processes that are gone
  Duration node_time_{0};
};

}  // namespace tayga::sim
