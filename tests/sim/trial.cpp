#include "tests/sim/trial.hpp"

#include "common/base/check.hpp"
#include "tests/sim/cheap_proofs.hpp"
#include "tests/sim/origin_model.hpp"

#include <algorithm>
#include <ctime>
#include <set>

namespace tayga::sim {
namespace {

constexpr std::uint32_t kGatewayChildren = 64;
constexpr std::uint32_t kRelayChildren = 48;
constexpr std::uint32_t kViewerChildren = 16;
constexpr Duration kArrivals = 3s;  ///< all nodes come within it
/// Shorter than a daemon's 30 s: what left the window incomplete shows sooner, and a run needs less
/// memory.
constexpr Duration kCacheAge = 12s;
constexpr Duration kReceiptSubmit = 10s;
constexpr unsigned kKeptPermille = 980;  ///< of what receivers signed for

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void add(relay::RelayCounters& sum, const relay::RelayCounters& one) {
  sum.payload_bytes_in += one.payload_bytes_in;
  sum.duplicate_bytes += one.duplicate_bytes;
  sum.suspicions += one.suspicions;
  sum.false_suspicions += one.false_suspicions;
  sum.gateway_bytes += one.gateway_bytes;
  sum.origin_bytes += one.origin_bytes;
}

}  // namespace

/// Flips a bit in some of the chunks that chosen nodes send.
class Trial::Liars final : public NetTap {
 public:
  explicit Liars(const SimOptions& options) : draws_{options.seed, 0, Purpose::tamper} {}
  void add(NodeIndex node, std::uint64_t one_in) { one_in_[node] = one_in; }

  unsigned on_send(NodeIndex from, NodeIndex, SharedBytes& frame) override {
    const auto liar = one_in_.find(from);
    if (liar == one_in_.end() || frame_type(frame) != wire::FrameType::chunk) return 1;
    if (draws_.below(liar->second) != 0) return 1;
    Bytes changed = *frame;
    changed.back() ^= std::byte{1};
    frame = std::make_shared<const Bytes>(std::move(changed));
    return 1;
  }
  unsigned on_send(NodeIndex, NodeIndex, relay::PeerMessage&) override { return 1; }

