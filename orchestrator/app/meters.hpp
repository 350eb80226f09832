#pragma once

#include "common/base/time.hpp"
#include "common/metrics/registry.hpp"
#include "orchestrator/ledger/ledger.hpp"
#include "orchestrator/registry/world.hpp"
#include "orchestrator/rpc/node_gateway.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace tayga::orch {

/// The process's `tayga_orchestrator_*` metrics. Every call is thread-safe and costs nanoseconds,
/// except render().
class Meters {
 public:
  Meters();

  void on_join() { joins_.add(); }
  void on_leave() { leaves_.add(); }
  void on_join_refused() { joins_refused_.add(); }
  void on_link_failure() { link_failures_.add(); }
  void on_tampering(bool proven);
  void on_overload() { overloads_.add(); }
  void on_assignment_pushed(std::uint64_t allocations_signed);
  void observe_solve(Duration took) { solve_.observe(took); }
  void observe_revision_latency(Duration took) { revision_latency_.observe(took); }
  void on_answer(SettleStatus status);
  void set_settled(const LedgerStore::Totals& totals);
  void observe_commit(Duration took) { commit_.observe(took); }
  void on_store_error() { store_errors_.add(); }

  /// Prometheus text format; the rest is read from the arguments. One thread at a time.
  [[nodiscard]] std::string render(const World::Snapshot& world, const GatewayStats& gateway);

 private:
  void register_gateway();
  void register_world();

  metrics::Registry registry_;
  GatewayStats gateway_;  // as given to render()
  std::size_t nodes_connected_ = 0;
  std::size_t nodes_known_ = 0;
  std::size_t streams_ = 0;
  std::size_t streams_live_ = 0;

  metrics::Counter& joins_;
  metrics::Counter& leaves_;
  metrics::Counter& joins_refused_;
  metrics::Counter& link_failures_;
  metrics::Family<metrics::Counter>& tamper_reports_;
  metrics::Counter& overloads_;
  metrics::Counter& assignments_;
  metrics::Counter& allocations_;
  metrics::Histogram& solve_;
  metrics::Histogram& revision_latency_;
  metrics::Family<metrics::Counter>& receipts_;
  metrics::Gauge& settled_bytes_;
  metrics::Gauge& settled_receipts_;
  metrics::Histogram& commit_;
  metrics::Counter& store_errors_;
};

}  // namespace tayga::orch
