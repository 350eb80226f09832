#pragma once

#include "common/transport/session.hpp"
#include "daemon/control/messages.hpp"
#include "daemon/core/relay.hpp"
#include "daemon/daemon_config.hpp"
#include "daemon/peers/peer_transport.hpp"
#include "daemon/playback/player_handler.hpp"

#include <string>
#include <vector>

/// What the configuration means to each part of the daemon. Pure.
namespace tayga {

/// As it names itself to the orchestrator and to peers.
inline constexpr char kSoftware[] = "taygad/" TAYGA_VERSION;

peers::PeerTransportOptions transport_options(const DaemonConfig& config);
relay::RelayLimits relay_limits(const DaemonConfig& config);
playback::PlayerOptions player_options(const DaemonConfig& config);
control::NodeProfile profile_of(const DaemonConfig& config,
                                std::vector<transport::Endpoint> endpoints);
std::vector<std::string> role_names(const DaemonConfig& config);

}  // namespace tayga
