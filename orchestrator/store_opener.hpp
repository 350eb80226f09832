#pragma once

#include "orchestrator/ledger/ledger_store.hpp"

#include <filesystem>
#include <memory>

namespace tayga::orch {

/// Opens or makes the embedded store in `state_dir`. Throws StartupError.
std::unique_ptr<LedgerStore> open_store(const std::filesystem::path& state_dir);

}  // namespace tayga::orch
