#include "orchestrator/app/assignment_issuer.hpp"

#include "common/base/check.hpp"
#include "common/media/receipts.hpp"
#include "common/wire/big_endian.hpp"

#include <algorithm>
#include <iterator>
#include <limits>

namespace tayga::orch {
namespace {

constexpr std::int64_t kTermMs =
    std::chrono::duration_cast<std::chrono::milliseconds>(kAllocationTerm).count();
constexpr std::int64_t kClockSkewMs = 60'000;  // a node whose clock runs behind may use it at once

bool is_due(const wire::Allocation& allocation, std::int64_t wall_ms) {
  const std::int64_t began = allocation.not_after_ms - kTermMs;
  return wall_ms >= began + kTermMs * kAllocationRenewPercent / 100;
}

/// 1.5 x the stripes' rate: bursts after a repair must not meet the cap.
std::uint32_t to_max_kbps(std::uint64_t rate_bps) {
  const std::uint64_t kbps = rate_bps / 1000 * 3 / 2;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(
      kbps, kAllocationKbpsMin, std::numeric_limits<std::uint32_t>::max()));
}

/// What the link may carry of its rate in the term, and on for as long as nobody can renew it.
std::uint64_t to_max_bytes(std::uint32_t max_kbps) {
  constexpr Duration kServedMax = kAllocationTerm + media::kOutageGrace;
  constexpr auto kServedMaxS = std::chrono::duration_cast<std::chrono::seconds>(kServedMax).count();
  return std::uint64_t{max_kbps} * 1000 / 8 * static_cast<std::uint64_t>(kServedMaxS);
}

}  // namespace

AssignmentIssuer::AssignmentIssuer(const Options& options, const crypto::SigningKey& online_key,
                                   const EpochBook& epochs, RandomSource random)
    : options_{options}, online_key_{online_key}, epochs_{epochs}, random_{std::move(random)} {}

std::map<NodeId, AssignmentIssuer::Need> AssignmentIssuer::needs(const NodeAssignment& assignment,
                                                                 const StreamRecord& stream) {
  std::map<NodeId, Need> out;
  const auto rate_bps = [&stream](TrackId id) {
    const auto track = std::find_if(stream.tracks.begin(), stream.tracks.end(),
                                    [&](const TrackRecord& t) { return t.id == id; });
    const bool measured = track != stream.tracks.end() && track->bitrate_bps != 0;
    return measured ? track->bitrate_bps : kUnknownTrackBps;
  };
  const auto add = [&](const UpstreamLink& link) {
    Need& need = out[link.parent];
    need.stripe_mask |= 1U << link.stripe.value();
    need.rate_bps += rate_bps(link.track) / std::max(1U, stream.stripe_count);
  };
  // A standby has what it needs before it is called upon.
  std::for_each(assignment.upstream.begin(), assignment.upstream.end(), add);
  std::for_each(assignment.standby.begin(), assignment.standby.end(), add);
  if (assignment.rescue.gateways.empty()) return out;

  // A gateway may rescue any stripe, and all of them at worst.
  std::set<TrackId> tracks;
  for (const UpstreamLink& link : assignment.upstream) tracks.insert(link.track);
  std::uint64_t whole_bps = 0;
  for (const TrackId track : tracks) whole_bps += rate_bps(track);
  for (const NodeId& gateway : assignment.rescue.gateways) {
    Need& need = out[gateway];
    need.stripe_mask |= 0xffff'ffffU >> (kStripeCountMax - std::max(1U, stream.stripe_count));
    need.rate_bps = std::max(need.rate_bps, whole_bps);
  }
  return out;
}

bool AssignmentIssuer::serves(const Grant& grant, const Need& need, std::int64_t wall_ms) {
  return (need.stripe_mask & ~grant.allocation.stripe_mask) == 0 &&
         std::uint64_t{grant.allocation.max_kbps} * 1000 >= need.rate_bps &&
         !is_due(grant.allocation, wall_ms);
}

