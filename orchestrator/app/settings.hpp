#pragma once

#include "common/base/time.hpp"
#include "common/log/log.hpp"

#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace tayga::orch {

inline constexpr const char* kDefaultConfigFile = "/etc/tayga/orchestrator.toml";
inline constexpr const char* kDefaultStateDir = "/var/lib/tayga-orchestrator";

/// What `serve` is told: default < file < TAYGA_* environment < flag.
struct Settings {
  std::filesystem::path state_dir = kDefaultStateDir;
  std::string control_listen = "[::]:7400";
  std::string http_listen = "127.0.0.1:7401";
  std::filesystem::path socket;  ///< administrators'; in state_dir unless set
  log::Level log_level = log::Level::info;
  Duration telemetry_interval = 1s;
  Duration receipt_submit_interval = 10min;
  unsigned gateway_copies = 1;
  unsigned rescue_share_permille = 50;  ///< of a stream's viewers, per object; 0 = no rescue
  Duration node_grace = 3s;
  Duration restart_grace = 2s;
};

struct SettingsInput {
  std::optional<std::filesystem::path> config_file;  ///< must exist; else the default one, if any
  std::map<std::string, std::string> environment;
  std::map<std::string, std::string> flags;  ///< by full key
};

struct LoadedSettings {
  Settings settings;
  std::string printed;  ///< as TOML, each value with its source
  std::string source;   ///< the file that was read; empty = none
};

/// Throws StartupError (config) with every problem, one per line.
LoadedSettings load_settings(const SettingsInput& input);

/// The TAYGA_* variables of this process.
std::map<std::string, std::string> tayga_environment();

}  // namespace tayga::orch
