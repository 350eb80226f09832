#include "tests/sim/sim_cli.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <string_view>

namespace tayga::sim {
namespace {

/// Where the public traces are when nobody says it.
constexpr const char* kDataDirs[] = {"../shared/data", "shared/data"};

std::string help() {
  std::string text =
      "tayga-sim SCENARIO [--nodes N] [--seed S] [--seeds N] [--duration D] [--window D]\n"
      "                   [--stripes K] [--bitrate R] [--segment D] [--fragment D]\n"
      "                   [--loss PERCENT] [--jitter D] [--spikes PERCENT] [--corruption PERCENT] "
      "[--origin]\n"
      "                   [--data DIR | --synthetic] [--traces] [--real-proofs] [--json]\n"
      "                   [--rtt D] [--relays N] [--gateway-uplink R] [--relay-uplink R]\n"
      "                   [--viewer-uplink R] [--kill-every D] [--kill-back D]\n"
      "                   [--kill-relays-only]\n\n"
      "Runs the production relay and orchestrator cores in virtual time.\n"
      "Durations: 500ms, 30s, 10min, 1h. Rates: 800kbit, 1mbit. The same seed is the same run.\n"
      "Public traces are read from --data, TAYGA_DATA_DIR or ../shared/data; without them the\n"
      "network is synthetic. --traces: one uplink in eight follows a measured one, outages and "
      "all.\n"
      "--rtt makes a laboratory: every pair has it, all can connect, the control path is perfect.\n"
      "--relays, the uplinks by role and --kill-... (parent_kill) set what real programs have.\n"
      "Exit: 0 done, 1 an invariant was violated, 64 usage.\n\nScenarios:\n";
  for (const Scenario& scenario : scenarios()) {
    text += "  " + std::string{scenario.name};
    text.append(22 - std::min<std::size_t>(21, scenario.name.size()), ' ');
    text += std::string{scenario.summary} + "\n";
  }
  return text;
}

struct Number {
  std::uint64_t value = 0;
  std::string_view unit;
};

std::optional<Number> to_number(std::string_view text) {
  Number number;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number.value);
  if (error != std::errc{}) return std::nullopt;
  number.unit = text.substr(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::optional<std::uint64_t> to_count(std::string_view text) {
  const auto number = to_number(text);
  if (!number || !number->unit.empty()) return std::nullopt;
  return number->value;
}

/// `unit` by unit: what one is in the smallest.
template <class Units>
std::optional<std::uint64_t> with_unit(std::string_view text, const Units& units) {
  const auto number = to_number(text);
  if (!number || number->value > 1'000'000'000) return std::nullopt;
  for (const auto& [unit, factor] : units) {
    if (number->unit == unit) return number->value * factor;
  }
  return std::nullopt;
}

std::optional<Duration> to_duration(std::string_view text) {
  using Unit = std::pair<std::string_view, std::uint64_t>;
  constexpr std::array<Unit, 6> kUnits{Unit{"us", 1},           Unit{"ms", 1000},
                                       Unit{"s", 1'000'000},    Unit{"", 1'000'000},
                                       Unit{"min", 60'000'000}, Unit{"h", 3'600'000'000}};
  const auto us = with_unit(text, kUnits);
  if (!us) return std::nullopt;
  return Duration{static_cast<Duration::rep>(*us)};
}

std::optional<std::uint64_t> to_rate(std::string_view text) {
  using Unit = std::pair<std::string_view, std::uint64_t>;
  constexpr std::array<Unit, 4> kUnits{Unit{"", 1}, Unit{"bit", 1}, Unit{"kbit", 1000},
                                       Unit{"mbit", 1'000'000}};
  return with_unit(text, kUnits);
}

/// "1.5" as 15,000 per million.
std::optional<std::uint64_t> to_ppm(std::string_view text) {
  const std::size_t dot = text.find('.');
  const auto whole = to_count(text.substr(0, dot));
  if (!whole || *whole > 100) return std::nullopt;
  std::uint64_t ppm = *whole * 10'000;
  std::uint64_t place = 1000;
  for (const char c : dot == std::string_view::npos ? "" : text.substr(dot + 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    ppm += static_cast<std::uint64_t>(c - '0') * place;
    place /= 10;
  }
  return ppm;
}

template <class Value, class Field>
bool take(const std::optional<Value>& value, Value low, Value high, Field& field) {
  if (!value || *value < low || high < *value) return false;
  field = static_cast<Field>(*value);
  return true;
}

/// What makes the network and the kills those of a laboratory; as set().
std::optional<bool> set_lab(SimOptions& options, std::string_view flag, std::string_view value) {
  using Count = std::uint64_t;
  constexpr Count kUplinkMin = 50'000;
  constexpr Count kUplinkMax = 1'000'000'000;
  if (flag == "--relays") return take(to_count(value), Count{0}, Count{20'000}, options.relays);
  if (flag == "--rtt") {
    return take(to_duration(value), Duration{0}, Duration{1s}, options.lab_rtt);
  }
  if (flag == "--kill-every") {
    return take(to_duration(value), Duration{500ms}, Duration{1h}, options.kill_every);
  }
  if (flag == "--kill-back") {
    return take(to_duration(value), Duration{1s}, Duration{1h}, options.kill_back);
  }
  std::uint64_t* uplink = flag == "--gateway-uplink"  ? &options.gateway_uplink_bps
                          : flag == "--relay-uplink"  ? &options.relay_uplink_bps
                          : flag == "--viewer-uplink" ? &options.viewer_uplink_bps
                                                      : nullptr;
  if (uplink == nullptr) return std::nullopt;
  return take(to_rate(value), kUplinkMin, kUplinkMax, *uplink);
}

/// False: the flag is known, its value is not possible.
std::optional<bool> set(SimCommand& command, std::string_view flag, std::string_view value) {
  SimOptions& options = command.options;
  using Count = std::uint64_t;
  constexpr Count kPpm = 500'000;
  if (flag == "--nodes") return take(to_count(value), Count{2}, Count{20'000}, options.nodes);
  if (flag == "--seed") return take(to_count(value), Count{0}, ~Count{0}, options.seed);
  if (flag == "--seeds") return take(to_count(value), Count{1}, Count{100'000}, command.seeds);
  if (flag == "--stripes") return take(to_count(value), Count{1}, Count{32}, options.stripes);
  if (flag == "--bitrate") {
    return take(to_rate(value), Count{50'000}, Count{50'000'000}, options.bitrate_bps);
  }
  if (flag == "--duration") {
    return take(to_duration(value), Duration{30s}, Duration{24h}, options.duration);
  }
  if (flag == "--window") {
    return take(to_duration(value), Duration{200ms}, Duration{10s}, options.window);
  }
  if (flag == "--segment") {
    return take(to_duration(value), Duration{200ms}, Duration{10s}, options.segment);
  }
  if (flag == "--fragment") {
    return take(to_duration(value), Duration{10ms}, Duration{10s}, options.fragment);
  }
  if (flag == "--jitter") {
    return take(to_duration(value), Duration{0}, Duration{1s}, options.jitter);
  }
  if (flag == "--loss") return take(to_ppm(value), Count{0}, kPpm, options.loss_ppm);
  if (flag == "--spikes") return take(to_ppm(value), Count{0}, kPpm, options.spike_ppm);
  if (flag == "--corruption") return take(to_ppm(value), Count{0}, kPpm, options.corruption_ppm);
  if (flag == "--data") {
    options.data_dir = value;
    return std::filesystem::is_directory(options.data_dir);
  }
  return set_lab(options, flag, value);
}

bool set_switch(SimCommand& command, std::string_view flag) {
  if (flag == "--json") {
    command.json = true;
  } else if (flag == "--origin") {
    command.options.origin = true;
  } else if (flag == "--traces") {
    command.options.traces = true;
  } else if (flag == "--real-proofs") {
    command.options.real_proofs = true;
  } else if (flag == "--kill-relays-only") {
    command.options.kill_relays_only = true;
  } else if (flag == "--synthetic") {
    command.options.data_dir.clear();
  } else {
    return false;
  }
  return true;
}

std::string default_data_dir() {
  if (const char* named = std::getenv("TAYGA_DATA_DIR")) return named;
  for (const char* dir : kDataDirs) {
    if (std::filesystem::is_directory(dir)) return dir;
  }
  return {};
}

}  // namespace

std::optional<SimCommand> parse_command(std::span<const char* const> words, std::string& error) {
  SimCommand command;
  const auto is_help = [](std::string_view word) { return word == "--help" || word == "-h"; };
  if (std::any_of(words.begin(), words.end(), is_help)) {
    command.message = help();
    return command;
  }
  if (words.empty()) {
    error = "no scenario is named\n\n" + help();
    return std::nullopt;
  }
  const std::string_view name = words.front();
  command.scenario = find_scenario(name);
  if (command.scenario == nullptr) {
    error = "no scenario is named \"" + std::string{name} + "\"; there are:";
    for (const Scenario& scenario : scenarios()) error += " " + std::string{scenario.name};
    return std::nullopt;
  }
  command.options.data_dir = default_data_dir();
  command.scenario->prepare(command.options);
  command.arguments = name;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string flag = words[i];
    if (set_switch(command, flag)) {
      if (flag != "--json") command.arguments += " " + flag;
      continue;
    }
    const std::string value = i + 1 < words.size() ? words[i + 1] : "";
    const auto known = set(command, flag, value);
    if (!known) {
      error = "unknown flag \"" + flag + "\"; tayga-sim --help lists them";
      return std::nullopt;
    }
    if (!*known) {
      error = "\"" + value + "\" is not possible for " + flag + "; see tayga-sim --help";
      return std::nullopt;
    }
    if (flag != "--seed" && flag != "--seeds") command.arguments += " " + flag + " " + value;
    ++i;
  }
  return command;
}

}  // namespace tayga::sim
