#pragma once

#include "tests/sim/sim_options.hpp"
#include "tests/sim/trial.hpp"

#include <span>
#include <string_view>

namespace tayga::sim {

/// What goes wrong in a run, and the run that it needs.
struct Scenario {
  std::string_view name;
  std::string_view summary;
  void (*prepare)(SimOptions& options);  ///< its defaults; flags come after
  void (*plan)(Trial& trial);            ///< schedules its faults
};

[[nodiscard]] std::span<const Scenario> scenarios();
/// nullptr: there is none of that name.
[[nodiscard]] const Scenario* find_scenario(std::string_view name);

}  // namespace tayga::sim
