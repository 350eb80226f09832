#include "daemon/daemon_config.hpp"

#include "common/config/reader.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>
#include <variant>

namespace tayga {
namespace {

constexpr char kDefaultConfig[] = "/etc/tayga/taygad.toml";
constexpr std::uint64_t kConfigSizeMax = 1024 * 1024;
constexpr std::int64_t kWorkersMax = 64;
constexpr std::uint64_t kRateMaxBps = 1'000'000'000'000;
constexpr std::uint64_t kRateMinBps = 64'000;  ///< a chunk in half a second
constexpr std::uint64_t kMonthlyMin = 100'000'000;
constexpr std::size_t kScheduleWindowsMax = 64;

struct FileText {
  std::string text;
  std::string problem;
};

FileText read_config_file(const std::filesystem::path& path) {
  std::ifstream in{path, std::ios::binary};
  std::error_code ec;
  const bool regular = std::filesystem::is_regular_file(path, ec);
  if (!in || !regular) {
    return {{},
            "cannot read the configuration " + path.string() +
                ": no such readable file; write it, or name another with --config"};
  }
  if (std::filesystem::file_size(path, ec) > kConfigSizeMax) {
    return {{}, "the configuration " + path.string() + " is larger than 1 MiB"};
  }
  std::ostringstream text;
  text << in.rdbuf();
  return {text.str(), {}};
}

transport::Endpoint read_endpoint(config::Section& section, std::string_view key,
                                  const std::string& fallback) {
  const std::string text = section.string(key, fallback);
  const auto endpoint = transport::parse_endpoint(text);
  if (!endpoint) {
    section.reject(key, "write ADDRESS:PORT, such as \"" + fallback + "\"");
    return *transport::parse_endpoint(fallback);
  }
  return *endpoint;
}

void read_roles(config::Section& root, DaemonConfig& out) {
  const std::vector<std::string> roles = root.strings("roles", {"relay"});
  if (roles.empty()) root.reject("roles", "name at least one of gateway, relay, viewer");
  for (const std::string& role : roles) {
    if (role == "gateway") {
      out.gateway = true;
    } else if (role == "relay") {
      out.relay = true;
    } else if (role == "viewer") {
      out.viewer = true;
    } else {
      root.reject("roles", "\"" + role + "\" is no role; use gateway, relay, viewer");
    }
  }
}

void read_join(config::Section& root, DaemonConfig& out) {
  const std::string text =
      root.required_string("join", "set it to the line that `tayga-orchestrator init` printed");
  if (text.empty()) return;
  auto parsed = control::parse_join_url(text);
  if (auto* error = std::get_if<control::JoinUrlError>(&parsed)) {
    root.reject("join", error->message);
  } else {
    out.join = std::get<control::JoinUrl>(parsed);
  }
}

void read_peers(config::Section section, DaemonConfig& out) {
  out.peers_listen = read_endpoint(section, "listen", "0.0.0.0:7410");
  for (const std::string& text : section.strings("advertise")) {
    if (const auto endpoint = transport::parse_endpoint(text)) {
      out.peers_advertise.push_back(*endpoint);
    } else {
      section.reject("advertise",
                     "\"" + text + "\" is no ADDRESS:PORT, such as \"203.0.113.7:7410\"");
    }
  }
  const std::string transport = section.choice("transport", "auto", {"auto", "quic", "tcp"});
  if (transport == "quic") out.peers_transport = peers::TransportMode::quic;
  if (transport == "tcp") out.peers_transport = peers::TransportMode::tcp;
  out.peers_workers =
      static_cast<unsigned>(section.integer("workers", 0, {.min = 0, .max = kWorkersMax}));
}

/// Of both, the narrower one is the line; 0 = not told.
std::uint64_t declared_bps(std::uint64_t uplink_bps, std::uint64_t cap_bps) {
  const bool is_uplink = cap_bps == 0 || (uplink_bps != 0 && uplink_bps < cap_bps);
  return relay::declared_uplink_bps(is_uplink ? uplink_bps : cap_bps);
}

void read_schedule(config::Section& section, relay::UploadSchedule& out) {
  const std::vector<std::string> windows = section.strings("schedule");
  if (windows.size() > kScheduleWindowsMax) {
    section.reject("schedule", "name at most " + std::to_string(kScheduleWindowsMax) + " windows");
    return;
  }
  for (const std::string& window : windows) {
    if (out.add(window)) continue;
    section.reject("schedule", "\"" + window +
                                   "\" is no window; write days and hours, such as \"mon-fri "
                                   "22:00-07:00\" or \"sat,sun 00:00-24:00\"");
  }
}

void read_upload(config::Section& section, DaemonConfig& out) {
  relay::UploadLimits& upload = out.upload;
  const config::Range<std::uint64_t> rates{0, kRateMaxBps};
  const auto rate = [&](std::string_view key) {
    const std::uint64_t bps = section.rate_bps(key, 0, rates);
    if (bps == 0 || bps >= kRateMinBps) return bps;
    section.reject(key, "write at least \"64kbit\", or 0 for no limit");
    return std::uint64_t{0};
  };
  upload.rate_bps = rate("upload");
  upload.session_bps = rate("upload_per_peer");
  upload.uplink_bps = section.rate_bps("uplink", 0, rates);
  out.upload_bps = declared_bps(upload.uplink_bps, upload.rate_bps);
  upload.monthly_bytes = section.size_bytes("monthly_upload", 0);
  if (upload.monthly_bytes != 0 && upload.monthly_bytes < kMonthlyMin) {
    section.reject("monthly_upload", "write at least \"100M\", or 0 for no limit");
  }
  upload.reset_day =
      static_cast<unsigned>(section.integer("monthly_reset_day", 1, {.min = 1, .max = 31}));
  read_schedule(section, upload.schedule);
  upload.metered = section.boolean("metered", false);
}

void read_limits(config::Section section, DaemonConfig& out) {
  read_upload(section, out);
  out.children_max =
      static_cast<std::uint32_t>(section.integer("children", 64, {.min = 0, .max = 256}));
  out.cache_bytes =
      section.size_bytes("cache", 256'000'000, {.min = 4'000'000, .max = 64'000'000'000});
  out.cache_age = section.duration("cache_age", 30s, {.min = 5s, .max = 10min});
}

DaemonConfig read_all(config::Reader& reader) {
  DaemonConfig out;
  config::Section root = reader.root();
  read_join(root, out);
  out.name = root.string("name", "");
  read_roles(root, out);
  out.state_dir = root.string("state_dir", out.state_dir.string());
  out.control_socket = root.string("control_socket", (out.state_dir / "taygad.sock").string());
  read_peers(root.section("peers"), out);
  read_limits(root.section("limits"), out);
  config::Section player = root.section("player");
  out.player_listen = read_endpoint(player, "listen", "127.0.0.1:8780");
  out.stream_idle = player.duration("stream_idle", 60s, {.min = 5s, .max = 24h});
  config::Section metrics = root.section("metrics");
  out.metrics_listen = read_endpoint(metrics, "listen", "127.0.0.1:8781");
  out.journal_path = root.section("journal").string("path", "");
  const std::string level = root.section("log").choice(
      "level", "info", {"trace", "debug", "info", "warn", "error", "off"});
  out.log_level = log::parse_level(level).value_or(log::Level::info);
  return out;
}

}  // namespace

DaemonConfigResult load_daemon_config(const DaemonFlags& flags,
                                      const std::map<std::string, std::string>& environment) {
  DaemonConfigResult result;
  const std::filesystem::path path = flags.config.value_or(kDefaultConfig);
  config::Inputs inputs;
  inputs.file_name = path.string();
  inputs.environment = environment;
  inputs.flags = flags.overrides;
  std::error_code ec;
  // Without --config everything may come from the environment, as containers do it.
  if (flags.config || std::filesystem::exists(path, ec)) {
    FileText file = read_config_file(path);
    if (!file.problem.empty()) {
      result.problems.push_back(std::move(file.problem));
      return result;
    }
    inputs.file_text = std::move(file.text);
  }
  config::Reader reader{std::move(inputs)};
  DaemonConfig config = read_all(reader);
  result.problems = reader.finish();
  result.effective = reader.print();
  if (result.problems.empty()) result.config = std::move(config);
  return result;
}

}  // namespace tayga
