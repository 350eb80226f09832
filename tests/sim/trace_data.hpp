#pragma once

#include "tests/sim/network_model.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// The public traces: a folder of gzipped CSV. What is absent or not as described is left out.
namespace tayga::sim {

struct RttMatrix {
  std::string name;
  std::uint32_t rows = 0;
  std::vector<std::uint16_t> tenths_ms;  ///< rows x rows
};

/// nullopt: not there, or not a square of numbers.
std::optional<RttMatrix> load_rtt_matrix(const std::string& data_dir);
/// Measured uplinks of mobile and satellite access.
std::vector<RateTrace> load_uplink_traces(const std::string& data_dir);

}  // namespace tayga::sim
