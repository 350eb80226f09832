#pragma once

namespace tayga {

/// How our programs end; the same meaning in each.
enum class ExitCode : int {
  ok = 0,
  failed = 1,
  not_running = 3,     ///< the daemon that was asked
  degraded = 4,        ///< it runs, but cannot reach what it needs
  usage = 64,
  unavailable = 69,    ///< a port or another resource is taken
  try_again = 75,
  no_permission = 77,
  config = 78,
};

}  // namespace tayga
