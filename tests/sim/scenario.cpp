#include "tests/sim/scenario.hpp"

#include <algorithm>
#include <array>

namespace tayga::sim {
namespace {

constexpr Duration kWarmUp = 15s;  ///< before the first fault everybody plays

void prepare_nothing(SimOptions&) {}
void plan_nothing(Trial&) {}

/// A number of nodes drawn without repetition.
std::vector<NodeIndex> draw_some(Trial& trial, std::vector<NodeIndex> from, std::size_t count) {
  std::vector<NodeIndex> drawn;
  while (drawn.size() < count && !from.empty()) {
    const auto place = static_cast<std::ptrdiff_t>(trial.draws().below(from.size()));
    drawn.push_back(from[static_cast<std::size_t>(place)]);
    from.erase(from.begin() + place);
  }
  return drawn;
}

/// One of the quarter of parents that have most children.
std::optional<NodeIndex> draw_busy(Trial& trial) {
  std::vector<NodeIndex> busy = trial.parents();
  if (trial.options().kill_relays_only) {
    std::erase_if(busy, [&](NodeIndex node) { return !trial.options().is_relay(node); });
  }
  if (busy.empty()) return std::nullopt;
  return busy[trial.draws().below(busy.size() / 4 + 1)];
}

void plan_parent_kill(Trial& trial) {
  trial.every(kWarmUp, trial.options().kill_every, trial.faults_end(), [&trial] {
    const auto victim = draw_busy(trial);
    if (!victim) return;
    const bool is_reset = trial.draws().below(4) == 0 && !trial.options().kill_relays_only;
    trial.kill(*victim, is_reset ? SimNet::Death::reset : SimNet::Death::silent,
               trial.options().kill_back);
  });
}

void prepare_churn(SimOptions& options) {
  options.duration = 10min;
  options.loss_ppm = 10'000;
}

/// 5 % of the nodes a minute: half say goodbye, half are killed; each comes back.
void plan_churn(Trial& trial) {
  const auto gap = Duration{60s} * 20 / static_cast<Duration::rep>(trial.options().nodes);
  trial.every(kWarmUp, gap, trial.faults_end(), [&trial] {
    const std::vector<NodeIndex> drawn = draw_some(trial, trial.members(), 1);
    if (drawn.empty()) return;
    const Duration back = trial.draws().between(5s, 60s);
    if (trial.draws().below(2) == 0) {
      trial.leave(drawn.front(), 2s, back);
    } else {
      trial.kill(drawn.front(), SimNet::Death::silent, back);
    }
  });
}

/// A fifth of the nodes come while the others play: each gets parents and standbys.
void plan_standby_join(Trial& trial) {
  for (NodeIndex node = 1; node <= trial.options().nodes; ++node) {
    if (trial.draws().below(5) != 0) continue;
    trial.delay_start(node, trial.draws().between(kWarmUp, trial.faults_end()));
  }
}

void plan_mass_leave(Trial& trial) {
  trial.at(kWarmUp + 5s, [&trial] {
    const std::size_t count = trial.options().nodes * 3 / 10;
    for (const NodeIndex node : draw_some(trial, trial.members(), count)) {
      const Duration within = trial.draws().between(Duration{0}, 1s);
      trial.net().at(trial.net().now() + within, [&trial, node] {
        if (trial.net().is_running(node)) trial.kill(node, SimNet::Death::silent, std::nullopt);
      });
    }
  });
}

void plan_regional_outage(Trial& trial) {
  trial.at(kWarmUp + 5s, [&trial] {
    constexpr Duration kDark = 8s;
    std::array<unsigned, NetworkModel::kRegions> inhabitants{};
    for (const NodeIndex node : trial.members()) ++inhabitants[trial.network().region(node)];
    const unsigned home = trial.network().region(kGatewayNode);
    inhabitants[home] = 0;
    const auto region = static_cast<unsigned>(
        std::max_element(inhabitants.begin(), inhabitants.end()) - inhabitants.begin());
    trial.cut_region(region, kDark);
  });
}

void plan_gateway_loss(Trial& trial) {
  trial.at(kWarmUp + 5s,
           [&trial] { trial.kill(kGatewayNode, SimNet::Death::silent, Duration{3s}); });
}

void prepare_orchestrator_outage(SimOptions& options) {
  options.duration = 33min;
  options.nodes = 60;
}

/// 30 minutes (all but the beginning and the end of a shorter run) without a brain.
void plan_orchestrator_outage(Trial& trial) {
  constexpr unsigned kSignedPermille = 950;  ///< the rest was under way when a parent died
  trial.require_receipts(kSignedPermille);
  const Duration away = std::min<Duration>(30min, trial.faults_end() - kWarmUp);
  trial.at(kWarmUp, [&trial, away] { trial.control().outage(trial.net().now() + away); });
  const auto gap = std::max<Duration>(away / 10, 5s);
  trial.every(kWarmUp + gap, gap, kWarmUp + away - gap, [&trial] {
    if (const auto victim = draw_busy(trial)) {
      trial.kill(*victim, SimNet::Death::silent, std::nullopt);
    }
  });
}

void prepare_slow_poison(SimOptions& options) {
  options.traces = true;
}

/// Some parents go on beating, but what they send dribbles: late, later, a little earlier again.
void plan_slow_poison(Trial& trial) {
  trial.every(kWarmUp, 5s, trial.faults_end() - 5s, [&trial] {
    const auto victim = draw_busy(trial);
    if (!victim) return;
    trial.dribble(*victim, trial.options().bitrate_bps / 4, 4s);
  });
}

/// Single directions of single links stall, others a moment later.
void plan_swizzle_clog(Trial& trial) {
  trial.every(kWarmUp, 200ms, trial.faults_end(), [&trial] {
    const std::vector<NodeIndex> drawn = draw_some(trial, trial.members(), 1);
    if (drawn.empty()) return;
    const auto links = trial.net().links(drawn.front());
    if (links.empty()) return;
    const NodeIndex peer = links[trial.draws().below(links.size())].peer;
    const TimePoint until = trial.net().now() + trial.draws().between(100ms, 4s);
    if (trial.draws().below(2) == 0) {
      trial.net().clog(drawn.front(), peer, until);
    } else {
      trial.net().clog(peer, drawn.front(), until);
    }
  });
}

/// One viewer in ten has less than the stream needs: it is slow, nobody else notices.
void plan_slow_children(Trial& trial) {
  for (NodeIndex node = 1; node <= trial.options().nodes; ++node) {
    if (node % 10 == 5) trial.make_thin(node, trial.options().bitrate_bps * 7 / 10);
  }
}

constexpr std::array kScenarios{
    Scenario{"steady", "nothing goes wrong", prepare_nothing, plan_nothing},
    Scenario{"churn", "5 % of the nodes a minute leave and come back, 1 % loss", prepare_churn,
             plan_churn},
    Scenario{"parent_kill", "a busy parent is killed every 2 s", prepare_nothing, plan_parent_kill},
    Scenario{"standby_join", "a fifth of the nodes join while the others play", prepare_nothing,
             plan_standby_join},
    Scenario{"mass_leave", "30 % of the nodes are gone within 1 s", prepare_nothing,
             plan_mass_leave},
    Scenario{"regional_outage", "a region is cut off for 8 s", prepare_nothing,
             plan_regional_outage},
    Scenario{"gateway_loss", "the gateway is killed and restarts after 3 s", prepare_nothing,
             plan_gateway_loss},
    Scenario{"orchestrator_outage", "30 minutes without the orchestrator, parents die meanwhile",
             prepare_orchestrator_outage, plan_orchestrator_outage},
    Scenario{"slow_poison", "parents that beat but deliver too slowly", prepare_slow_poison,
             plan_slow_poison},
    Scenario{"swizzle_clog", "single directions of links stall in turn", prepare_nothing,
             plan_swizzle_clog},
    Scenario{"slow_children", "one viewer in ten has less downlink than the stream needs",
             prepare_nothing, plan_slow_children},
};

}  // namespace

std::span<const Scenario> scenarios() {
  return kScenarios;
}

const Scenario* find_scenario(std::string_view name) {
  const auto found = std::find_if(kScenarios.begin(), kScenarios.end(),
                                  [name](const Scenario& one) { return one.name == name; });
  return found == kScenarios.end() ? nullptr : &*found;
}

}  // namespace tayga::sim
