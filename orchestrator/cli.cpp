#include "orchestrator/cli.hpp"

#include "common/base/units.hpp"
#include "orchestrator/app/settings.hpp"
#include "orchestrator/keys/startup_error.hpp"
#include "orchestrator/model/records.hpp"

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include <chrono>
#include <functional>
#include <sstream>
#include <utility>

namespace tayga::orch {
namespace {

namespace json = boost::json;

/// Options that several commands share; CLI11 writes into it.
struct Values {
  std::string state = kDefaultStateDir;
  std::string socket;
  bool json = false;

  InitCommand init;
  std::string config_file;
  std::string listen, http_listen;
  bool check_config = false;
  bool print_config = false;
  std::string address;

  std::string name;
  int stripes = 1;
  std::string gateway, origin, window = "2s";
  std::string node;
};

std::filesystem::path socket_of(const Values& values) {
  if (!values.socket.empty()) return values.socket;
  return std::filesystem::path{values.state} / "orchestrator.sock";
}

VerbCommand verb(const Values& values, std::string name, const json::object& arguments) {
  return {socket_of(values), std::move(name), json::serialize(arguments), values.json};
}

CLI::App* add_verb(CLI::App& parent, const char* name, const char* help, Values& values) {
  CLI::App* sub = parent.add_subcommand(name, help);
  sub->add_option("--socket", values.socket, "Administrators' socket of the orchestrator");
  sub->add_option("--state", values.state, "State directory, where the socket is looked for");
  sub->add_flag("--json", values.json, "Answer in JSON");
  return sub;
}

void add_init(CLI::App& app, Values& values) {
  CLI::App* sub = app.add_subcommand("init", "Make a new network: its keys and its join URL");
  sub->add_option("--state", values.state, "State directory")->capture_default_str();
  sub->add_option("--address", values.address, "HOST:PORT at which nodes reach this orchestrator");
  sub->add_flag("--renew-online-key", values.init.renew_online_key,
                "Make a new online key for an existing network instead");
  sub->add_option("--root-key", values.init.root_key,
                  "The network's root.pem, where it is kept offline");
}

void add_serve(CLI::App& app, Values& values) {
  CLI::App* sub = app.add_subcommand("serve", "Run the orchestrator");
  sub->add_option("--config", values.config_file,
                  std::string{"Configuration, default "} + kDefaultConfigFile + " if it exists");
  sub->add_option("--state", values.state, "State directory");
  sub->add_option("--listen", values.listen, "ADDRESS:PORT for nodes");
  sub->add_option("--http", values.http_listen, "ADDRESS:PORT for the API and metrics");
  sub->add_option("--socket", values.socket, "Administrators' socket");
  sub->add_flag("--check-config", values.check_config, "Say what is wrong with it, and end");
  sub->add_flag("--print-config", values.print_config, "Print what is in effect, and end");
}

void add_streams(CLI::App& app, Values& values) {
  CLI::App* stream = app.add_subcommand("stream", "Add, list and remove streams");
  stream->require_subcommand(1);
  CLI::App* add = add_verb(*stream, "add", "Add a stream and print its ingest key, once", values);
  add->add_option("name", values.name, "Lower-case letters, digits, '.', '_', '-'")->required();
  add->add_option("--stripes", values.stripes, "Parts that travel on separate trees")
      ->capture_default_str();
  add->add_option("--gateway", values.gateway, "Only this node may publish it");
  add->add_option("--origin", values.origin, "Pull this HLS playlist instead of taking an encoder");
  add->add_option("--window", values.window, "What arrives later than this is late, 1s to 10s")
      ->capture_default_str();
  add_verb(*stream, "ls", "List streams", values);
  CLI::App* rm = add_verb(*stream, "rm", "Remove a stream", values);
  rm->add_option("name", values.name, "Its name")->required();
}

void add_others(CLI::App& app, Values& values) {
  CLI::App* node = app.add_subcommand("node", "Look at nodes");
  node->require_subcommand(1);
  add_verb(*node, "ls", "List nodes", values);
  CLI::App* ledger = app.add_subcommand("ledger", "Look at settled receipts");
  ledger->require_subcommand(1);
  CLI::App* show = add_verb(*ledger, "show", "Balances of all nodes, or one's accounts", values);
  show->add_option("node", values.node, "A node's id");
  add_verb(app, "healthcheck", "Ask a running orchestrator whether it is well", values);
  CLI::App* join = app.add_subcommand("join-url", "Print the line with which nodes join");
  join->add_option("--state", values.state, "State directory")->capture_default_str();
  join->add_option("--address", values.address, "HOST:PORT instead of the one given to init");
  CLI::App* version = app.add_subcommand("version", "Print the version");
  version->add_flag("--json", values.json, "Answer in JSON");
}

Command to_serve(const Values& values, const CLI::App& sub) {
  ServeCommand out;
  if (sub.count("--config") != 0) out.config_file = values.config_file;
  if (sub.count("--state") != 0) out.flags["state_dir"] = values.state;
  if (sub.count("--listen") != 0) out.flags["control.listen"] = values.listen;
  if (sub.count("--http") != 0) out.flags["http.listen"] = values.http_listen;
  if (sub.count("--socket") != 0) out.flags["admin.socket"] = values.socket;
  if (values.check_config) out.mode = ServeCommand::Mode::check_config;
  if (values.print_config) out.mode = ServeCommand::Mode::print_config;
  return out;
}

Command to_stream_add(const Values& values) {
  const auto window = parse_duration(values.window);
  if (!window) {
    return SayCommand{static_cast<int>(ExitCode::usage),
                      "--window '" + values.window + "' is no duration; write one such as 2s"};
  }
  if (*window < kPlayoutWindowMin || *window > kPlayoutWindowMax) {
    return SayCommand{static_cast<int>(ExitCode::usage),
                      "--window '" + values.window + "' is not 1s to 10s"};
  }
  json::object arguments;
  arguments["name"] = values.name;
  arguments["stripes"] = values.stripes;
  arguments["gateway"] = values.gateway;
  arguments["origin"] = values.origin;
  arguments["window_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(*window).count();
  return verb(values, "stream.add", arguments);
}

Command to_command(const CLI::App& app, Values& values) {
  const CLI::App* sub = app.get_subcommands().front();
  const std::string name = sub->get_name();
  const auto nested = [sub] { return sub->get_subcommands().front()->get_name(); };
  if (name == "init") {
    values.init.state = values.state;
    values.init.address = values.address.empty() ? "127.0.0.1:7400" : values.address;
    return values.init;
  }
  if (name == "serve") return to_serve(values, *sub);
  if (name == "join-url") {
    JoinUrlCommand out{values.state, std::nullopt};
    if (!values.address.empty()) out.address = values.address;
    return out;
  }
  if (name == "version") return VersionCommand{values.json};
  if (name == "healthcheck") return verb(values, "health", {});
  if (name == "node") return verb(values, "node.ls", {});
  if (name == "ledger") return verb(values, "ledger.show", {{"node", values.node}});
  if (nested() == "add") return to_stream_add(values);
  if (nested() == "rm") return verb(values, "stream.rm", {{"name", values.name}});
  return verb(values, "stream.ls", {});
}

/// CLI11 says of an unknown command only that one is missing.
std::string explain(const CLI::App& app, int argc, const char* const* argv, std::string said) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word.starts_with("-") ||
        at->get_subcommands([](const CLI::App*) { return true; }).empty()) {
      break;
    }
    const auto known =
        at->get_subcommands([&](const CLI::App* sub) { return sub->get_name() == word; });
    if (known.empty()) return "unknown command '" + word + "'; run with --help for the list";
    at = known.front();
  }
  return said;
}

}  // namespace

Command parse_command_line(int argc, const char* const* argv) {
  CLI::App app{"The brain of a Tayga network: who relays what to whom, and who is owed for it.",
               "tayga-orchestrator"};
  app.set_version_flag("--version", TAYGA_VERSION);
  app.require_subcommand(1);
  Values values;
  add_init(app, values);
  add_serve(app, values);
  add_streams(app, values);
  add_others(app, values);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = app.exit(error, out, err);
    if (code == 0) return SayCommand{0, out.str()};
    return SayCommand{static_cast<int>(ExitCode::usage), explain(app, argc, argv, err.str())};
  }
  return to_command(app, values);
}

}  // namespace tayga::orch
