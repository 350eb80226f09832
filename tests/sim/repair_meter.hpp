#pragma once

#include "tests/sim/percentiles.hpp"
#include "tests/sim/playout_meter.hpp"
#include "tests/sim/sim_net.hpp"

#include <cstdint>
#include <set>
#include <vector>

namespace tayga::sim {

/// Follows what faults do: how soon the children of a lost parent know, when they are whole again,
/// and what the viewers below saw of it.
class RepairMeter {
 public:
  RepairMeter(const SimOptions& options, SimNet& net);

  /// `victim` stops serving at this moment. Call it before it does.
  void on_fault(NodeIndex victim);
  void on_action(NodeIndex node, const relay::Relay::Action& action);
  /// A process that began or ended: it is no orphan any more.
  void on_restart(NodeIndex node);

  struct Totals {
    std::uint64_t repairs = 0;       ///< (node, fault) whose every stripe has a living parent again
    std::uint64_t without_loss = 0;  ///< of them, no object was lost
    std::uint64_t unrepaired = 0;    ///< still orphaned at the end
    Percentiles detection;           ///< from the fault
    Percentiles silence;             ///< from when the victim's last word had come
    Percentiles reattached;
    Percentiles gaps;          ///< per viewer below a fault: its largest one until it was over
    Percentiles own_repairs;   ///< what the relays themselves report
    Percentiles kill_repairs;  ///< of them, those of stripes whose parent was a victim
  };
  [[nodiscard]] Totals totals(const PlayoutMeter& playout) const;
  [[nodiscard]] std::size_t orphans() const noexcept { return open_; }

 private:
  struct Orphan {
    NodeIndex node = 0;
    Duration way{0};  ///< from the victim
    bool detected = false;
    bool gone = false;
    std::optional<TimePoint> whole_at;
  };
  struct Fault {
    TimePoint at{};
    NodeIndex victim = 0;
    std::vector<Orphan> orphans;
    std::vector<NodeIndex> below;  ///< everybody who had it above in some stripe
  };
  [[nodiscard]] bool was_victim(NodeIndex parent) const;
  void look();
  [[nodiscard]] bool is_whole(NodeIndex node) const;
  void arm();

  const SimOptions& options_;
  SimNet& net_;
  std::vector<Fault> faults_;
  std::size_t first_open_ = 0;  ///< faults before it are over
  std::size_t open_ = 0;
  bool armed_ = false;
  Totals totals_;
};

}  // namespace tayga::sim
