#pragma once

#include "orchestrator/cli.hpp"
#include "orchestrator/keys/startup_error.hpp"

#include <string>
#include <string_view>

namespace tayga::orch {

/// How a verb's failure travels over the socket, and back.
std::string to_failure_code(ExitCode code);
ExitCode to_exit_code(std::string_view failure_code);

struct VerbAnswer {
  ExitCode exit_code = ExitCode::ok;
  std::string text;  ///< for stdout on success, for stderr otherwise
};

/// Sends a verb to the running orchestrator and words its answer. Blocks, at most 10 s.
VerbAnswer ask_orchestrator(const VerbCommand& command);

}  // namespace tayga::orch
