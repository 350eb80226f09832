#include "orchestrator/http/json_view.hpp"

#include "common/base/encoding.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <utility>

namespace tayga::orch {
namespace {

namespace json = boost::json;

std::optional<std::size_t> parse_number(std::string_view text) {
  std::size_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Renders the elements [begin, begin + size) of `all` under `name`.
template <class List, class Render>
json::object page_of(std::string_view name, const List& all, Page page, const Render& render) {
  const std::size_t begin = std::min(page.begin, all.size());
  const std::size_t count = std::min(page.size, all.size() - begin);
  json::array list;
  list.reserve(count);
  for (std::size_t i = begin; i < begin + count; ++i) list.push_back(render(all[i]));
  json::object out;
  out[name] = std::move(list);
  if (begin + count < all.size()) out["next_page_token"] = std::to_string(begin + count);
  return out;
}

json::array roles_of(Roles roles) {
  json::array out;
  if (has_role(roles, Role::gateway)) out.emplace_back("gateway");
  if (has_role(roles, Role::relay)) out.emplace_back("relay");
  if (has_role(roles, Role::viewer)) out.emplace_back("viewer");
  return out;
}

std::string to_text(const Endpoint& endpoint) {
  const bool v6 = endpoint.address.find(':') != std::string::npos;
  return (v6 ? "[" + endpoint.address + "]" : endpoint.address) + ":" +
         std::to_string(endpoint.port);
}

json::object node_object(const World::NodeStatus& node) {
  json::array endpoints;
  for (const Endpoint& endpoint : node.record.endpoints) endpoints.emplace_back(to_text(endpoint));
  json::object out;
  out["id"] = to_string(node.record.id);
  out["name"] = node.record.name;
  out["software"] = node.record.software;
  out["roles"] = roles_of(node.record.roles);
  out["endpoints"] = std::move(endpoints);
  out["connected"] = node.connected;
  if (node.connected) out["connected_since_ms"] = node.connected_since_ms;
  out["first_seen_ms"] = node.record.first_seen_ms;
  out["last_seen_ms"] = node.record.last_seen_ms;
  out["declared_upload_bps"] = node.record.declared_upload_bps;
  out["measured_uplink_bps"] = node.measured_uplink_bps;
  out["usable_uplink_bps"] = node.usable_uplink_bps;
  out["children_max"] = node.record.children_max;
  if (!node.record.ban_reason.empty()) out["ban_reason"] = node.record.ban_reason;
  out["cpu_permille"] = node.telemetry.cpu_permille;
  out["rss_bytes"] = node.telemetry.rss_bytes;
  out["egress_bps"] = node.telemetry.egress_bps;
  out["ingress_bps"] = node.telemetry.ingress_bps;
  out["suspicions"] = node.telemetry.suspicions;
  out["false_suspicions"] = node.telemetry.false_suspicions;
  return out;
}

/// What each end of a session reports of it.
using LinkIndex = std::map<std::pair<NodeId, NodeId>, const LinkState*>;
LinkIndex index_links(const World::Snapshot& world) {
  LinkIndex out;
  for (const World::NodeStatus& node : world.nodes) {
    for (const LinkState& link : node.telemetry.links) out[{node.record.id, link.peer}] = &link;
  }
  return out;
}

struct LinkRow {
  const World::StreamStatus* stream;
  NodeId child;
  UpstreamLink link;
};

/// Who takes over when the link fails; nullptr: nobody yet.
const UpstreamLink* standby_of(const LinkRow& row) {
  const auto links = row.stream->standby.find(row.child);
  if (links == row.stream->standby.end()) return nullptr;
  for (const UpstreamLink& link : links->second) {
    if (link.track == row.link.track && link.stripe == row.link.stripe) return &link;
  }
  return nullptr;
}

json::object link_object(const LinkRow& row, const LinkIndex& reports) {
  json::object out;
  out["stream"] = row.stream->record.name;
  out["track"] = row.link.track.value();
  out["stripe"] = row.link.stripe.value();
  out["parent"] = to_string(row.link.parent);
  out["child"] = to_string(row.child);
  if (const UpstreamLink* standby = standby_of(row)) out["standby"] = to_string(standby->parent);
  const auto sender = reports.find({row.link.parent, row.child});
  if (sender != reports.end()) {
    out["rtt_us"] = sender->second->rtt_us;
    out["sent_bps"] = sender->second->sent_bps;
    out["sent_bytes"] = sender->second->bytes_sent;
    out["queue_ms"] = sender->second->queue_ms;
    out["dropped_bytes"] = sender->second->dropped_bytes;
  }
  return out;
}

json::object stream_object(const World::StreamStatus& stream) {
  json::array tracks;
  for (const TrackRecord& track : stream.record.tracks) {
    tracks.push_back({{"track", track.id.value()},
                      {"playlist_path", track.playlist_path},
                      {"bitrate_bps", track.bitrate_bps}});
  }
  json::object out;
  out["name"] = stream.record.name;
  if (stream.record.id) out["id"] = to_string(*stream.record.id);
  out["live"] = stream.live;
  out["stripe_count"] = stream.record.stripe_count;
  if (stream.record.gateway) out["gateway"] = to_string(*stream.record.gateway);
  if (!stream.record.origin_url.empty()) out["origin_url"] = stream.record.origin_url;
  out["window_ms"] =
      std::chrono::duration_cast<std::chrono::milliseconds>(stream.record.playout_window).count();
  out["created_ms"] = stream.record.created_ms;
  out["tracks"] = std::move(tracks);
  out["viewers"] = stream.viewers;
  out["carriers"] = stream.carriers;
  std::size_t standbys = 0;
  for (const auto& [node, links] : stream.standby) standbys += links.size();
  out["standbys"] = standbys;
  out["depth"] = stream.depth;
  out["revision"] = stream.revision;
  return out;
}

}  // namespace

std::optional<Page> parse_page(std::optional<std::string_view> size,
                               std::optional<std::string_view> token) {
  Page page;
  if (size) {
    const auto value = parse_number(*size);
    if (!value || *value == 0 || *value > kPageSizeMax) return std::nullopt;
    page.size = *value;
  }
  if (token) {
    const auto value = parse_number(*token);
    if (!value) return std::nullopt;
    page.begin = *value;
  }
  return page;
}

std::string nodes_json(const World::Snapshot& world, Page page) {
  return json::serialize(page_of("nodes", world.nodes, page, node_object));
}

std::string links_json(const World::Snapshot& world, Page page) {
  std::vector<LinkRow> rows;
  for (const World::StreamStatus& stream : world.streams) {
    for (const auto& [child, links] : stream.upstream) {
      for (const UpstreamLink& link : links) rows.push_back({&stream, child, link});
    }
  }
  const LinkIndex reports = index_links(world);
  return json::serialize(
      page_of("links", rows, page, [&](const LinkRow& row) { return link_object(row, reports); }));
}

std::string streams_json(const World::Snapshot& world, Page page) {
  return json::serialize(page_of("streams", world.streams, page, stream_object));
}

std::string balances_json(const std::vector<Balance>& balances, const LedgerStore::Totals& totals,
                          Page page) {
  json::object out = page_of("balances", balances, page, [](const Balance& balance) {
    json::object row;
    row["node"] = to_string(balance.node);
    row["sent_bytes"] = balance.sent_bytes;
    row["received_bytes"] = balance.received_bytes;
    row["allocations"] = balance.allocations;
    return row;
  });
  json::object sums;
  sums["receipts"] = totals.receipts;
  sums["bytes"] = totals.bytes;
  out["totals"] = std::move(sums);
  return json::serialize(out);
}

std::string accounts_json(const std::vector<Account>& accounts) {
  return json::serialize(page_of("accounts", accounts, kWholeList, [](const Account& account) {
    json::object row;
    row["epoch"] = account.epoch;
    row["allocation"] = to_hex(account.allocation.view());
    row["sender"] = to_string(account.sender);
    row["receiver"] = to_string(account.receiver);
    row["settled_bytes"] = account.cum_bytes;
    row["late_bytes"] = account.cum_late_bytes;
    row["seq"] = account.seq;
    return row;
  }));
}

std::string problem_json(unsigned status, std::string_view title, std::string_view detail) {
  json::object out;
  out["type"] = "about:blank";
  out["title"] = title;
  out["status"] = status;
  out["detail"] = detail;
  return json::serialize(out);
}

}  // namespace tayga::orch
