#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <variant>

namespace tayga::orch {

/// What the command line asks for.
struct InitCommand {
  std::filesystem::path state;
  std::string address;
  bool renew_online_key = false;
  std::filesystem::path root_key;
};
struct ServeCommand {
  std::optional<std::filesystem::path> config_file;
  std::map<std::string, std::string> flags;  ///< by full configuration key
  enum class Mode { serve, check_config, print_config } mode = Mode::serve;
};
struct JoinUrlCommand {
  std::filesystem::path state;
  std::optional<std::string> address;
};
/// Sent to a running orchestrator.
struct VerbCommand {
  std::filesystem::path socket;
  std::string verb;       ///< "stream.add"
  std::string arguments;  ///< a JSON object
  bool json = false;
};
struct VersionCommand {
  bool json = false;
};
/// Nothing to do but to print and end: help, or what is wrong with the command line.
struct SayCommand {
  int exit_code = 0;
  std::string text;
};

using Command = std::variant<InitCommand, ServeCommand, JoinUrlCommand, VerbCommand, VersionCommand,
                             SayCommand>;

Command parse_command_line(int argc, const char* const* argv);

}  // namespace tayga::orch
