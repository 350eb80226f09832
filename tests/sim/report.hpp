#pragma once

#include "tests/sim/trial.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace tayga::sim {

/// The runs of one command, together.
struct Report {
  std::string scenario;
  SimOptions options;
  std::vector<TrialResult> runs;
};

/// One JSON object. With several seeds the sums and percentiles are over all runs; `trace_hash` is
/// that of the runs' hashes in order.
[[nodiscard]] std::string to_json(const Report& report);
/// The same for people.
[[nodiscard]] std::string to_text(const Report& report);
/// The command that runs this seed alone.
[[nodiscard]] std::string replay_command(const std::string& arguments, std::uint64_t seed);

}  // namespace tayga::sim
