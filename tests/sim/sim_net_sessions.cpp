// The sessions of SimNet: dials, ends, processes that die.
#include "common/base/check.hpp"
#include "tests/sim/sim_net.hpp"

#include <algorithm>

namespace tayga::sim {
namespace {

constexpr Duration kDialTimeout = 5s;     ///< of daemon/peers, for an address that is silent
constexpr Duration kFlightAgain = 1s;     ///< thrice the round trip that QUIC assumes at first
constexpr Duration kSessionIdle = 15s;    ///< of common/transport
constexpr Duration kHandshakeWork = 2ms;  ///< both ends' cryptography
constexpr std::size_t kFlightMin = 64 * 1024;
constexpr std::size_t kFlightMax = 1024 * 1024;  ///< a QUIC session's memory

/// What a session has under way at most: twice what its narrower end takes in a round trip.
std::size_t flight_max(const NetworkModel& network, NodeIndex a, NodeIndex b) {
  std::uint64_t bps = std::max(network.line_bps(a), network.line_bps(b));
  for (const NodeIndex node : {a, b}) {
    if (network.downlink_bps(node) != 0) bps = std::min(bps, network.downlink_bps(node));
  }
  const auto us = static_cast<std::uint64_t>(network.round_trip(a, b).count());
  return std::clamp<std::size_t>(2 * bps / 8 * us / 1'000'000, kFlightMin, kFlightMax);
}

}  // namespace

SimNet::Turn* SimNet::find_session(NodeIndex node, NodeIndex peer) {
  auto& links = nodes_[node]->links;
  const auto link = std::ranges::lower_bound(links, peer, {}, &Link::peer);
  return link == links.end() || link->peer != peer ? nullptr : &link->turn;
}

void SimNet::set_session(NodeIndex node, NodeIndex peer, const Turn& turn) {
  if (Turn* const known = find_session(node, peer)) {
    *known = turn;
    return;
  }
  auto& links = nodes_[node]->links;
  links.insert(std::ranges::lower_bound(links, peer, {}, &Link::peer), Link{peer, turn});
}

void SimNet::drop_session(NodeIndex node, NodeIndex peer) {
  std::erase_if(nodes_[node]->links, [peer](const Link& link) { return link.peer == peer; });
}

TimePoint SimNet::held_until(NodeIndex from, NodeIndex to) const {
  TimePoint until{};
  if (!clogs_.empty()) {
    const auto clogged = clogs_.find({from, to});
    if (clogged != clogs_.end()) until = clogged->second;
  }
  const unsigned here = parts_.network.region(from);
  const unsigned there = parts_.network.region(to);
  if (here != there) until = std::max({until, region_cut_[here], region_cut_[there]});
  return until;
}

bool SimNet::reaches_source(NodeIndex node) const {
  constexpr NodeIndex kGateway = 0;
  return is_running(kGateway) && held_until(kGateway, node) <= now_;
}

void SimNet::clog(NodeIndex from, NodeIndex to, TimePoint until) {
  std::erase_if(clogs_, [this](const auto& entry) { return entry.second < now_; });
  clogs_[{from, to}] = until;
}

void SimNet::dial(NodeIndex node, const NodeId& peer_id) {
  knock(node, nodes_[node]->life, index(peer_id), now_);
}

/// The first flight, sent again while nobody answers (RFC 9002: after a second, then twice as long).
void SimNet::knock(NodeIndex node, std::uint64_t life, NodeIndex peer, TimePoint begun) {
  const TimePoint given_up = begun + kDialTimeout;
  if (!parts_.network.can_connect(node, peer)) {
    return fail_dial(node, life, peer, given_up - now_);
  }
  if (nodes_[peer]->relay == nullptr) {
    const Duration again = now_ - begun + kFlightAgain;
    if (now_ + again >= given_up) return fail_dial(node, life, peer, given_up - now_);
    return at(now_ + again, [this, node, life, peer, begun] {
      if (nodes_[node]->life == life) knock(node, life, peer, begun);
    });
  }
  const std::array<std::uint64_t, 2> lives{life, nodes_[peer]->life};
  const TimePoint open = std::max({now_, held_until(node, peer), held_until(peer, node)});
  if (open > given_up) return fail_dial(node, life, peer, given_up - now_);
  // The first flight of the handshake answered, then the dialer's proof and hello.
  const Duration way = parts_.network.one_way(node, peer);
  at(open + 3 * way + kHandshakeWork, [this, node, peer, lives] { establish(node, peer, lives); });
}

void SimNet::fail_dial(NodeIndex node, std::uint64_t life, NodeIndex peer, Duration after) {
  at(now_ + after, [this, node, life, peer] {
    if (nodes_[node]->life != life) return;
    // Another session came up meanwhile: the peer dialed us.
    const Turn* session = find_session(node, peer);
    if (session != nullptr && end_of(*session).open) return;
    give(node, [peer = id(peer)](relay::Relay& relay, relay::Now now) {
      relay.on_connect_failed(peer, now);
    });
  });
}

/// The dialer's hello is at the acceptor.
void SimNet::establish(NodeIndex dialer, NodeIndex acceptor, std::array<std::uint64_t, 2> lives) {
  if (nodes_[dialer]->life != lives[0] || nodes_[dialer]->relay == nullptr) return;
  const Node& there = *nodes_[acceptor];
  if (there.life != lives[1] || there.relay == nullptr || there.stopped_until > now_) {
    return fail_dial(dialer, lives[0], acceptor, kDialTimeout);
  }
  const Turn* ours = find_session(dialer, acceptor);
  const Turn* theirs = find_session(acceptor, dialer);
  if (ours != nullptr && theirs != nullptr && ours->session == theirs->session &&
      end_of(*ours).open && end_of(*theirs).open) {
    return;  // it dialed us meanwhile
  }
  const auto number = static_cast<std::uint32_t>(sessions_.size());
  const auto path = [&](NodeIndex from, NodeIndex to) {
    const std::uint64_t pair = std::uint64_t{from} << 32U | to;
    return Path{options_, mix(pair) + nodes_[dialer]->dials, parts_.network.one_way(from, to)};
  };
  ++nodes_[dialer]->dials;
  sessions_.push_back(std::make_unique<Session>(End{dialer, path(dialer, acceptor)},
                                                End{acceptor, path(acceptor, dialer)}));
  Session& session = *sessions_.back();
  session.flight_max = flight_max(parts_.network, dialer, acceptor);
  replace(acceptor, dialer);
  session.ends[1].open = true;
  set_session(acceptor, dialer, Turn{number, 1});
  // Nothing that the acceptor says arrives before its hello.
  const TimePoint heard = now_ + parts_.network.one_way(acceptor, dialer);
  for (Lane& lane : session.ends[1].lanes) lane.last_arrival = heard;
  at(heard, [this, dialer, acceptor, number, lives] {
    Session& made = *sessions_[number];
    if (nodes_[dialer]->life != lives[0] || !made.ends[1].open) return;
    replace(dialer, acceptor);
    made.ends[0].open = true;
    set_session(dialer, acceptor, Turn{number, 0});
    give(dialer, [peer = id(acceptor)](relay::Relay& relay, relay::Now now) {
      relay.on_peer_up(peer, now);
    });
  });
  give(acceptor,
       [peer = id(dialer)](relay::Relay& relay, relay::Now now) { relay.on_peer_up(peer, now); });
}

/// Another session takes the place of this one: its ends close without a word to the relays.
void SimNet::replace(NodeIndex node, NodeIndex peer) {
  const Turn* old = find_session(node, peer);
  if (old == nullptr) return;
  end_of(*old).open = false;
}

/// The node's own end closes now; the other one hears of it after what was sent before.
void SimNet::hang_up(NodeIndex node, NodeIndex peer, relay::LossReason told) {
  Turn* found = find_session(node, peer);
  if (found == nullptr || !end_of(*found).open) return;
  const Turn turn = *found;
  End& end = end_of(turn);
  Flight flight;
  flight.load = told;
  launch(turn, 0, std::max(now_, end.lanes[1].last_arrival - end.path.one_way()),
         std::move(flight));
  end.open = false;
  drop_session(node, peer);
}

/// The end at `at` learns that its session is over.
void SimNet::tell_down(const Turn& at, relay::LossReason reason) {
  End& end = end_of(at);
  if (!end.open) return;
  const NodeIndex node = end.node;
  const NodeIndex peer = other_end(at).node;
  end.open = false;
  const Turn* current = find_session(node, peer);
  if (current == nullptr || current->session != at.session) return;
  drop_session(node, peer);
  give(node, [peer_id = id(peer), reason](relay::Relay& relay, relay::Now now) {
    relay.on_peer_down(peer_id, reason, now);
  });
}

void SimNet::kill(NodeIndex index, Death death) {
  Node& node = *nodes_[index];
  TAYGA_CHECK(node.relay != nullptr);
  for (const auto& [peer, turn] : node.links) {
    const Turn other{turn.session, 1 - turn.side};
    end_of(turn).open = false;
    if (!end_of(other).open) continue;
    const Duration heard = death == Death::reset ? end_of(turn).path.one_way() : kSessionIdle;
    const auto reason =
        death == Death::reset ? relay::LossReason::reset : relay::LossReason::silent;
    at(now_ + heard, [this, other, reason] { tell_down(other, reason); });
  }
  node.links.clear();
  node.turns.clear();
  node.relay.reset();
  node.armed.reset();
  ++node.life;
}

}  // namespace tayga::sim
