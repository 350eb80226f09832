#include "tests/sim/control_plane.hpp"

#include "common/base/check.hpp"
#include "common/base/overloaded.hpp"
#include "daemon/core/upload_budget.hpp"

#include <algorithm>

namespace tayga::sim {
namespace {

constexpr NodeIndex kGateway = 0;
constexpr Duration kTelemetryInterval = 1s;
constexpr Duration kSubmitInterval = 10s;
constexpr Duration kRedialMin = 200ms;
constexpr Duration kRedialMax = 2s;
constexpr Duration kKeepalive = 20s;  ///< a silent session is given up
constexpr Duration kRetransmission = 250ms;

std::int64_t to_ms(WallTime wall) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(wall.time_since_epoch()).count();
}

orch::LinkFailureReason to_reason(relay::LossReason reason) {
  switch (reason) {
    case relay::LossReason::connect_failed:
      return orch::LinkFailureReason::connect_failed;
    case relay::LossReason::closed:
      return orch::LinkFailureReason::closed;
    case relay::LossReason::reset:
      return orch::LinkFailureReason::reset;
    case relay::LossReason::silent:
      return orch::LinkFailureReason::silent;
    case relay::LossReason::refused:
      return orch::LinkFailureReason::refused;
    case relay::LossReason::tampered:
      return orch::LinkFailureReason::tampered;
    case relay::LossReason::go_away:
      return orch::LinkFailureReason::go_away;
  }
  return orch::LinkFailureReason::reset;
}

}  // namespace

ControlPlane::ControlPlane(const SimOptions& options, SimNet& net, const NetworkModel& network,
                           LiveSource& source, const SimTrust& trust)
    : options_{options},
      net_{net},
      network_{network},
      source_{source},
      trust_{trust},
      clients_(net.size()),
      allocation_draws_{options.seed, 0, Purpose::allocation},
      ledger_{orch::LedgerTrust{trust.network, {trust.online_key}}, store_} {
  for (NodeIndex node = 0; node < net.size(); ++node) {
    path_draws_.emplace_back(options.seed, node, Purpose::control_path);
  }
  for (const std::uint32_t epoch : epochs_.missing(world_now().wall_ms)) {
    orch::EpochSecret secret{};
    secret.fill(static_cast<std::byte>(epoch));
    epochs_.add(epoch, secret);
  }
  make_world();
  orch::StreamRecord stream;
  stream.name = kSimStream;
  stream.stripe_count = options.stripes;
  stream.playout_window = options.window;
  stream.origin_url = source.descriptor().origin_url;
  TAYGA_CHECK(world_->add_stream(stream, world_now()).has_value());
  perform();
  net_.at(net_.now() + kHousekeeping, [this] { keep_house(); });
}

void ControlPlane::make_world() {
  orch::WorldOptions made;
  made.network = trust_.network;
  world_ = std::make_unique<orch::World>(made);
  armed_.reset();
  ++world_life_;
  orch::AssignmentIssuer::Options issuer;
  issuer.network = trust_.network;
  issuer.key_id = trust_.online_key.key_id;
  issuer.incarnation = world_life_;
  const auto random = [this](std::span<std::byte> out) {
    for (std::byte& byte : out) byte = static_cast<std::byte>(allocation_draws_.below(256));
  };
  issuer_ = std::make_unique<orch::AssignmentIssuer>(issuer, trust_.online, epochs_, random);
}

orch::WorldNow ControlPlane::world_now() const {
  const relay::Now now = at(net_.now());
  return {now.mono, to_ms(now.wall)};
}

// --- the sessions

void ControlPlane::on_started(NodeIndex node, Profile profile) {
  Client& client = clients_[node];
  client.profile = std::move(profile);
  client.started = true;
  client.telemetry_seq = 0;
  if (!client.profile.playing.empty()) {
    net_.give(node, [this, tracks = client.profile.playing](relay::Relay& relay, relay::Now now) {
      relay.on_local_demand(trust_.stream.stream_id(), tracks, now);
    });
  }
  connect(node);
}

void ControlPlane::connect(NodeIndex node) {
  Client& client = clients_[node];
  const std::uint64_t session = ++client.session;
  const Duration way = network_.control_way(node);
  // TCP, TLS, then the hello.
  net_.at(net_.now() + 5 * way, [this, node, session] { hello(node, session); });
}