AssignmentIssuer::Grant AssignmentIssuer::sign(const NodeAssignment& assignment,
                                               const NodeId& sender, const Need& need,
                                               std::int64_t wall_ms) {
  wire::Allocation a;
  a.epoch = epochs_.signing_epoch(wall_ms);
  a.network = options_.network;
  a.sender = sender;
  a.receiver = assignment.node;
  a.stream_handle = epochs_.handle(assignment.stream, a.epoch);
  a.stripe_mask = need.stripe_mask;
  a.max_kbps = to_max_kbps(need.rate_bps);
  a.not_before_ms = wall_ms - kClockSkewMs;
  a.not_after_ms = wall_ms + kTermMs;
  a.max_bytes = to_max_bytes(a.max_kbps);
  a.key_id = options_.key_id;
  wire::Writer id{a.id.bytes};
  id.integer(static_cast<std::uint64_t>(a.not_after_ms / 1000));
  random_(std::span{a.id.bytes}.last(8));
  ++signed_total_;
  return {a, media::sign_allocation(a, online_key_), true};
}

IssuedAssignment AssignmentIssuer::issue(const NodeAssignment& assignment,
                                         const StreamRecord& stream, const NodeLookup& nodes,
                                         std::int64_t wall_ms) {
  TAYGA_CHECK(stream.id == assignment.stream);
  IssuedAssignment out;
  out.incarnation = options_.incarnation;
  out.target = assignment;
  out.stream_name = stream.name;
  out.stripe_count = stream.stripe_count;
  out.handles = epochs_.handles(assignment.stream, wall_ms);
  out.window = stream.playout_window;
  out.tracks = stream.tracks;
  out.origin_url = stream.origin_url;

  const bool may_sign = wall_ms < options_.key_not_after_ms;
  const LinkKey key{assignment.node, assignment.stream};
  std::map<NodeId, Grant>& grants = grants_[key];
  for (auto& [sender, grant] : grants) grant.in_use = false;
  for (const auto& [sender, need] : needs(assignment, stream)) {
    if (const NodeRecord* parent = nodes(sender)) out.peers.emplace_back(sender, parent->endpoints);
    const auto known = grants.find(sender);
    const bool is_valid = known != grants.end() && known->second.allocation.not_after_ms > wall_ms;
    if (!may_sign && !is_valid) continue;
    if (may_sign && (known == grants.end() || !serves(known->second, need, wall_ms))) {
      Need wanted = need;
      // A link keeps what it may still carry: its sender goes on under the newest allocation only.
      if (known != grants.end()) wanted.stripe_mask |= known->second.allocation.stripe_mask;
      grants.insert_or_assign(sender, sign(assignment, sender, wanted, wall_ms));
    }
    Grant& grant = grants.at(sender);
    grant.in_use = true;
    out.allocations.push_back(grant.blob);
  }
  if (grants.empty()) grants_.erase(key);
  return out;
}

void AssignmentIssuer::forget(const NodeId& receiver, const std::set<StreamId>& held) {
  for (auto at = grants_.lower_bound({receiver, StreamId{}});
       at != grants_.end() && at->first.first == receiver;) {
    at = held.count(at->first.second) == 0 ? grants_.erase(at) : std::next(at);
  }
}

void AssignmentIssuer::on_disconnected(const NodeId& node) {
  for (auto at = grants_.lower_bound({node, StreamId{}});
       at != grants_.end() && at->first.first == node; ++at) {
    for (auto& [sender, grant] : at->second) grant.in_use = false;
  }
}

std::set<std::pair<NodeId, StreamId>> AssignmentIssuer::due(std::int64_t wall_ms) const {
  std::set<std::pair<NodeId, StreamId>> links;
  for (const auto& [key, grants] : grants_) {
    for (const auto& [sender, grant] : grants) {
      if (grant.in_use && is_due(grant.allocation, wall_ms)) links.insert(key);
    }
  }
  return links;
}

void AssignmentIssuer::end_renewal(std::int64_t wall_ms) {
  for (auto at = grants_.begin(); at != grants_.end();) {
    for (auto& [sender, grant] : at->second) {
      if (is_due(grant.allocation, wall_ms)) grant.in_use = false;
    }
    std::erase_if(at->second, [wall_ms](const auto& entry) {
      return entry.second.allocation.not_after_ms < wall_ms;
    });
    at = at->second.empty() ? grants_.erase(at) : std::next(at);
  }
}

bool AssignmentIssuer::has_granted(const StreamId& stream, const NodeId& sender,
                                   const NodeId& receiver) const {
  const auto link = grants_.find({receiver, stream});
  return link != grants_.end() && link->second.count(sender) != 0;
}

}  // namespace tayga::orch