 private:
  std::map<NodeIndex, std::uint64_t> one_in_;
  Draws draws_;
};

Trial::Trial(const SimOptions& options)
    : options_{options},
      network_{options, options.nodes + 1},
      fault_draws_{options.seed, 0, Purpose::fault},
      started_(options.nodes + 1),
      arrivals_(options.nodes + 1),
      thin_(options.nodes + 1) {
  use_real_proofs(options.real_proofs);
  net_ =
      std::make_unique<SimNet>(options_, SimNet::Parts{network_, bank_, *this}, options_.nodes + 1);
  source_ = std::make_unique<LiveSource>(options_, *net_, bank_, trust_);
  source_->finish_by(kStart + options_.duration);
  control_ = std::make_unique<ControlPlane>(options_, *net_, network_, *source_, trust_);
  playout_ = std::make_unique<PlayoutMeter>(options_, *net_, trust_.stream.stream_id());
  repairs_ = std::make_unique<RepairMeter>(options_, *net_);
  auditor_ = std::make_unique<Auditor>(options_, *net_, bank_, trust_.stream.stream_id());
  origin_ = std::make_unique<Origin>(*net_, *source_);
  source_->set_published([this](const PublishedObject& object) { playout_->on_published(object); });
}

Trial::~Trial() = default;

// --- observing

void Trial::on_frame(const Delivered& frame) {
  auditor_->on_frame(frame);
}

void Trial::on_message(const Said& said, const relay::PeerMessage& message) {
  auditor_->on_message(said, message);
}

void Trial::on_unreadable(const Said& said, const relay::PeerMessage& message) {
  auditor_->on_unreadable(said, message);
}

void Trial::on_action(NodeIndex node, const relay::Relay::Action& action) {
  using relay::Relay;
  if (std::holds_alternative<Relay::Send>(action) ||
      std::holds_alternative<Relay::MediaReady>(action) ||
      std::holds_alternative<Relay::Progress>(action)) {
    return;  // most of them
  }
  auditor_->on_action(node, action);
  repairs_->on_action(node, action);
  control_->on_action(node, action);
  if (const auto* wanted = std::get_if<Relay::FetchOrigin>(&action)) origin_->fetch(node, *wanted);
}

// --- processes

void Trial::start(NodeIndex node) {
  relay::RelayLimits limits;
  limits.cache_age = kCacheAge;
  auto made = std::make_unique<relay::Relay>(net_->key(node), limits, kReceiptSubmit);
  made->on_network(trust_.network);
  net_->start(node, std::move(made));
  started_[node] = net_->now();
  ControlPlane::Profile profile;
  if (node == kGatewayNode) {
    profile.roles = static_cast<orch::Roles>(orch::Role::gateway);
    profile.children_max = kGatewayChildren;
  } else if (options_.is_relay(node)) {
    profile.roles = static_cast<orch::Roles>(orch::Role::relay);
    profile.children_max = kRelayChildren;
  } else {
    profile.roles = static_cast<orch::Roles>(orch::Role::viewer);
    profile.children_max = kViewerChildren;
    profile.playing = {kSimTrack};
    if (!thin_[node]) playout_->on_viewer(node);
  }
  control_->on_started(node, std::move(profile));
}

void Trial::end(NodeIndex node) {
  add(ended_, net_->relay(node).counters());
  node_time_ += net_->now() - started_[node];
  playout_->on_viewer_gone(node);
  repairs_->on_restart(node);
  auditor_->on_ended(node);
  if (node == kGatewayNode) playout_->on_publisher_lost();
}

void Trial::kill(NodeIndex node, SimNet::Death death, std::optional<Duration> back) {
  repairs_->on_fault(node);
  end(node);
  net_->kill(node, death);
  // The kernel of a killed process closes its TCP; of a machine that went, nobody speaks.
  control_->on_ended(node, ControlPlane::Farewell::closed);
  if (back) net_->at(net_->now() + *back, [this, node] { start(node); });
}

void Trial::leave(NodeIndex node, Duration grace, std::optional<Duration> back) {
  net_->give(node, [grace](relay::Relay& relay, relay::Now now) {
    relay.on_shutdown(relay::GoAwayReason::shutdown, grace, now);
  });
  const TimePoint began = started_[node];
  net_->at(net_->now() + grace, [this, node, back, began] {
    if (!net_->is_running(node) || started_[node] != began) return;
    end(node);
    net_->kill(node, SimNet::Death::reset);
    control_->on_ended(node, ControlPlane::Farewell::goodbye);
    if (back) net_->at(net_->now() + *back, [this, node] { start(node); });
  });
}

void Trial::stop(NodeIndex node, Duration length) {
  repairs_->on_fault(node);
  net_->stop(node, net_->now() + length);
}

void Trial::dribble(NodeIndex node, std::uint64_t bps, Duration length) {
  const std::uint64_t before = network_.line_bps(node);
  if (before <= bps) return;  // it dribbles already
  network_.set_uplink(node, bps);
  net_->at(net_->now() + length, [this, node, before] { network_.set_uplink(node, before); });
}

void Trial::make_thin(NodeIndex node, std::uint64_t bps) {
  network_.set_downlink(node, bps);
  thin_[node] = true;
}

void Trial::cut_region(unsigned region, Duration length) {
  net_->cut_region(region, net_->now() + length);
  for (NodeIndex node = 1; node < net_->size(); ++node) {
    if (network_.region(node) == region) playout_->excuse(node, length + kHealing / 2);
  }
}

void Trial::make_liar(NodeIndex node, std::uint64_t one_in) {
  if (!liars_) liars_ = std::make_unique<Liars>(options_);
  liars_->add(node, one_in);
  auditor_->set_liar(node);
  net_->set_tap(liars_.get());
}

void Trial::at(Duration when, std::function<void()> call) {
  net_->at(kStart + when, std::move(call));
}

void Trial::every(Duration first, Duration interval, Duration last,
                  const std::function<void()>& call) {
  for (Duration when = first; when <= last; when += interval) at(when, call);
}

std::vector<NodeIndex> Trial::members() const {
  std::vector<NodeIndex> all;
  for (NodeIndex node = 1; node < net_->size(); ++node) {
    if (net_->is_running(node) && !net_->is_stopped(node)) all.push_back(node);
  }
  return all;
}

std::vector<NodeIndex> Trial::parents() const {
  std::vector<unsigned> children(net_->size(), 0);
  for (NodeIndex node = 0; node < net_->size(); ++node) {
    if (!net_->is_running(node)) continue;
    for (const relay::StripeStatus& stripe : net_->relay(node).stripes()) {
      if (stripe.parent && stripe.track == kSimTrack) ++children[net_->index(*stripe.parent)];
    }
  }
  std::vector<NodeIndex> all = members();
  std::erase_if(all, [&](NodeIndex node) { return children[node] == 0; });
  std::stable_sort(all.begin(), all.end(),
                   [&](NodeIndex a, NodeIndex b) { return children[a] > children[b]; });
  return all;
}

// --- the run

void Trial::start_all() {
  start(kGatewayNode);
  Draws arrivals{options_.seed, 0, Purpose::start};
  for (NodeIndex node = 1; node < net_->size(); ++node) {
    const Duration drawn = arrivals.between(100ms, kArrivals);
    net_->at(kStart + arrivals_[node].value_or(drawn), [this, node] { start(node); });
  }
  auditor_->start();
}

TrialResult Trial::run() {
  const double begin = cpu_seconds();
  start_all();
  net_->at(kStart + options_.duration, [this] { check_whole(); });
  net_->run_until(kStart + options_.duration + options_.window + PlayoutMeter::kLostAfter + kDrain);
  // Who changes its parent late signs late: that has its time, too.
  const auto is_settled = [this] {
    const ControlPlane::Settled settled = control_->settled();
    return settled.settled_bytes == settled.acknowledged_bytes;
  };
  const TimePoint settled_by = net_->now() + 3 * kReceiptSubmit;
  while (signed_permille_ && !is_settled() && net_->now() < settled_by) {
    net_->run_until(net_->now() + 1s);
  }
  check_settled();
  return result(cpu_seconds() - begin);
}

/// Liveness: kHealing after the last fault every node that is here has every stripe from a living
/// parent, and nobody waits for an object.
void Trial::check_whole() {
  for (const NodeIndex node : members()) {
    if (options_.is_relay(node) || thin_[node] || net_->now() - started_[node] < kHealing) continue;
    std::set<StripeIndex> fed;
    for (const relay::StripeStatus& stripe : net_->relay(node).stripes()) {
      const bool lives = stripe.parent && net_->is_running(net_->index(*stripe.parent));
      if (stripe.track == kSimTrack && stripe.subscribed && lives) fed.insert(stripe.stripe);
    }
    auditor_->require(fed.size() == options_.stripes, "after the faults everybody is fed again",
                      "node " + std::to_string(node) + " has " + std::to_string(fed.size()) +
                          " of " + std::to_string(options_.stripes) + " stripes");
    for (const PlayoutMeter::Miss& miss : playout_->misses(node)) {
      // Measured uplinks stop for seconds by themselves.
      auditor_->require(options_.traces || miss.due + kHealing / 2 < net_->now(),
                        "after the faults everything is in time again",
                        "node " + std::to_string(node));
    }
  }
}

void Trial::check_settled() {
  const ControlPlane::Settled settled = control_->settled();
  auditor_->require(settled.settled_bytes <= settled.acknowledged_bytes,
                    "nothing is settled that was not acknowledged",
                    std::to_string(settled.settled_bytes) + " B");
  for (NodeIndex node = 0; node < net_->size(); ++node) {
    // Who was killed has them on its disk, which is not simulated.
    if (!net_->is_running(node) || auditor_->was_ended(node)) continue;
    const std::uint64_t held = net_->relay(node).receipt_book().totals().acknowledged_bytes;
    // What still comes from a parent that was left may be signed for under an allocation that it
    // was never shown: that little is lost to it.
    auditor_->require(held * 1000 >= auditor_->signed_bytes(node) * kKeptPermille,
                      "a sender keeps its receipts",
                      "node " + std::to_string(node) + " has " + std::to_string(held) + " of " +
                          std::to_string(auditor_->signed_bytes(node)) + " B");
  }
}

void Trial::check_signed(const TrialResult& result) {
  if (!signed_permille_) return;
  auditor_->require(
      result.signed_bytes * 1000 >= result.payload_bytes * *signed_permille_,
      "receipts cover what was delivered",
      std::to_string(result.signed_bytes) + " of " + std::to_string(result.payload_bytes) + " B");
  auditor_->require(result.settled_bytes == result.acknowledged_bytes, "all receipts are settled",
                    std::to_string(result.settled_bytes) + " of " +
                        std::to_string(result.acknowledged_bytes) + " B");
}

TrialResult Trial::result(double cpu) {
  TrialResult made;
  made.seed = options_.seed;
  made.trace_hash = net_->trace_hash();
  made.simulated = net_->now() - kStart;
  made.cpu_seconds = cpu;
  made.brain_seconds = control_->brain_seconds();
  made.events = net_->events();
  made.frames = net_->frames();
  made.assignments = control_->assignments();
  made.repairs = repairs_->totals(*playout_);
  made.playout = playout_->totals();
  relay::RelayCounters sum = ended_;
  Duration node_time = node_time_;
  for (NodeIndex node = 0; node < net_->size(); ++node) {
    if (!net_->is_running(node)) continue;
    add(sum, net_->relay(node).counters());
    node_time += net_->now() - started_[node];
  }
  made.node_time = node_time;
  made.suspicions = sum.suspicions;
  made.false_suspicions = sum.false_suspicions;
  made.payload_bytes = sum.payload_bytes_in;
  made.duplicate_bytes = sum.duplicate_bytes;
  made.rescued_bytes = sum.gateway_bytes + sum.origin_bytes;
  made.origin_side_bytes = net_->media_bytes_out(kGatewayNode) + origin_->bytes_out();
  const ControlPlane::Settled settled = control_->settled();
  made.signed_bytes = auditor_->signed_bytes();
  made.acknowledged_bytes = settled.acknowledged_bytes;
  made.settled_bytes = settled.settled_bytes;
  made.tampered = auditor_->tampered();
  made.network = network_.source();
  check_signed(made);
  made.violations = auditor_->violations();
  return made;
}

}  // namespace tayga::sim
