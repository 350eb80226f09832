#include "common/admin/client.hpp"
#include "common/base/exit_code.hpp"
#include "common/base/time.hpp"
#include "common/base/units.hpp"
#include "daemon/stream_words.hpp"

#include <CLI/CLI.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <variant>

namespace {

namespace json = boost::json;
using tayga::ExitCode;

constexpr char kDefaultSocket[] = "/var/lib/tayga/taygad.sock";
constexpr tayga::Duration kCallTimeout = tayga::Duration{10'000'000};

std::string text_of(const json::value& value) {
  return value.is_string() ? std::string{value.as_string()} : json::serialize(value);
}
std::uint64_t number_of(const json::value& value) {
  return value.is_number() ? value.to_number<std::uint64_t>() : 0;
}
std::string size_of(const json::value& value) {
  return tayga::format_size(number_of(value));
}
std::string ms_of(const json::value& value) {
  const double ms = value.is_number() ? value.to_number<double>() : 0;
  return tayga::format_duration(tayga::Duration{static_cast<tayga::Duration::rep>(ms * 1000)});
}
std::string list_of(const json::value& value) {
  std::string out;
  for (const json::value& item : value.as_array()) {
    if (!out.empty()) out += ", ";
    out += text_of(item);
  }
  return out.empty() ? "none" : out;
}
void row(const char* label, const std::string& text) {
  std::printf("%-14s %s\n", label, text.c_str());
}

void print_status(const json::object& status) {
  const json::object& orchestrator = status.at("orchestrator").as_object();
  const std::string address = text_of(orchestrator.at("address"));
  if (orchestrator.at("connected").as_bool()) {
    row("orchestrator", "connected to " + address);
  } else {
    const std::string error = text_of(orchestrator.at("error"));
    row("orchestrator", "NOT connected to " + address + (error.empty() ? "" : ": " + error));
  }
  row("node", text_of(status.at("node")));
  if (!text_of(status.at("name")).empty()) row("name", text_of(status.at("name")));
  row("roles", list_of(status.at("roles")));
  row("version", text_of(status.at("version")));
  const auto uptime_us = static_cast<std::int64_t>(number_of(status.at("uptime_s"))) * 1'000'000;
  row("up for", tayga::format_duration(tayga::Duration{uptime_us}));
  row("reached at", list_of(status.at("advertised")));
  const json::object& listen = status.at("listen").as_object();
  if (!text_of(listen.at("player")).empty()) {
    row("players", "http://" + text_of(listen.at("player")) + "/live/STREAM/master.m3u8");
  }
  row("peers", "at " + list_of(listen.at("peers_protocols")) + " " + text_of(listen.at("peers")) +
                   ", " + text_of(status.at("sessions")) + " sessions on " +
                   text_of(status.at("workers")) + " threads, " + text_of(status.at("streams")) +
                   " streams");
  if (!status.at("offered").as_array().empty()) row("may publish", list_of(status.at("offered")));
  const json::object& traffic = status.at("traffic").as_object();
  row("traffic", size_of(traffic.at("peer_bytes_in")) + " in, " +
                     size_of(traffic.at("peer_bytes_out")) + " out to peers, " +
                     size_of(traffic.at("player_bytes_out")) + " to players");
  const json::object& relay = status.at("relay").as_object();
  row("verified", text_of(relay.at("chunks_verified")) + " chunks, " +
                      text_of(relay.at("chunks_bad")) + " altered, " +
                      size_of(relay.at("dropped_bytes")) + " dropped for slow children");
  const json::object& receipts = status.at("receipts").as_object();
  row("receipts", size_of(receipts.at("acknowledged_bytes")) + " signed for, " +
                      size_of(receipts.at("settled_bytes")) + " settled, " +
                      size_of(receipts.at("refused_bytes")) + " refused");
}

/// Why TCP carries, where it was not the owner's choice.
std::string transport_note(const json::object& peer) {
  const json::value* remembered = peer.if_contains("remembered");
  if (remembered == nullptr || text_of(peer.at("transport")) != "tcp") return "";
  const json::object& memory = remembered->as_object();
  if (text_of(memory.at("reached_by")) != "tcp") return "";
  const auto age_us = static_cast<std::int64_t>(number_of(memory.at("age_s"))) * 1'000'000;
  return " (QUIC did not get through " + tayga::format_duration(tayga::Duration{age_us}) + " ago)";
}

void print_peers(const json::object& answer) {
  const json::array& peers = answer.at("peers").as_array();
  if (peers.empty()) std::puts("no peer sessions");
  for (const json::value& entry : peers) {
    const json::object& peer = entry.as_object();
    std::printf("%s  %s%s %s, rtt %s, %s in, %s out, %s stripes from it, %s to it\n",
                text_of(peer.at("node")).c_str(), text_of(peer.at("transport")).c_str(),
                transport_note(peer).c_str(), text_of(peer.at("address")).c_str(),
                ms_of(peer.at("rtt_ms")).c_str(), size_of(peer.at("bytes_in")).c_str(),
                size_of(peer.at("bytes_out")).c_str(), text_of(peer.at("stripes_from")).c_str(),
                text_of(peer.at("stripes_to")).c_str());
  }
}

std::string limit_of(std::uint64_t bps) {
  return bps == 0 ? "no limit" : tayga::format_rate(bps);
}

void print_limits(const json::object& limits) {
  const std::string reason = text_of(limits.at("reason"));
  row("sending", reason.empty() ? "allowed" : reason);
  if (limits.at("children_sent_away").as_bool()) {
    row("children", "none: the orchestrator was told to plan none here");
  }
  const std::uint64_t cap = number_of(limits.at("upload_bps"));
  const std::uint64_t in_force = number_of(limits.at("upload_now_bps"));
  row("upload", limit_of(cap) + (in_force == cap ? "" : ", " + limit_of(in_force) + " for now"));
  row("per peer", limit_of(number_of(limits.at("upload_per_peer_bps"))));
  const std::uint64_t uplink = number_of(limits.at("uplink_bps"));
  row("declared", uplink == 0 ? "unknown" : tayga::format_rate(uplink));
  const json::object& month = limits.at("month").as_object();
  const std::string used = size_of(month.at("used_bytes")) + " used";
  if (number_of(month.at("limit_bytes")) == 0) {
    row("this month", used + ", no limit");
  } else {
    row("this month", used + " of " + size_of(month.at("limit_bytes")) + ", " +
                          size_of(month.at("left_bytes")) + " left for media; starts again on " +
                          text_of(month.at("next_reset")));
  }
  const json::object& schedule = limits.at("schedule").as_object();
  const json::value& next = schedule.at("next_change");
  row("schedule", schedule.at("always").as_bool() ? "always"
                  : next.is_null()                ? "never changes"
                                                  : "changes at " + text_of(next));
  row("metered", limits.at("metered").as_bool() ? "yes: download only" : "no");
  row("sent", size_of(limits.at("media_bytes")) + " media, " + size_of(limits.at("control_bytes")) +
                  " control; waited " + ms_of(limits.at("blocked_ms")) + " for the limits");
}

/// 4 when the daemon runs but cannot reach its orchestrator, so that scripts see it.
ExitCode health_of(const std::string& command, const json::object& answer) {
  if (command != "status") return ExitCode::ok;
  return answer.at("orchestrator").as_object().at("connected").as_bool() ? ExitCode::ok
                                                                         : ExitCode::degraded;
}

int ask(const std::string& socket, const std::string& command, bool as_json) {
  const auto called = tayga::admin::call(socket, command, {}, kCallTimeout);
  if (!called) {
    std::fprintf(stderr, "taygactl: %s: %s\n", socket.c_str(), called.error().message().c_str());
    return tayga::admin::exit_code(called.error());
  }
  if (const auto* failure = std::get_if<tayga::admin::Failure>(&*called)) {
    std::fprintf(stderr, "taygactl: %s\n", failure->message.c_str());
    return static_cast<int>(ExitCode::failed);
  }
  const json::object& answer = std::get<json::value>(*called).as_object();
  if (as_json) {
    std::puts(json::serialize(answer).c_str());
  } else if (command == "status") {
    print_status(answer);
  } else if (command == "peers") {
    print_peers(answer);
  } else if (command == "limits") {
    print_limits(answer);
  } else {
    std::fputs(tayga::describe_streams(answer).c_str(), stdout);
  }
  return static_cast<int>(health_of(command, answer));
}

int run(int argc, char** argv) {
  CLI::App cli{"taygactl asks a running taygad.", "taygactl"};
  std::string socket = kDefaultSocket;
  bool as_json = false;
  cli.add_option("--socket", socket,
                 std::string{"control socket (default "} + kDefaultSocket + ")");
  cli.add_flag("--json", as_json, "print the answer as JSON");
  cli.set_version_flag("--version", "taygactl " TAYGA_VERSION);
  cli.fallthrough();
  cli.require_subcommand(1);
  cli.add_subcommand("status", "is it connected, what does it carry, what has it earned");
  cli.add_subcommand("peers", "its sessions with other nodes");
  cli.add_subcommand("streams", "its streams, and who sends it which stripe");
  cli.add_subcommand("limits", "what it may send to others, what is used, and why it does not");
  CLI::App* version = cli.add_subcommand("version", "this program's version");
  try {
    cli.parse(argc, argv);
  } catch (const CLI::Success& success) {
    cli.exit(success);
    return static_cast<int>(ExitCode::ok);
  } catch (const CLI::ParseError& error) {
    const auto unknown = cli.remaining();
    const std::string what =
        unknown.empty() ? error.what() : "there is no command '" + unknown.front() + "'";
    std::fprintf(stderr, "taygactl: %s; see taygactl --help\n", what.c_str());
    return static_cast<int>(ExitCode::usage);
  }
  if (version->parsed()) {
    std::puts("taygactl " TAYGA_VERSION);
    return static_cast<int>(ExitCode::ok);
  }
  return ask(socket, cli.get_subcommands().front()->get_name(), as_json);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {  // an answer of another version
    std::fprintf(stderr, "taygactl: the daemon's answer is not understood: %s\n", error.what());
    return static_cast<int>(ExitCode::failed);
  }
}
