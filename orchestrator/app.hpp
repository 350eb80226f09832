#pragma once

#include "orchestrator/app/settings.hpp"
#include "orchestrator/keys/startup_error.hpp"

namespace tayga::orch {

/// Runs the orchestrator until SIGTERM or SIGINT. Throws StartupError for what keeps it from
/// serving.
///
/// Threads: front (this one: signals, HTTP, administrators), world, store, gRPC's own and its pump.
ExitCode serve(const Settings& settings);

}  // namespace tayga::orch
