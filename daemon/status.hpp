#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/transport/dual/dual_transport.hpp"
#include "daemon/core/relay.hpp"
#include "daemon/peers/relay_driver.hpp"
#include "daemon/relay_histograms.hpp"

#include <boost/json/object.hpp>

#include <string>
#include <vector>

namespace tayga {

/// What `taygactl status` shows besides the relay's own figures.
struct DaemonFacts {
  NodeId node;
  std::string name;
  std::vector<std::string> roles;
  Duration uptime{0};
  std::string orchestrator;      ///< HOST:PORT
  bool connected = false;        ///< to the orchestrator
  std::string connection_error;  ///< the last one; empty while connected
  std::string peers_listen;
  std::vector<std::string> peers_protocols;  ///< "udp" (QUIC), "tcp"
  unsigned workers = 1;                      ///< threads that carry peer sessions
  std::string player_listen;
  std::string metrics_listen;
  std::vector<std::string> advertised;
  std::uint64_t player_bytes_out = 0;
  std::vector<std::string> offered_streams;  ///< that this gateway may publish
};

/// The answers of the admin socket, as JSON for `--json`; taygactl renders them for people.
boost::json::object status_json(const DaemonFacts& facts, relay::Relay& relay,
                                const peers::RelayDriver& driver);
boost::json::object peers_json(const relay::Relay& relay, const peers::RelayDriver& driver,
                               const transport::DualTransport& transport, TimePoint now);
boost::json::object streams_json(const relay::Relay& relay, const RelayHistograms& histograms,
                                 TimePoint now);

}  // namespace tayga
