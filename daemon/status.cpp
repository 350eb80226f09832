#include "daemon/status.hpp"

#include "common/base/encoding.hpp"

#include <boost/json/array.hpp>

#include <map>

namespace tayga {
namespace {

namespace json = boost::json;

double to_ms(Duration duration) {
  return static_cast<double>(duration.count()) / 1000;
}
std::int64_t to_s(Duration duration) {
  return duration.count() / 1'000'000;
}

json::array to_json(const std::vector<std::string>& texts) {
  return json::array(texts.begin(), texts.end());
}

const char* to_string(transport::Kind kind) {
  return kind == transport::Kind::quic ? "quic" : "tcp";
}

/// What our own dials to the peer taught.
json::object to_json(const transport::TransportChoice::Memory& memory, TimePoint now) {
  return {{"reached_by", to_string(memory.reached_by)},
          {"tried_first", to_string(memory.led_by)},
          {"age_s", to_s(now - memory.since)}};
}

json::object to_json(const relay::RelayCounters& counters) {
  return {{"chunks_verified", counters.chunks_verified},
          {"chunks_bad", counters.chunks_bad},
          {"chunks_duplicate", counters.chunks_duplicate},
          {"headers_verified", counters.headers_verified},
          {"headers_bad", counters.headers_bad},
          {"payload_bytes_in", counters.payload_bytes_in},
          {"media_bytes_out", counters.media_bytes_out},
          {"dropped_bytes", counters.dropped_bytes},
          {"subscriptions_refused", counters.subscriptions_refused},
          {"suspicions", counters.suspicions},
          {"false_suspicions", counters.false_suspicions},
          {"promotions", counters.promotions},
          {"repairs", counters.repairs},
          {"duplicate_bytes", counters.duplicate_bytes},
          {"fetched_slices", counters.fetched_slices},
          {"hedged_slices", counters.hedged_slices},
          {"gateway_bytes", counters.gateway_bytes},
          {"origin_bytes", counters.origin_bytes},
          {"origin_requests", counters.origin_requests},
          {"rescues_refused", counters.rescues_refused}};
}

json::value to_json(const std::optional<NodeId>& node) {
  return node ? json::value(tayga::to_string(*node)) : json::value(nullptr);
}

json::object to_json(const relay::StripeStatus& stripe) {
  return {{"track", stripe.track.value()},       {"stripe", stripe.stripe.value()},
          {"parent", to_json(stripe.parent)},    {"subscribed", stripe.subscribed},
          {"standby", to_json(stripe.standby)},  {"standby_ready", stripe.standby_ready},
          {"suspected", stripe.suspected},       {"hops", stripe.hops},
          {"next_seq", stripe.next_seq.value()}, {"lateness_ms", to_ms(stripe.lateness)}};
}

const char* to_string(relay::LossReason reason) {
  switch (reason) {
    case relay::LossReason::connect_failed:
      return "connect_failed";
    case relay::LossReason::closed:
      return "closed";
    case relay::LossReason::reset:
      return "reset";
    case relay::LossReason::silent:
      return "silent";
    case relay::LossReason::refused:
      return "refused";
    case relay::LossReason::tampered:
      return "tampered";
    case relay::LossReason::go_away:
      return "go_away";
  }
  return "";
}

json::value to_json(const std::optional<relay::LastRepair>& repair, TimePoint now) {
  if (!repair) return nullptr;
  return {{"lost", tayga::to_string(repair->lost)},
          {"parent", tayga::to_string(repair->parent)},
          {"reason", to_string(repair->reason)},
          {"gap_ms", to_ms(repair->gap)},
          {"age_s", to_s(now - repair->at)}};
}

json::object to_json(const RelayHistograms::Distribution& times) {
  return {{"p50", to_ms(times.p50)},
          {"p99", to_ms(times.p99)},
          {"max", to_ms(times.max)},
          {"count", times.count}};
}

}  // namespace

json::object status_json(const DaemonFacts& facts, relay::Relay& relay,
                         const peers::RelayDriver& driver) {
  const peers::PeerTraffic traffic = driver.traffic();
  const relay::ReceiptBook::Totals receipts = relay.receipt_book().totals();
  return {
      {"node", tayga::to_string(facts.node)},
      {"name", facts.name},
      {"version", TAYGA_VERSION},
      {"roles", to_json(facts.roles)},
      {"uptime_s", to_s(facts.uptime)},
      {"orchestrator",
       {{"address", facts.orchestrator},
        {"connected", facts.connected},
        {"error", facts.connection_error}}},
      {"listen",
       {{"peers", facts.peers_listen},
        {"peers_protocols", to_json(facts.peers_protocols)},
        {"player", facts.player_listen},
        {"metrics", facts.metrics_listen}}},
      {"advertised", to_json(facts.advertised)},
      {"sessions", driver.peers().size()},
      {"workers", facts.workers},
      {"streams", relay.streams().size()},
      {"offered", to_json(facts.offered_streams)},
      {"traffic",
       {{"peer_bytes_in", traffic.bytes_in},
        {"peer_bytes_out", traffic.bytes_out},
        {"player_bytes_out", facts.player_bytes_out}}},
      {"relay", to_json(relay.counters())},
      {"receipts",
       {{"acknowledged_bytes", receipts.acknowledged_bytes},
        {"settled_bytes", receipts.settled_bytes},
        {"refused_bytes", receipts.refused_bytes},
        {"open_records", receipts.open_records}}},
  };
}

json::object peers_json(const relay::Relay& relay, const peers::RelayDriver& driver,
                        const transport::DualTransport& transport, TimePoint now) {
  std::map<NodeId, relay::ChildStatus> children;
  for (const relay::ChildStatus& child : relay.children(now)) children.emplace(child.child, child);
  std::map<NodeId, unsigned> parent_stripes;
  for (const relay::StripeStatus& stripe : relay.stripes()) {
    if (stripe.parent) ++parent_stripes[*stripe.parent];
  }
  json::array peers;
  for (const peers::PeerView& view : driver.peers()) {
    json::object peer{
        {"node", tayga::to_string(view.peer)},       {"dialed", view.dialed},
        {"transport", to_string(view.transport)},    {"address", transport::to_string(view.remote)},
        {"since_s", to_s(now - view.since)},         {"rtt_ms", to_ms(view.stats.smoothed_rtt)},
        {"bytes_in", view.stats.bytes_in},           {"bytes_out", view.stats.bytes_out},
        {"stripes_from", parent_stripes[view.peer]}, {"stripes_to", 0}};
    if (const auto child = children.find(view.peer); child != children.end()) {
      peer["stripes_to"] = child->second.stripes;
      peer["queued_bytes"] = child->second.queued_bytes;
      peer["queued_ms"] = to_ms(child->second.queued_age);
      peer["dropped_bytes"] = child->second.dropped_bytes;
    }
    if (view.dialed) peer["dial_ms"] = to_ms(view.dial_time);
    if (const auto memory = transport.memory_of(view.peer)) {
      peer["remembered"] = to_json(*memory, now);
    }
    peers.push_back(std::move(peer));
  }
  return {{"peers", std::move(peers)}};
}

json::object streams_json(const relay::Relay& relay, const RelayHistograms& histograms,
                          TimePoint now) {
  std::map<StreamId, json::array> stripes;
  for (const relay::StripeStatus& stripe : relay.stripes()) {
    stripes[stripe.stream].push_back(to_json(stripe));
  }
  json::array streams;
  for (const relay::StreamStatus& stream : relay.streams()) {
    json::array playing;
    for (const TrackId track : stream.playing) playing.push_back(track.value());
    streams.push_back({{"name", stream.name},
                       {"stream", tayga::to_string(stream.stream)},
                       {"revision", stream.revision},
                       {"publishing", stream.publishing},
                       {"playing", std::move(playing)},
                       {"objects_complete", stream.objects_complete},
                       {"objects_late", stream.objects_late},
                       {"objects_lost", stream.objects_lost},
                       {"cached_bytes", stream.cached_bytes},
                       {"playout_window_ms", to_ms(stream.playout_window)},
                       {"gateway_bytes", stream.gateway_bytes},
                       {"origin_bytes", stream.origin_bytes},
                       {"repairs", stream.repairs},
                       {"last_repair", to_json(stream.last_repair, now)},
                       {"stripes", std::move(stripes[stream.stream])}});
  }
  return {{"streams", std::move(streams)}, {"repair_gap_ms", to_json(histograms.repair_gap())}};
}

}  // namespace tayga
