#include "orchestrator/app/settings.hpp"

#include "common/config/reader.hpp"
#include "orchestrator/keys/network_files.hpp"
#include "orchestrator/keys/startup_error.hpp"

#include <unistd.h>

#include <string_view>
#include <system_error>
#include <utility>

extern char** environ;

namespace tayga::orch {
namespace {

namespace fs = std::filesystem;

Settings read_keys(config::Reader& reader) {
  Settings out;
  config::Section root = reader.root();
  out.state_dir = root.string("state_dir", out.state_dir.string());
  config::Section control = root.section("control");
  out.control_listen = control.string("listen", out.control_listen);
  out.telemetry_interval =
      control.duration("telemetry_interval", out.telemetry_interval, {100ms, 10s});
  config::Section http = root.section("http");
  out.http_listen = http.string("listen", out.http_listen);
  config::Section admin = root.section("admin");
  const std::string socket = admin.string("socket", "");
  out.socket = socket.empty() ? out.state_dir / "orchestrator.sock" : fs::path{socket};
  config::Section log_section = root.section("log");
  const std::string level =
      log_section.choice("level", "info", {"trace", "debug", "info", "warn", "error", "off"});
  out.log_level = log::parse_level(level).value_or(log::Level::info);
  config::Section receipts = root.section("receipts");
  out.receipt_submit_interval =
      receipts.duration("submit_interval", out.receipt_submit_interval, {1s, 1h});
  config::Section routing = root.section("routing");
  out.gateway_copies =
      static_cast<unsigned>(routing.integer("gateway_copies", out.gateway_copies, {1, 64}));
  out.rescue_share_permille = static_cast<unsigned>(
      routing.integer("rescue_share_permille", out.rescue_share_permille, {0, 1000}));
  out.node_grace = routing.duration("node_grace", out.node_grace, {0s, 60s});
  out.restart_grace = routing.duration("restart_grace", out.restart_grace, {0s, 60s});
  return out;
}

std::string join_lines(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += (out.empty() ? "" : "\n") + line;
  return out;
}

}  // namespace

LoadedSettings load_settings(const SettingsInput& input) {
  config::Inputs inputs;
  inputs.environment = input.environment;
  inputs.flags = input.flags;
  fs::path file = input.config_file.value_or(kDefaultConfigFile);
  std::error_code ec;
  if (input.config_file || fs::exists(file, ec)) {
    inputs.file_name = file.string();
    inputs.file_text = read_text_file(file, "check --config");
  } else {
    file.clear();
  }
  config::Reader reader{std::move(inputs)};
  LoadedSettings out;
  out.settings = read_keys(reader);
  const std::vector<std::string> problems = reader.finish();
  if (!problems.empty()) throw StartupError{ExitCode::config, join_lines(problems)};
  for (const std::string& warning : reader.warnings()) {
    log::warn("configuration", log::field("detail", warning));
  }
  out.printed = reader.print();
  out.source = file.string();
  return out;
}

std::map<std::string, std::string> tayga_environment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text{*entry};
    const auto equals = text.find('=');
    if (!text.starts_with("TAYGA_") || equals == std::string_view::npos) continue;
    out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

}  // namespace tayga::orch
