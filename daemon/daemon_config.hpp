#pragma once

#include "common/base/time.hpp"
#include "common/log/log.hpp"
#include "common/transport/session.hpp"
#include "daemon/control/join_url.hpp"
#include "daemon/core/upload_budget.hpp"
#include "daemon/peers/peer_transport.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tayga {

/// What taygad was told, checked. Default < file < TAYGA_* environment < flag.
struct DaemonConfig {
  control::JoinUrl join;
  std::string name;  ///< the owner's label; default: none
  bool gateway = false;
  bool relay = false;
  bool viewer = false;
  std::filesystem::path state_dir = "/var/lib/tayga";
  std::filesystem::path control_socket;  ///< default: state_dir/taygad.sock

  transport::Endpoint peers_listen;                  ///< 0.0.0.0:7410
  std::vector<transport::Endpoint> peers_advertise;  ///< empty = derived from peers_listen
  peers::TransportMode peers_transport = peers::TransportMode::automatic;
  unsigned peers_workers = 0;  ///< threads for sessions, the main one included; 0 = by the cores

  std::uint64_t upload_bps = 0;  ///< declared uplink for others; 0 = unknown
  relay::UploadLimits upload;    ///< never exceeded
  std::uint32_t children_max = 64;
  std::uint64_t cache_bytes = 256 * 1000 * 1000;
  Duration cache_age = 30s;

  transport::Endpoint player_listen;   ///< 127.0.0.1:8780
  Duration stream_idle = 60s;          ///< a stream that no player asked for this long is left
  transport::Endpoint metrics_listen;  ///< 127.0.0.1:8781
  std::filesystem::path journal_path;  ///< empty = none
  log::Level log_level = log::Level::info;
};

/// What the command line says, before it is checked.
struct DaemonFlags {
  std::optional<std::filesystem::path> config;   ///< nullopt = /etc/tayga/taygad.toml
  std::map<std::string, std::string> overrides;  ///< "section.key" -> value
};

/// Either the configuration, or everything that is wrong with it, one problem a line, each with
/// what, the value, the place and the remedy.
struct DaemonConfigResult {
  std::optional<DaemonConfig> config;
  std::vector<std::string> problems;
  std::string effective;  ///< as TOML with the source of each value, secrets redacted
};
DaemonConfigResult load_daemon_config(const DaemonFlags& flags,
                                      const std::map<std::string, std::string>& environment);

}  // namespace tayga
