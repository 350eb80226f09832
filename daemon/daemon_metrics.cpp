#include "daemon/daemon_metrics.hpp"

#include "common/async/clock.hpp"
#include "daemon/telemetry.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace tayga {
namespace {

void register_peers(metrics::Registry& registry, const MetricSources& from) {
  registry.counter_callback("tayga_peer_sent_bytes_total",
                            "Bytes sent to peers at the socket, with framing and encryption.",
                            [from] { return from.driver.traffic().bytes_out; });
  registry.counter_callback("tayga_peer_received_bytes_total",
                            "Bytes received from peers at the socket.",
                            [from] { return from.driver.traffic().bytes_in; });
  registry.counter_callback("tayga_peer_sessions_opened_total", "Peer sessions that were opened.",
                            [from] { return from.driver.traffic().sessions_opened; });
  registry.counter_callback("tayga_peer_sessions_refused_total",
                            "Peer sessions that were closed at once: another one exists, or it "
                            "came before the network was known.",
                            [from] { return from.driver.traffic().sessions_refused; });
  registry.gauge_callback("tayga_peer_sessions", "Peer sessions that are up.",
                          [from] { return static_cast<double>(from.driver.peers().size()); });
  const auto count_of = [from](transport::Kind kind) {
    const std::vector<peers::PeerView> views = from.driver.peers();
    const auto is_it = [kind](const peers::PeerView& view) { return view.transport == kind; };
    return static_cast<double>(std::count_if(views.begin(), views.end(), is_it));
  };
  registry.gauge_callback("tayga_peer_sessions_quic", "Of them, those over QUIC.",
                          [count_of] { return count_of(transport::Kind::quic); });
  registry.gauge_callback("tayga_peer_sessions_tcp", "Of them, those over TCP.",
                          [count_of] { return count_of(transport::Kind::tcp); });
  if (from.exchange == nullptr) return;
  registry.counter_callback("tayga_quic_handed_over_total",
                            "QUIC packets that reached another worker than their own.",
                            [exchange = from.exchange] { return exchange->handed_over(); });
  registry.counter_callback("tayga_quic_hand_over_dropped_total",
                            "QUIC packets that were dropped because a worker did not come to them.",
                            [exchange = from.exchange] { return exchange->dropped(); });
}

void register_relay(metrics::Registry& registry, const MetricSources& from) {
  const auto count = [&](std::string name, std::string help,
                         std::uint64_t relay::RelayCounters::*field) {
    registry.counter_callback(std::move(name), std::move(help),
                              [from, field] { return from.relay.counters().*field; });
  };
  using Counters = relay::RelayCounters;
  count("tayga_relay_payload_received_bytes_total",
        "Media bytes taken from peers: verified, not seen before.", &Counters::payload_bytes_in);
  count("tayga_relay_media_sent_bytes_total", "Media frames handed to children's sessions.",
        &Counters::media_bytes_out);
  count("tayga_relay_dropped_bytes_total", "Media dropped from queues of slow children.",
        &Counters::dropped_bytes);
  count("tayga_relay_chunks_verified_total", "Chunks that matched their signed hash.",
        &Counters::chunks_verified);
  count("tayga_relay_chunks_bad_total", "Chunks that did not match; their senders were dropped.",
        &Counters::chunks_bad);
  count("tayga_relay_chunks_duplicate_total", "Chunks that were here already.",
        &Counters::chunks_duplicate);
  count("tayga_relay_chunks_unannounced_total", "Chunks without a verified header: dropped.",
        &Counters::chunks_unannounced);
  count("tayga_relay_headers_verified_total", "Slice headers with a good signature.",
        &Counters::headers_verified);
  count("tayga_relay_headers_bad_total", "Slice headers that were malformed or badly signed.",
        &Counters::headers_bad);
  count("tayga_relay_subscriptions_refused_total", "Subscriptions that were refused.",
        &Counters::subscriptions_refused);
}

void register_healing(metrics::Registry& registry, const MetricSources& from) {
  const auto count = [&](std::string name, std::string help,
                         std::uint64_t relay::RelayCounters::*field) {
    registry.counter_callback(std::move(name), std::move(help),
                              [from, field] { return from.relay.counters().*field; });
  };
  using Counters = relay::RelayCounters;
  count("tayga_relay_suspicions_total", "Parents whose beat was overdue.", &Counters::suspicions);
  count("tayga_relay_false_suspicions_total",
        "Of them, parents that were heard before another took over.", &Counters::false_suspicions);
  count("tayga_relay_promotions_total", "Standbys that took over from a lost parent.",
        &Counters::promotions);
  count("tayga_relay_repairs_total", "Stripes that were made whole again by another parent.",
        &Counters::repairs);
  count("tayga_relay_duplicate_bytes_total", "Media bytes that were here already.",
        &Counters::duplicate_bytes);
  count("tayga_relay_fetched_slices_total",
        "Slices asked of peers: missing, owed by a suspect, or hedged.", &Counters::fetched_slices);
  count("tayga_relay_hedged_slices_total", "Of them, slices asked of a second source.",
        &Counters::hedged_slices);
  count("tayga_rescue_gateway_bytes_total", "Media bytes that only a gateway could give in time.",
        &Counters::gateway_bytes);
  count("tayga_rescue_origin_bytes_total", "Media bytes that only an origin could give in time.",
        &Counters::origin_bytes);
  count("tayga_rescue_origin_requests_total", "Parts of objects asked of origins.",
        &Counters::origin_requests);
  count("tayga_rescue_refused_total",
        "Rescues that this gateway refused, because the share of its audience was served.",
        &Counters::rescues_refused);
}

void register_playout(metrics::Registry& registry, const MetricSources& from) {
  const auto sum = [&](std::string name, std::string help,
                       std::uint64_t relay::StreamStatus::*field) {
    registry.counter_callback(std::move(name), std::move(help), [from, field] {
      std::uint64_t total = 0;
      for (const relay::StreamStatus& stream : from.relay.streams()) total += stream.*field;
      return total;
    });
  };
  using Status = relay::StreamStatus;
  sum("tayga_objects_complete_total", "Objects of played tracks that became whole.",
      &Status::objects_complete);
  sum("tayga_objects_late_total", "Of them, those that were late.", &Status::objects_late);
  sum("tayga_objects_lost_total", "Objects of played tracks that never became whole.",
      &Status::objects_lost);
  registry.counter_callback("tayga_player_sent_bytes_total", "Bytes sent to players at the socket.",
                            [from] { return from.player_server.stats().sent_bytes_total; });
  registry.gauge_callback("tayga_streams", "Streams that are carried, played or published.",
                          [from] { return static_cast<double>(from.relay.streams().size()); });
}

void register_receipts(metrics::Registry& registry, const MetricSources& from) {
  const auto totals = [from] { return from.relay.receipt_book().totals(); };
  registry.counter_callback("tayga_receipts_acknowledged_bytes_total",
                            "Bytes that receivers signed for.",
                            [totals] { return totals().acknowledged_bytes; });
  registry.counter_callback("tayga_receipts_settled_bytes_total",
                            "Of them, bytes that the orchestrator settled.",
                            [totals] { return totals().settled_bytes; });
  registry.counter_callback("tayga_receipts_refused_bytes_total",
                            "Of them, bytes that the orchestrator refused.",
                            [totals] { return totals().refused_bytes; });
  registry.gauge_callback("tayga_receipts_open", "Receipts that are not settled yet.",
                          [totals] { return static_cast<double>(totals().open_records); });
}

void register_ingest(metrics::Registry& registry, const ingest::IngestHandler& ingest) {
  registry.counter_callback("tayga_ingest_bytes_total", "Bytes uploaded by encoders.",
                            [&ingest] { return ingest.counters().bytes; });
  registry.counter_callback("tayga_ingest_uploads_total", "Files uploaded by encoders.",
                            [&ingest] { return ingest.counters().uploads; });
  registry.counter_callback("tayga_ingest_uploads_refused_total", "Uploads that were refused.",
                            [&ingest] { return ingest.counters().uploads_refused; });
  registry.counter_callback("tayga_ingest_wrong_keys_total", "Uploads with a wrong key.",
                            [&ingest] { return ingest.counters().wrong_keys; });
}

void register_upload(metrics::Registry& registry, const relay::UploadBudget& upload) {
  const auto counters = [&upload] { return upload.counters(async::Clock::now()); };
  registry.counter_callback("tayga_upload_granted_bytes_total",
                            "Media that the upload budget let pass, at the socket.",
                            [counters] { return counters().media_bytes; });
  registry.counter_callback("tayga_upload_control_bytes_total",
                            "Control frames that were charged to the upload budget.",
                            [counters] { return counters().control_bytes; });
  registry.counter_callback("tayga_upload_blocked_seconds_total",
                            "Time in which at least one session waited for the upload budget.",
                            [counters] {
                              const Duration blocked = counters().blocked;
                              return static_cast<std::uint64_t>(blocked / Duration{1s});
                            });
  registry.gauge_callback("tayga_upload_limit_bps", "Upload cap in force; 0 = none.",
                          [&upload] { return static_cast<double>(upload.rate_bps()); });
  registry.gauge_callback("tayga_upload_month_bytes", "Sent in the month that is counted.",
                          [&upload] { return static_cast<double>(upload.month().used_bytes()); });
  if (upload.month().quota_bytes() == 0) return;
  registry.gauge_callback("tayga_upload_quota_left_bytes", "Left for media in this month.",
                          [&upload] { return static_cast<double>(upload.month().left_bytes()); });
}

}  // namespace

void register_daemon_metrics(metrics::Registry& registry, MetricSources sources) {
  register_peers(registry, sources);
  register_relay(registry, sources);
  register_healing(registry, sources);
  register_playout(registry, sources);
  register_receipts(registry, sources);
  register_upload(registry, sources.upload);
  if (sources.ingest) register_ingest(registry, *sources.ingest);
  registry.gauge_callback("tayga_control_connected",
                          "1 while the session with the orchestrator is up.",
                          [sources] { return sources.control.connected() ? 1.0 : 0.0; });
  registry.gauge_callback(
      "tayga_process_cpu_seconds", "Processor time of this process, user and system.",
      [] { return std::chrono::duration<double>(read_process_load().cpu_time).count(); });
  registry.gauge_callback("tayga_process_resident_bytes", "Resident memory of this process.",
                          [] { return static_cast<double>(read_process_load().rss_bytes); });
}

}  // namespace tayga
