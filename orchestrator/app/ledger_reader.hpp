#pragma once

#include "common/async/task.hpp"
#include "orchestrator/app/store_thread.hpp"

#include <utility>
#include <vector>

namespace tayga::orch {

/// Balances and totals as the store's thread reads them; the caller's task waits.
/// Errors: the store's; try_again when it takes no more requests.
async::Task<Result<std::pair<std::vector<Balance>, LedgerStore::Totals>>> read_ledger(
    StoreThread& store);

}  // namespace tayga::orch
