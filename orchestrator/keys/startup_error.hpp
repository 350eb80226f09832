#pragma once

#include "common/base/exit_code.hpp"

#include <stdexcept>
#include <string>

namespace tayga::orch {

/// Ends the process before it serves, or a verb: the message says what was wrong, with the value,
/// and what to do. Thrown at start-up only, caught in main().
class StartupError : public std::runtime_error {
 public:
  StartupError(ExitCode exit_code, const std::string& message)
      : std::runtime_error{message}, exit_code_{exit_code} {}
  [[nodiscard]] ExitCode exit_code() const noexcept { return exit_code_; }

 private:
  ExitCode exit_code_;
};

}  // namespace tayga::orch