void ControlPlane::hello(NodeIndex node, std::uint64_t session) {
  Client& client = clients_[node];
  if (session != client.session || !client.started || !net_.is_running(node)) return;
  if (away_) {
    const Duration wait = path_draws_[node].between(kRedialMin, kRedialMax);
    return net_.at(net_.now() + wait, [this, node, session] {
      if (session == clients_[node].session && clients_[node].started) connect(node);
    });
  }
  client.connected = true;
  client.last_up = client.last_down = net_.now();
  orch::NodeRecord record;
  record.id = net_.id(node);
  record.name = "node" + std::to_string(node);
  record.software = "tayga-sim";
  record.roles = client.profile.roles;
  record.endpoints = {{"192.0.2.1", static_cast<std::uint16_t>(1024 + node % 60000)}};
  record.declared_upload_bps = relay::declared_uplink_bps(network_.line_bps(node));
  record.children_max = client.profile.children_max;
  std::vector<orch::World::Held> holds = held(node);
  std::set<StreamId> streams;
  for (const auto& one : holds) streams.insert(one.stream);
  issuer_->forget(record.id, streams);
  take([record, holds](orch::World& world, orch::WorldNow now) {
    static_cast<void>(world.on_hello(record, holds, now));
  });
  down(node, [this](relay::Relay& relay, relay::Now now) {
    relay.on_network(trust_.network);
    relay.on_online_keys({trust_.online_key});
    relay.on_control(relay::Relay::Control::connected, now);
  });
  if (!client.profile.playing.empty()) {
    up(node, [this, node](orch::World& world, orch::WorldNow now) {
      world.on_join(net_.id(node), kSimStream, clients_[node].profile.playing, now);
    });
  }
  const Duration first = path_draws_[node].between(Duration{0}, kTelemetryInterval);
  net_.at(net_.now() + first, [this, node, session] { report(node, session); });
}

void ControlPlane::drop(NodeIndex node) {
  Client& client = clients_[node];
  client.connected = false;
  ++client.session;
}

void ControlPlane::on_ended(NodeIndex node, Farewell farewell) {
  Client& client = clients_[node];
  const bool was_connected = client.connected;
  const std::uint64_t session = client.session;
  drop(node);
  client.started = false;
  if (node == kGateway) source_.stop();
  if (!was_connected || away_) return;
  const Duration heard =
      farewell == Farewell::silent ? kKeepalive : network_.control_way(node) + kBatching;
  net_.at(net_.now() + heard, [this, node, session, farewell, life = world_life_] {
    // A later session of the node has spoken for it.
    if (life != world_life_ || away_ || clients_[node].session > session + 1) return;
    issuer_->on_disconnected(net_.id(node));
    take([id = net_.id(node), farewell](orch::World& world, orch::WorldNow now) {
      farewell == Farewell::goodbye ? world.on_goodbye(id, now) : world.on_disconnected(id, now);
    });
  });
}

TimePoint ControlPlane::arrival(NodeIndex node, TimePoint& last) {
  Duration delay = network_.control_way(node);
  if (!options_.lab_rtt && path_draws_[node].chance_ppm(options_.control_loss_ppm)) {
    delay += kRetransmission + 2 * network_.control_way(node);
  }
  return last = std::max(last, net_.now() + delay);
}

void ControlPlane::up(NodeIndex node, Input input) {
  Client& client = clients_[node];
  if (!client.connected) return;
  const TimePoint heard = arrival(node, client.last_up);
  net_.at(heard, [this, input = std::move(input), node, session = client.session]() mutable {
    if (away_ || clients_[node].session != session) return;
    take(std::move(input));
  });
}

void ControlPlane::down(NodeIndex node, std::function<void(relay::Relay&, relay::Now)> message) {
  Client& client = clients_[node];
  if (!client.connected) return;
  const TimePoint heard = arrival(node, client.last_down);
  net_.at(heard, [this, node, session = client.session, message = std::move(message)] {
    if (clients_[node].session == session) net_.give(node, message);
  });
}

void ControlPlane::outage(TimePoint until) {
  away_ = true;
  inbox_.clear();
  for (NodeIndex node = 0; node < clients_.size(); ++node) {
    Client& client = clients_[node];
    if (!client.started) continue;
    drop(node);
    if (net_.is_running(node)) {
      net_.give(node, [](relay::Relay& relay, relay::Now now) {
        relay.receipt_book().on_submit_lost(now);
        relay.on_control(relay::Relay::Control::away, now);
      });
    }
    connect(node);
  }
  net_.at(until, [this] {
    away_ = false;
    make_world();
    std::vector<orch::NodeRecord> nodes;
    for (const auto& [id, record] : node_records_) nodes.push_back(record);
    std::vector<orch::StreamRecord> streams;
    for (const auto& [name, record] : stream_records_) streams.push_back(record);
    world_->restore(std::move(nodes), std::move(streams), world_now());
    perform();
  });
}

// --- what nodes say

