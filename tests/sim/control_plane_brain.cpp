// The orchestrator's side of ControlPlane: what it thinks, and what it says.
#include "common/base/check.hpp"
#include "common/base/overloaded.hpp"
#include "common/media/publish_claim.hpp"
#include "tests/sim/control_plane.hpp"

#include <algorithm>
#include <ctime>

namespace tayga::sim {
namespace {

constexpr NodeIndex kGateway = 0;
constexpr Duration kDecisionPerNode = 10us;

/// For figures of cost alone: nothing that is simulated depends on it.
double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace

void ControlPlane::take(Input input) {
  inbox_.push_back(std::move(input));
  if (std::exchange(awake_, true)) return;
  net_.at(net_.now() + kBatching, [this] { wake(); });
}

void ControlPlane::wake() {
  awake_ = false;
  if (away_) return;
  const double begin = cpu_seconds();
  for (const Input& input : std::exchange(inbox_, {})) input(*world_, world_now());
  perform();
  brain_seconds_ += cpu_seconds() - begin;
}

void ControlPlane::perform() {
  while (auto output = world_->poll_output()) {
    std::visit(Overloaded{
                   [&](orch::World::PushAssignment& push_it) { push(std::move(push_it)); },
                   [&](orch::World::PushOffer& offer) { publish(net_.index(offer.gateway)); },
                   [&](orch::World::PersistNode& node) {
                     node_records_[node.node.id] = std::move(node.node);
                   },
                   [&](orch::World::PersistStream& stream) {
                     stream_records_[stream.stream.name] = std::move(stream.stream);
                   },
                   [](orch::World::PushWithdrawn&) {},
                   [](orch::World::RefuseJoin&) {},
                   [](orch::World::EraseStream&) {},
               },
               *output);
  }
  arm();
}

void ControlPlane::arm() {
  const auto next = world_->next_timeout();
  if (!next || (armed_ && *armed_ <= *next)) return;
  armed_ = std::max(*next, net_.now());
  net_.at(*armed_, [this, when = *armed_, life = world_life_] {
    if (armed_ != when) return;
    armed_.reset();
    if (away_ || life != world_life_) return;
    const double begin = cpu_seconds();
    world_->on_timeout(world_now());
    perform();
    brain_seconds_ += cpu_seconds() - begin;
  });
}

void ControlPlane::keep_house() {
  net_.at(net_.now() + kHousekeeping, [this] { keep_house(); });
  const std::int64_t wall_ms = world_now().wall_ms;
  if (away_ || !issuer_->has_due(wall_ms)) return;
  world_->on_renew_allocations(issuer_->due(wall_ms), world_now());
  perform();
  issuer_->end_renewal(wall_ms);
}

void ControlPlane::push(orch::World::PushAssignment output) {
  const NodeIndex node = net_.index(output.assignment.node);
  const orch::StreamRecord* stream = world_->stream(output.assignment.stream);
  if (stream == nullptr || !clients_[node].connected) return;
  const auto nodes = [this](const NodeId& id) { return world_->node(id); };
  const orch::IssuedAssignment issued =
      issuer_->issue(output.assignment, *stream, nodes, world_now().wall_ms);
  relay::Assignment made;
  made.incarnation = issued.incarnation;
  made.revision = issued.target.revision;
  made.carry = issued.target.carry;
  made.stream.id = issued.target.stream;
  made.stream.name = issued.stream_name;
  made.stream.stripe_count = issued.stripe_count;
  made.stream.handles = issued.handles;
  made.stream.playout_window = issued.window;
  made.stream.origin_url = issued.origin_url;
  for (const orch::TrackRecord& track : issued.tracks) {
    made.stream.tracks.push_back({track.id, track.playlist_path, track.bitrate_bps});
  }
  for (const orch::UpstreamLink& link : issued.target.upstream) {
    made.upstream.push_back({link.track, link.stripe, link.parent, relay::UpstreamRole::primary});
  }
  for (const orch::UpstreamLink& link : issued.target.standby) {
    made.upstream.push_back({link.track, link.stripe, link.parent, relay::UpstreamRole::standby});
  }
  made.rescue.gateways = issued.target.rescue.gateways;
  made.rescue.share_permille = issued.target.rescue.share_permille;
  made.rescue.audience = issued.target.rescue.audience;
  for (const orch::DownstreamLink& link : issued.target.downstream) {
    made.downstream.push_back({link.track, link.stripe, link.child});
  }
  made.allocations = issued.allocations;
  ++assignments_;
  // Thinking takes its time: it grows with the network.
  const Duration thinking = kDecisionPerNode * static_cast<Duration::rep>(clients_.size());
  const std::uint64_t session = clients_[node].session;
  net_.at(net_.now() + thinking, [this, node, session, made = std::move(made)] {
    if (clients_[node].session != session || away_) return;
    down(node, [made](relay::Relay& relay, relay::Now now) { relay.on_assignment(made, now); });
  });
}

/// The gateway's shell takes the offer: its encoder is there already.
void ControlPlane::publish(NodeIndex gateway) {
  if (gateway != kGateway || !clients_[gateway].connected) return;
  const std::uint64_t session = clients_[gateway].session;
  net_.at(arrival(gateway, clients_[gateway].last_down), [this, gateway, session] {
    if (clients_[gateway].session != session || !net_.is_running(gateway)) return;
    const bool is_new = !source_.is_running();
    if (is_new) {
      net_.give(gateway, [this](relay::Relay& relay, relay::Now now) {
        relay.on_publish_started(source_.descriptor(), now);
      });
      source_.start(next_epoch_);
      next_epoch_ = PublisherEpoch{next_epoch_.value() + 1};
    }
    orch::World::Publish claim;
    claim.stream_name = kSimStream;
    claim.id = trust_.stream.stream_id();
    claim.claim = trust_.stream.sign(
        media::serialize_publish_claim(trust_.network, net_.id(gateway), kSimStream));
    claim.publisher_epoch = next_epoch_.value() - 1;
    claim.tracks = {{kSimTrack, "index.m3u8", options_.bitrate_bps}};
    up(gateway, [id = net_.id(gateway), claim](orch::World& world, orch::WorldNow now) {
      TAYGA_CHECK(world.on_publish(id, claim, now).has_value());
    });
  });
}

}  // namespace tayga::sim
