// tayga-sim SCENARIO: the production cores in virtual time. See --help.
#include "tests/sim/report.hpp"
#include "tests/sim/sim_cli.hpp"

#include <exception>
#include <iostream>

namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 64;

int run(const tayga::sim::SimCommand& command) {
  using namespace tayga::sim;
  Report report{std::string{command.scenario->name}, command.options, {}};
  bool is_violated = false;
  for (unsigned i = 0; i < command.seeds; ++i) {
    SimOptions options = command.options;
    options.seed += i;
    Trial trial{options};
    command.scenario->plan(trial);
    report.runs.push_back(trial.run());
    for (const Auditor::Violation& violation : report.runs.back().violations) {
      is_violated = true;
      std::cerr << "violated: " << violation.rule << " (seed " << options.seed << ", at "
                << static_cast<double>((violation.at - kStart).count()) / 1e6
                << " s: " << violation.detail << ")\n"
                << "replay: " << replay_command(command.arguments, options.seed) << "\n";
    }
  }
  if (command.json) {
    std::cout << to_json(report) << std::endl;
  } else {
    std::cout << to_text(report) << std::flush;
  }
  return is_violated ? kExitFailed : 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::string error;
    const std::span<const char* const> words{argv + 1, static_cast<std::size_t>(argc - 1)};
    const auto command = tayga::sim::parse_command(words, error);
    if (!command) {
      std::cerr << "tayga-sim: " << error << "\n";
      return kExitUsage;
    }
    if (command->scenario == nullptr) {
      std::cout << command->message;
      return 0;
    }
    return run(*command);
  } catch (const std::exception& thrown) {
    std::cerr << "tayga-sim: " << thrown.what() << "\n";
    return kExitFailed;
  }
}
