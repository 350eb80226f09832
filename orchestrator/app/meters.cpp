#include "orchestrator/app/meters.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace tayga::orch {
namespace {

constexpr std::array kSolveBounds{0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0};

std::string_view to_label(SettleStatus status) {
  switch (status) {
    case SettleStatus::accepted:
      return "accepted";
    case SettleStatus::stale:
      return "stale";
    case SettleStatus::malformed:
      return "malformed";
    case SettleStatus::bad_signature:
      return "bad_signature";
    case SettleStatus::wrong_network:
      return "wrong_network";
    case SettleStatus::wrong_sender:
      return "wrong_sender";
    case SettleStatus::expired:
      return "expired";
    case SettleStatus::over_limit:
      return "over_limit";
    case SettleStatus::unknown_key:
      return "unknown_key";
    case SettleStatus::unavailable:
      return "unavailable";
  }
  return "unknown";
}

std::string name_of(std::string_view name) {
  return "tayga_orchestrator_" + std::string{name};
}

}  // namespace

Meters::Meters()
    : joins_{registry_.counter(name_of("joins_total"), "Wishes of nodes to play tracks.")},
      leaves_{registry_.counter(name_of("leaves_total"), "Ends of playing, said by nodes.")},
      joins_refused_{
          registry_.counter(name_of("joins_refused_total"), "Joins answered with a refusal.")},
      link_failures_{
          registry_.counter(name_of("link_failures_total"), "Parents that nodes reported lost.")},
      tamper_reports_{registry_.counters(name_of("tamper_reports_total"),
                                         "Reports of tampering, by whether they prove it.",
                                         {"proven"}, 2)},
      overloads_{
          registry_.counter(name_of("overload_total"), "Events refused because a queue was full.")},
      assignments_{
          registry_.counter(name_of("assignments_pushed_total"), "Target states queued to nodes.")},
      allocations_{registry_.counter(name_of("allocations_signed_total"), "Allocations signed.")},
      solve_{registry_.histogram(name_of("solve_duration_seconds"),
                                 "Time of one step of the world that pushed assignments.",
                                 kSolveBounds)},
      revision_latency_{registry_.histogram(
          name_of("revision_latency_seconds"),
          "From pushing an assignment until its node's telemetry says that it is applied.",
          metrics::latency_bounds())},
      receipts_{registry_.counters(name_of("receipts_total"), "Settlement items by answer.",
                                   {"status"}, 10)},
      settled_bytes_{
          registry_.gauge(name_of("settled_bytes"), "Durable sum of all running totals.")},
      settled_receipts_{
          registry_.gauge(name_of("settled_receipts"), "Allocations with a settled receipt.")},
      commit_{registry_.histogram(name_of("settle_duration_seconds"),
                                  "Time to check and commit one group of receipts.",
                                  metrics::latency_bounds())},
      store_errors_{
          registry_.counter(name_of("store_errors_total"), "Writes that the store refused.")} {
  register_gateway();
  register_world();
}

void Meters::register_gateway() {
  const auto count = [this](std::string_view name, const char* help,
                            std::uint64_t GatewayStats::*field) {
    registry_.counter_callback(name_of(name), help, [this, field] { return gateway_.*field; });
  };
  registry_.gauge_callback(name_of("sessions"), "Sessions of nodes now.",
                           [this] { return static_cast<double>(gateway_.sessions); });
  count("sessions_total", "Sessions that said hello.", &GatewayStats::sessions_total);
  count("sessions_replaced_total", "Sessions ended by a newer one of their node.",
        &GatewayStats::replaced_total);
  count("sessions_unauthenticated_total", "Connections without an Ed25519 client certificate.",
        &GatewayStats::unauthenticated_total);
  count("sessions_stalled_total", "Sessions cancelled because the node did not read or speak.",
        &GatewayStats::stalled_total);
  count("messages_received_total", "Messages from nodes.", &GatewayStats::messages_received_total);
  count("messages_refused_total", "Messages that broke the protocol.",
        &GatewayStats::messages_refused_total);
  count("messages_sent_total", "Messages to nodes.", &GatewayStats::messages_sent_total);
  count("outbox_replaced_total", "Unsent states replaced by newer ones.",
        &GatewayStats::outbox_replaced_total);
  count("outbox_dropped_total", "Messages dropped because an outbox was full.",
        &GatewayStats::outbox_dropped_total);
}

void Meters::register_world() {
  const auto gauge = [this](std::string_view name, const char* help, std::size_t Meters::*field) {
    registry_.gauge_callback(name_of(name), help,
                             [this, field] { return static_cast<double>(this->*field); });
  };
  gauge("nodes_connected", "Nodes with a session.", &Meters::nodes_connected_);
  gauge("nodes_known", "Nodes that ever said hello.", &Meters::nodes_known_);
  gauge("streams", "Streams that operators added.", &Meters::streams_);
  gauge("streams_live", "Streams that a gateway publishes now.", &Meters::streams_live_);
}

void Meters::on_tampering(bool proven) {
  tamper_reports_.with({proven ? "yes" : "no"}).add();
}

void Meters::on_assignment_pushed(std::uint64_t allocations_signed) {
  assignments_.add();
  allocations_.add(allocations_signed);
}

void Meters::on_answer(SettleStatus status) {
  receipts_.with({to_label(status)}).add();
}

void Meters::set_settled(const LedgerStore::Totals& totals) {
  settled_bytes_.set(totals.bytes);
  settled_receipts_.set(totals.receipts);
}

std::string Meters::render(const World::Snapshot& world, const GatewayStats& gateway) {
  gateway_ = gateway;
  nodes_known_ = world.nodes.size();
  nodes_connected_ = static_cast<std::size_t>(std::count_if(
      world.nodes.begin(), world.nodes.end(), [](const auto& n) { return n.connected; }));
  streams_ = world.streams.size();
  streams_live_ = static_cast<std::size_t>(std::count_if(world.streams.begin(), world.streams.end(),
                                                         [](const auto& s) { return s.live; }));
  return registry_.expose();
}

}  // namespace tayga::orch
