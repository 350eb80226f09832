#include "common/crypto/ed25519.hpp"
#include "orchestrator/app.hpp"
#include "orchestrator/app/settings.hpp"
#include "orchestrator/cli.hpp"
#include "orchestrator/keys/network_keys.hpp"
#include "orchestrator/keys/startup_error.hpp"
#include "orchestrator/verb_client.hpp"

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>

namespace tayga::orch {
namespace {

void say(std::FILE* to, const std::string& text) {
  std::fputs(text.c_str(), to);
  if (text.empty() || text.back() != '\n') std::fputc('\n', to);
}

std::int64_t now_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

ExitCode run(const InitCommand& command) {
  if (command.renew_online_key) {
    const media::OnlineKey key = renew_online_key(command.state, command.root_key, now_ms());
    say(stdout, "online key " + std::to_string(key.key_id) +
                    " made; restart `tayga-orchestrator serve` to sign with it");
    return ExitCode::ok;
  }
  const InitResult made = init_network(command.state, command.address, now_ms());
  say(stdout, made.join_url);
  say(stderr,
      "The line above is all that a node needs to join.\n"
      "Move " +
          made.root_key.string() +
          " to a place that is not connected; it is needed only to renew the online key, which "
          "expires in 30 days:\n  tayga-orchestrator init --renew-online-key --state " +
          command.state.string() + " --root-key FILE");
  if (command.address.starts_with("127.")) {
    say(stderr, "Only this machine can join at " + command.address +
                    "; print a line for others with `join-url --address HOST:PORT`.");
  }
  return ExitCode::ok;
}

ExitCode run(const ServeCommand& command) {
  const LoadedSettings loaded =
      load_settings({command.config_file, tayga_environment(), command.flags});
  switch (command.mode) {
    case ServeCommand::Mode::check_config:
      say(stdout,
          loaded.source.empty() ? "no file; the defaults are good" : loaded.source + " is good");
      return ExitCode::ok;
    case ServeCommand::Mode::print_config:
      say(stdout, loaded.printed);
      return ExitCode::ok;
    case ServeCommand::Mode::serve:
      break;
  }
  log::set_level(loaded.settings.log_level);
  return serve(loaded.settings);
}

ExitCode run(const JoinUrlCommand& command) {
  say(stdout, join_url(command.state, command.address));
  return ExitCode::ok;
}

ExitCode run(const VerbCommand& command) {
  const VerbAnswer answer = ask_orchestrator(command);
  say(answer.exit_code == ExitCode::ok ? stdout : stderr, answer.text);
  return answer.exit_code;
}

ExitCode run(const VersionCommand& command) {
  say(stdout,
      command.json ? R"({"version":")" TAYGA_VERSION R"("})" : "tayga-orchestrator " TAYGA_VERSION);
  return ExitCode::ok;
}

ExitCode run(const SayCommand& command) {
  say(command.exit_code == 0 ? stdout : stderr, command.text);
  return static_cast<ExitCode>(command.exit_code);
}

}  // namespace
}  // namespace tayga::orch

int main(int argc, char** argv) {
  using namespace tayga;
  ExitCode code = ExitCode::failed;
  try {
    crypto::init();
    const orch::Command command = orch::parse_command_line(argc, argv);
    code = std::visit([](const auto& c) { return orch::run(c); }, command);
  } catch (const orch::StartupError& error) {
    std::fprintf(stderr, "tayga-orchestrator: %s\n", error.what());
    code = error.exit_code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tayga-orchestrator: %s\n", error.what());
  }
  return static_cast<int>(code);
}
