#include "orchestrator/app/print_view.hpp"

#include "common/base/units.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <vector>

namespace tayga::orch {
namespace {

namespace json = boost::json;
using Row = std::vector<std::string>;

std::string align(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - row[i].size() + 2, ' ');
    }
    out += line + "\n";
  }
  return out;
}

std::uint64_t number(const json::value& of, std::string_view key) {
  const json::value* value = of.as_object().if_contains(key);
  return value == nullptr ? 0 : value->to_number<std::uint64_t>();
}

std::string text(const json::value& of, std::string_view key) {
  const json::value* value = of.as_object().if_contains(key);
  return value != nullptr && value->is_string() ? std::string{value->as_string()} : "-";
}

std::string words(const json::value& of, std::string_view key) {
  std::string out;
  for (const json::value& word : of.at(key).as_array()) {
    out += (out.empty() ? "" : ",") + std::string{word.as_string()};
  }
  return out.empty() ? "-" : out;
}

std::string nodes(const json::value& reply) {
  std::vector<Row> rows{{"ID", "NAME", "ROLES", "STATE", "UPLINK", "ENDPOINT"}};
  for (const json::value& node : reply.at("nodes").as_array()) {
    rows.push_back({text(node, "id"), text(node, "name"), words(node, "roles"),
                    node.at("connected").as_bool() ? "connected" : "away",
                    format_rate(number(node, "usable_uplink_bps")), words(node, "endpoints")});
  }
  return rows.size() == 1 ? "no node has ever connected\n" : align(rows);
}

std::string streams(const json::value& reply) {
  std::vector<Row> rows{{"NAME", "STATE", "STRIPES", "TRACKS", "VIEWERS", "CARRIERS", "DEPTH"}};
  for (const json::value& stream : reply.at("streams").as_array()) {
    rows.push_back({text(stream, "name"), stream.at("live").as_bool() ? "live" : "waiting",
                    std::to_string(number(stream, "stripe_count")),
                    std::to_string(stream.at("tracks").as_array().size()),
                    std::to_string(number(stream, "viewers")),
                    std::to_string(number(stream, "carriers")),
                    std::to_string(number(stream, "depth"))});
  }
  return rows.size() == 1 ? "no stream; add one with `stream add NAME`\n" : align(rows);
}

std::string balances(const json::value& reply) {
  std::vector<Row> rows{{"NODE", "SENT", "RECEIVED", "ALLOCATIONS"}};
  for (const json::value& balance : reply.at("balances").as_array()) {
    rows.push_back({text(balance, "node"), format_size(number(balance, "sent_bytes")),
                    format_size(number(balance, "received_bytes")),
                    std::to_string(number(balance, "allocations"))});
  }
  const json::value& totals = reply.at("totals");
  return align(rows) + std::to_string(number(totals, "receipts")) + " receipts settled for " +
         format_size(number(totals, "bytes")) + "\n";
}

std::string accounts(const json::value& reply) {
  std::vector<Row> rows{{"EPOCH", "ALLOCATION", "RECEIVER", "SETTLED", "LATE"}};
  for (const json::value& account : reply.at("accounts").as_array()) {
    rows.push_back({std::to_string(number(account, "epoch")), text(account, "allocation"),
                    text(account, "receiver"), format_size(number(account, "settled_bytes")),
                    format_size(number(account, "late_bytes"))});
  }
  return rows.size() == 1 ? "nothing settled for this node\n" : align(rows);
}

std::string added(const json::value& reply) {
  std::string out = "stream " + text(reply, "name") + " added\n";
  if (reply.as_object().contains("ingest_key")) {
    out += "ingest key   " + text(reply, "ingest_key") + "   (shown once; keep it secret)\n";
    out += "publish to   " + text(reply, "ingest_url") + "\n";
  }
  return out + "watch at     " + text(reply, "playback_url") + "   on any viewer's node\n";
}

}  // namespace

std::string to_human(std::string_view verb, const std::string& json_text) {
  boost::system::error_code ec;
  const json::value reply = json::parse(json_text, ec);
  if (ec || !reply.is_object()) return json_text + "\n";
  const json::object& members = reply.as_object();
  if (members.contains("nodes")) return nodes(reply);
  if (members.contains("streams")) return streams(reply);
  if (members.contains("balances")) return balances(reply);
  if (members.contains("accounts")) return accounts(reply);
  if (verb == "stream.add") return added(reply);
  if (verb == "stream.rm") return "stream " + text(reply, "removed") + " removed\n";
  if (verb == "health") return "ok\n";
  return json_text + "\n";
}

}  // namespace tayga::orch
