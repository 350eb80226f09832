#include "daemon/node_options.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace tayga {
namespace {

constexpr Duration kCappedFlushDelay = 4ms;  ///< 0.4 % of a second

}  // namespace

peers::PeerTransportOptions transport_options(const DaemonConfig& config) {
  peers::PeerTransportOptions options;
  options.mode = config.peers_transport;
  if (config.upload.rate_bps != 0) options.flush_delay_max = kCappedFlushDelay;
  options.sessions_max = std::max<std::size_t>(config.children_max + 64U, 128);
  return options;
}

relay::RelayLimits relay_limits(const DaemonConfig& config) {
  relay::RelayLimits limits;
  limits.cache_age = config.cache_age;
  limits.cache_bytes = config.cache_bytes;
  limits.children_max = config.children_max;
  return limits;
}

playback::PlayerOptions player_options(const DaemonConfig& config) {
  playback::PlayerOptions options;
  options.limits.stream_idle_max = config.stream_idle;
  return options;
}

control::NodeProfile profile_of(const DaemonConfig& config,
                                std::vector<transport::Endpoint> endpoints) {
  control::NodeProfile profile;
  profile.software = kSoftware;
  if (config.gateway) profile.roles.push_back(control::Role::gateway);
  if (config.relay) profile.roles.push_back(control::Role::relay);
  if (config.viewer) profile.roles.push_back(control::Role::viewer);
  profile.endpoints = std::move(endpoints);
  profile.upload_bps = config.upload_bps;
  profile.children_max = config.children_max;
  profile.name = config.name;
  return profile;
}

std::vector<std::string> role_names(const DaemonConfig& config) {
  std::vector<std::string> names;
  if (config.gateway) names.emplace_back("gateway");
  if (config.relay) names.emplace_back("relay");
  if (config.viewer) names.emplace_back("viewer");
  return names;
}

}  // namespace tayga
