#pragma once

#include "tests/sim/scenario.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace tayga::sim {

/// What the command line asks for.
struct SimCommand {
  const Scenario* scenario = nullptr;  ///< nullptr: `message` is the help
  SimOptions options;
  unsigned seeds = 1;
  bool json = false;
  std::string arguments;  ///< scenario and flags, without --seed, --seeds and --json
  std::string message;
};

/// Errors: nullopt, and `error` says in words what is wrong and what is possible.
[[nodiscard]] std::optional<SimCommand> parse_command(std::span<const char* const> words,
                                                      std::string& error);

}  // namespace tayga::sim
