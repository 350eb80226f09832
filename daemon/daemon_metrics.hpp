#pragma once

#include "common/http/server.hpp"
#include "common/metrics/registry.hpp"
#include "common/transport/workers/datagram_exchange.hpp"
#include "daemon/control/control_client.hpp"
#include "daemon/core/relay.hpp"
#include "daemon/core/upload_budget.hpp"
#include "daemon/ingest/ingest_handler.hpp"
#include "daemon/peers/relay_driver.hpp"

namespace tayga {

struct MetricSources {
  relay::Relay& relay;
  const peers::RelayDriver& driver;
  const transport::workers::DatagramExchange* exchange;  ///< nullptr: no QUIC, or one worker
  const control::ControlClient& control;
  const http::Server& player_server;
  const relay::UploadBudget& upload;
  const ingest::IngestHandler* ingest;  ///< nullptr: not a gateway
};

/// Registers everything that taygad exposes: read from its parts when somebody asks, so it must be
/// exposed on the daemon's thread, and the sources must outlive the registry's use.
void register_daemon_metrics(metrics::Registry& registry, MetricSources sources);

}  // namespace tayga
