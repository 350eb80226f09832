#include "orchestrator/app/admin_verbs.hpp"

#include "common/async/clock.hpp"
#include "common/base/encoding.hpp"
#include "common/crypto/hash.hpp"
#include "orchestrator/app/ask.hpp"
#include "orchestrator/http/json_view.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

namespace tayga::orch {
namespace {

namespace json = boost::json;
using async::Task;

constexpr std::size_t kIngestKeySize = 20;
constexpr std::size_t kAccountsShownMax = 1'000;
constexpr std::uint16_t kPlayerPort = 8780;

std::int64_t to_ms(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

VerbReply refused(std::string message, ExitCode code = ExitCode::failed) {
  return {code, std::move(message)};
}
VerbReply busy() {
  return refused("the orchestrator is busy or stopping; try again", ExitCode::try_again);
}

json::object parse_arguments(const std::string& text) {
  boost::system::error_code ec;
  json::value value = json::parse(text, ec);
  if (ec || !value.is_object()) return {};
  return std::move(value.as_object());
}

std::string text_of(const json::object& arguments, std::string_view key) {
  const json::value* value = arguments.if_contains(key);
  return value != nullptr && value->is_string() ? std::string{value->as_string()} : std::string{};
}

std::int64_t integer_of(const json::object& arguments, std::string_view key,
                        std::int64_t fallback) {
  const json::value* value = arguments.if_contains(key);
  return value != nullptr && value->is_int64() ? value->as_int64() : fallback;
}

/// A stream as the operator asked for it, or why not.
struct Asked {
  StreamRecord stream;
  std::string ingest_key;  // empty: it is pulled
  std::string problem;
};

Asked to_stream(const json::object& arguments) {
  Asked out;
  out.stream.name = text_of(arguments, "name");
  const std::int64_t stripes = integer_of(arguments, "stripes", 1);
  if (stripes < 1 || stripes > static_cast<std::int64_t>(kStripeCountMax)) {
    out.problem = "--stripes " + std::to_string(stripes) + " is not 1 to 32";
  }
  out.stream.stripe_count = static_cast<unsigned>(stripes);
  const std::int64_t window_ms = integer_of(arguments, "window_ms", 2'000);
  if (window_ms < to_ms(kPlayoutWindowMin) || window_ms > to_ms(kPlayoutWindowMax)) {
    out.problem = "--window " + std::to_string(window_ms) + "ms is not 1s to 10s";
  } else {
    out.stream.playout_window = std::chrono::milliseconds{window_ms};
  }
  if (const std::string gateway = text_of(arguments, "gateway"); !gateway.empty()) {
    out.stream.gateway = id_from_string<NodeId>(gateway);
    if (!out.stream.gateway) {
      out.problem = "--gateway '" + gateway + "' is no node id (52 characters; see `node ls`)";
    }
  }
  out.stream.origin_url = text_of(arguments, "origin");
  const std::string& origin = out.stream.origin_url;
  if (!origin.empty() && !origin.starts_with("http://") && !origin.starts_with("https://")) {
    out.problem = "--origin '" + origin + "' is no http or https URL of a playlist";
  }
  out.stream.created_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                              async::Clock::wall_now().time_since_epoch())
                              .count();
  if (origin.empty()) {
    out.ingest_key = make_ingest_key();
    out.stream.ingest_key_hash = crypto::sha256(as_bytes(out.ingest_key));
  }
  return out;
}

/// The host by which an encoder reaches the stream's gateway, as far as it is known.
std::string gateway_host(const World::Snapshot& world, const StreamRecord& stream) {
  const auto fits = [&](const World::NodeStatus& node) {
    if (stream.gateway) return node.record.id == *stream.gateway;
    return node.connected && has_role(node.record.roles, Role::gateway);
  };
  const auto node = std::find_if(world.nodes.begin(), world.nodes.end(), fits);
  if (node == world.nodes.end() || node->record.endpoints.empty()) return "GATEWAY";
  const std::string& address = node->record.endpoints.front().address;
  return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

VerbReply added_reply(const Asked& asked, const World::Snapshot& world) {
  const std::string player = ":" + std::to_string(kPlayerPort);
  json::object out;
  out["name"] = asked.stream.name;
  out["stripe_count"] = asked.stream.stripe_count;
  if (!asked.ingest_key.empty()) {
    out["ingest_key"] = asked.ingest_key;
    out["ingest_url"] = "http://" + gateway_host(world, asked.stream) + player + "/ingest/" +
                        asked.ingest_key + "/" + asked.stream.name + "/index.m3u8";
  }
  out["playback_url"] = "http://NODE" + player + "/live/" + asked.stream.name + "/master.m3u8";
  return {ExitCode::ok, json::serialize(out)};
}

}  // namespace

std::string make_ingest_key() {
  std::array<std::byte, kIngestKeySize> bytes;
  crypto::random_bytes(bytes);
  return to_base32(bytes);
}

Task<VerbReply> AdminVerbs::run(std::string verb, std::string arguments) {
  if (verb == "stream.add") co_return co_await add_stream(std::move(arguments));
  if (verb == "stream.rm") co_return co_await remove_stream(std::move(arguments));
  if (verb == "ledger.show") co_return co_await show_ledger(std::move(arguments));
  if (verb == "stream.ls") {
    co_return VerbReply{ExitCode::ok, streams_json(*world_.snapshot(), kWholeList)};
  }
  if (verb == "node.ls") {
    co_return VerbReply{ExitCode::ok, nodes_json(*world_.snapshot(), kWholeList)};
  }
  if (verb == "health") co_return health();
  co_return refused(
      "this orchestrator does not know the verb '" + verb + "'; is it older than its command line?",
      ExitCode::usage);
}

std::string AdminVerbs::trouble() const {
  std::string store = store_.trouble();
  return store.empty() ? world_.trouble() : store;
}

VerbReply AdminVerbs::health() const {
  const std::string what = trouble();
  if (!what.empty()) return refused(what, ExitCode::degraded);
  return {ExitCode::ok, "{\"status\":\"ok\"}"};
}

Task<VerbReply> AdminVerbs::add_stream(std::string arguments) {
  const Asked asked = to_stream(parse_arguments(arguments));
  if (!asked.problem.empty()) co_return refused(asked.problem, ExitCode::usage);
  const std::function<bool(WorldLoop::Done)> start = [&](WorldLoop::Done done) {
    world_.add_stream(asked.stream, std::move(done));
    return true;
  };
  const auto answer = co_await ask<std::optional<std::string>>(start);
  if (!answer) co_return busy();
  if (*answer) {
    co_return refused("cannot add the stream '" + asked.stream.name + "': " + **answer);
  }
  co_return added_reply(asked, *world_.snapshot());
}

Task<VerbReply> AdminVerbs::remove_stream(std::string arguments) {
  const std::string name = text_of(parse_arguments(arguments), "name");
  const std::function<bool(WorldLoop::Done)> start = [&](WorldLoop::Done done) {
    world_.remove_stream(name, std::move(done));
    return true;
  };
  const auto answer = co_await ask<std::optional<std::string>>(start);
  if (!answer) co_return busy();
  if (*answer) co_return refused("cannot remove the stream '" + name + "': " + **answer);
  json::object out;
  out["removed"] = name;
  co_return VerbReply{ExitCode::ok, json::serialize(out)};
}

Task<VerbReply> AdminVerbs::show_ledger(std::string arguments) {
  const std::string node = text_of(parse_arguments(arguments), "node");
  if (node.empty()) {
    using View = Result<LedgerView>;
    const std::function<bool(std::function<void(View)>)> start = [this](auto done) {
      return store_.read_ledger(std::move(done));
    };
    const std::optional<View> view = co_await ask<View>(start);
    if (!view) co_return busy();
    if (!*view) co_return refused("the ledger cannot be read: " + view->error().message());
    co_return VerbReply{ExitCode::ok,
                        balances_json((*view)->balances, (*view)->totals, kWholeList)};
  }
  const auto id = id_from_string<NodeId>(node);
  if (!id) {
    co_return refused("'" + node + "' is no node id (52 characters; see `node ls`)",
                      ExitCode::usage);
  }
  using Accounts = Result<std::vector<Account>>;
  const std::function<bool(std::function<void(Accounts)>)> start = [&](auto done) {
    return store_.read_accounts(*id, kAccountsShownMax, std::move(done));
  };
  const std::optional<Accounts> accounts = co_await ask<Accounts>(start);
  if (!accounts) co_return busy();
  if (!*accounts) co_return refused("the ledger cannot be read: " + accounts->error().message());
  co_return VerbReply{ExitCode::ok, accounts_json(**accounts)};
}

}  // namespace tayga::orch
