#pragma once

#include "orchestrator/ledger/ledger_store.hpp"

#include <functional>

namespace tayga::test {

/// What every LedgerStore must do. `reopen` closes the store and gives it again with what it holds;
/// for one that keeps nothing on disk, it gives the same one.
void check_ledger_store(const std::function<orch::LedgerStore&()>& reopen);

}  // namespace tayga::test