void ControlPlane::on_action(NodeIndex node, const relay::Relay::Action& action) {
  if (const auto* lost = std::get_if<relay::Relay::ParentLost>(&action)) {
    orch::World::LinkFailure failure;
    failure.stream = lost->stream;
    failure.track = lost->track;
    failure.stripe_mask = lost->stripes;
    failure.parent = lost->parent;
    failure.reason = to_reason(lost->reason);
    failure.revision = lost->revision;
    failure.promoted_to = lost->promoted;
    up(node, [id = net_.id(node), failure](orch::World& world, orch::WorldNow now) {
      world.on_link_failure(id, failure, now);
    });
  } else if (const auto* tampered = std::get_if<relay::Relay::Tampered>(&action)) {
    // The shell's court: three reporters. Here every report is proven, so one is enough.
    up(node, [sender = tampered->sender](orch::World& world, orch::WorldNow now) {
      world.on_tampering(sender, now);
    });
  }
}

void ControlPlane::report(NodeIndex node, std::uint64_t session) {
  if (clients_[node].session != session || !net_.is_running(node)) return;
  net_.at(net_.now() + kTelemetryInterval, [this, node, session] { report(node, session); });
  if (net_.is_stopped(node)) return;
  up(node, [id = net_.id(node), made = telemetry(node)](orch::World& world, orch::WorldNow now) {
    world.on_telemetry(id, made, now);
  });
  submit(node);
}

orch::Telemetry ControlPlane::telemetry(NodeIndex node) {
  orch::Telemetry made;
  made.seq = ++clients_[node].telemetry_seq;
  const relay::Relay& relay = net_.relay(node);
  const std::vector<relay::ChildStatus> children = relay.children(net_.now());
  for (const SimNet::LinkView& view : net_.links(node)) {
    orch::LinkState& link = made.links.emplace_back();
    link.peer = net_.id(view.peer);
    link.rtt_us = static_cast<std::uint32_t>(view.round_trip.count());
    link.bytes_sent = view.bytes_out;
    link.bytes_received = view.bytes_in;
    link.dialed = view.dialed;
    for (const relay::ChildStatus& child : children) {
      if (child.child != link.peer) continue;
      link.queue_ms = static_cast<std::uint32_t>(child.queued_age.count() / 1000);
      link.dropped_bytes = child.dropped_bytes;
    }
  }
  return made;
}

std::vector<orch::World::Held> ControlPlane::held(NodeIndex node) const {
  std::vector<orch::World::Held> all;
  const relay::Relay& relay = net_.relay(node);
  const std::vector<relay::StripeStatus> stripes = relay.stripes();
  for (const relay::StreamStatus& stream : relay.streams()) {
    // A stream that only waits for its first assignment is joined, not held.
    if (stream.publishing || stream.revision == 0) continue;
    orch::World::Held& one = all.emplace_back();
    one.stream = stream.stream;
    one.revision = stream.revision;
    one.playing = stream.playing;
    for (const relay::StripeStatus& stripe : stripes) {
      if (stripe.stream != stream.stream || !stripe.parent) continue;
      orch::UpstreamLink& link = one.upstream.emplace_back();
      link.track = stripe.track;
      link.stripe = stripe.stripe;
      link.parent = *stripe.parent;
      if (!stripe.standby) continue;
      one.standby.push_back({stripe.track, stripe.stripe, *stripe.standby});
    }
  }
  return all;
}

void ControlPlane::submit(NodeIndex node) {
  relay::ReceiptBook& book = net_.relay(node).receipt_book();
  while (book.poll_record()) {
  }  // to the node's disk
  const auto batch = book.take_batch(at(net_.now()));
  if (!batch) return;
  orch::Ledger::Submission submission;
  submission.sender = net_.id(node);
  for (const auto& item : batch->items) submission.items.emplace_back(item.begin(), item.end());
  up(node, [this, node, id = batch->id, submission](orch::World&, orch::WorldNow now) {
    std::vector<relay::ReceiptBook::Answer> answers;
    const auto settled = ledger_.settle({submission}, now.wall_ms);
    for (const orch::SettleAnswer& answer : settled.front()) {
      const bool durable = answer.status == orch::SettleStatus::accepted ||
                           answer.status == orch::SettleStatus::stale;
      const bool again = answer.status == orch::SettleStatus::unavailable;
      const auto verdict = durable ? relay::ReceiptBook::Answer::Verdict::durable
                           : again ? relay::ReceiptBook::Answer::Verdict::retry
                                   : relay::ReceiptBook::Answer::Verdict::refused;
      answers.push_back({answer.allocation, verdict, answer.settled_bytes});
    }
    down(node, [id, answers](relay::Relay& relay, relay::Now at_node) {
      relay.receipt_book().on_answer(id, answers, at_node);
    });
  });
}

ControlPlane::Settled ControlPlane::settled() const {
  Settled sum;
  for (NodeIndex node = 0; node < net_.size(); ++node) {
    if (!net_.is_running(node)) continue;
    const auto totals = net_.relay(node).receipt_book().totals();
    sum.acknowledged_bytes += totals.acknowledged_bytes;
    sum.settled_bytes += totals.settled_bytes;
    sum.open_records += totals.open_records;
  }
  return sum;
}

}  // namespace tayga::sim
