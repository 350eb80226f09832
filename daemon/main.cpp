#include "common/base/exit_code.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/grpc/grpc_runtime.hpp"
#include "common/log/log.hpp"
#include "daemon/app.hpp"
#include "daemon/daemon_config.hpp"

#include <CLI/CLI.hpp>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <map>
#include <optional>
#include <string>

namespace {

using tayga::ExitCode;

int end(ExitCode code) {
  return static_cast<int>(code);
}

std::map<std::string, std::string> read_environment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text{*entry};
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || !text.starts_with("TAYGA_")) continue;
    variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  return variables;
}

struct CommandLine {
  tayga::DaemonFlags flags;
  bool check_config = false;
  bool print_config = false;
};

/// The exit code when there is nothing to run: help, version, or a usage error.
std::optional<int> parse(int argc, char** argv, CommandLine& out) {
  CLI::App cli{"taygad relays live video from peer to peer.", "taygad"};
  std::string config;
  std::string state_dir;
  std::string log_level;
  cli.add_option("--config", config, "configuration file (default /etc/tayga/taygad.toml)");
  cli.add_option("--state", state_dir, "state directory, instead of state_dir");
  cli.add_option("--log-level", log_level, "trace, debug, info, warn, error or off");
  cli.add_flag("--check-config", out.check_config, "check the configuration and end");
  cli.add_flag("--print-config", out.print_config,
               "print the effective configuration with the source of each value and end");
  cli.set_version_flag("--version", "taygad " TAYGA_VERSION);
  try {
    cli.parse(argc, argv);
  } catch (const CLI::Success& success) {
    cli.exit(success);
    return end(ExitCode::ok);
  } catch (const CLI::ParseError& error) {
    std::fprintf(stderr, "taygad: %s; see taygad --help\n", error.what());
    return end(ExitCode::usage);
  }
  if (!config.empty()) out.flags.config = config;
  if (!state_dir.empty()) out.flags.overrides["state_dir"] = state_dir;
  if (!log_level.empty()) out.flags.overrides["log.level"] = log_level;
  return std::nullopt;
}

int run(int argc, char** argv) {
  CommandLine line;
  if (const auto code = parse(argc, argv, line)) return *code;
  tayga::DaemonConfigResult loaded = tayga::load_daemon_config(line.flags, read_environment());
  if (line.print_config && !loaded.effective.empty()) std::fputs(loaded.effective.c_str(), stdout);
  for (const std::string& problem : loaded.problems) {
    std::fprintf(stderr, "taygad: %s\n", problem.c_str());
  }
  if (!loaded.config) return end(ExitCode::config);
  if (line.check_config || line.print_config) return end(ExitCode::ok);

  tayga::log::set_level(loaded.config->log_level);
  tayga::crypto::init();
  tayga::App app{std::move(*loaded.config)};
  app.run();
  return end(ExitCode::ok);
}

}  // namespace

int main(int argc, char** argv) {
  const tayga::GrpcRuntime grpc;
  // A peer that goes away must end its session, not the process.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return run(argc, argv);
  } catch (const tayga::App::StartError& error) {
    std::fprintf(stderr, "taygad: %s\n", error.message.c_str());
    return end(error.exit_code);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "taygad: %s\n", error.what());
    return end(ExitCode::failed);
  }
}
