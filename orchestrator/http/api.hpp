#pragma once

#include "common/async/task.hpp"
#include "common/http/server.hpp"
#include "orchestrator/ledger/ledger_store.hpp"
#include "orchestrator/registry/world.hpp"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace tayga::orch {

/// Where the HTTP API reads. Called on the HTTP thread.
struct ApiSources {
  std::function<std::shared_ptr<const World::Snapshot>()> snapshot;
  /// Empty when ready; otherwise what is missing, in words.
  std::function<std::string()> trouble;
  std::function<std::string()> metrics_text;
  using Ledger = std::pair<std::vector<Balance>, LedgerStore::Totals>;
  std::function<async::Task<Result<Ledger>>()> ledger;
};

//  GET /healthz /readyz /metrics
//  GET /api/v1/nodes /api/v1/links /api/v1/streams /api/v1/ledger/balances
//      page_size 1..1000 (100), page_token
/// Read only, JSON, errors as RFC 9457 problems. `sources` outlives the server.
http::Handler make_api_handler(const ApiSources& sources);

}  // namespace tayga::orch
