#include "tests/sim/relay_net.hpp"

#include "common/base/check.hpp"
#include "common/base/overloaded.hpp"

#include <algorithm>

namespace tayga::sim {
namespace {

constexpr Duration kHandshake = 3ms;

}  // namespace

RelayNet::Node& RelayNet::add(unsigned number, const RelayWorld& world,
                              const relay::RelayLimits& limits) {
  auto key = make_key(number);
  const NodeId id = key.node_id();
  auto node =
      std::make_unique<Node>(Node{std::move(key), id, nullptr, {}, {}, {}, {}, 0, {}, true});
  node->relay = std::make_unique<relay::Relay>(node->key, limits, 10s);
  world.introduce(*node->relay);
  return *(nodes_[id] = std::move(node));
}

RelayNet::Node* RelayNet::find(const NodeId& id) {
  const auto it = nodes_.find(id);
  return it == nodes_.end() ? nullptr : it->second.get();
}

void RelayNet::set_path(const Node& from, const Node& to, Path path) {
  direction(from.id, to.id).path = path;
}

void RelayNet::schedule(TimePoint when, std::function<void()> event) {
  queue_.emplace(std::pair{std::max(when, now_), next_event_++}, std::move(event));
}

void RelayNet::run_until(TimePoint end) {
  while (!queue_.empty() && queue_.begin()->first.first <= end) {
    const auto event = queue_.begin();
    now_ = event->first.first;
    const auto run = std::move(event->second);
    queue_.erase(event);
    run();
    if (check_) check_();
  }
  now_ = end;
}

TimePoint RelayNet::arrival(Direction& way) {
  Duration delay = way.path.delay;
  if (way.path.jitter > 0us) {
    delay += Duration{
        static_cast<Duration::rep>(random(static_cast<std::uint64_t>(way.path.jitter.count())))};
  }
  way.last_arrival = std::max(way.last_arrival, std::max(now_, way.free_at) + delay);
  return way.last_arrival;
}

void RelayNet::perform(Node& node) {
  while (auto action = node.relay->poll_action()) perform_one(node, *action);
  arm(node);
}

void RelayNet::perform_one(Node& node, relay::Relay::Action& action) {
  using relay::Relay;
  std::visit(
      Overloaded{
          [&](Relay::Connect& connect) { dial(node, connect.peer); },
          [&](Relay::Disconnect& disconnect) {
            node.disconnects.push_back(disconnect);
            close(node.id, disconnect.peer, relay::LossReason::closed, true);
          },
          [&](Relay::Send& message) { deliver(node, message.peer, std::move(message.message)); },
          [&](Relay::MediaReady& ready) { pump(node, ready.peer); },
          [&](Relay::ParentLost& lost) { node.lost.push_back(lost); },
          [&](Relay::Suspected&) {},
          [&](Relay::Repaired&) {},
          [&](Relay::FetchOrigin&) {},
          [&](Relay::Tampered& tampered) { node.tampered.push_back(std::move(tampered)); },
          [&](Relay::Progress&) {},
      },
      action);
}

void RelayNet::arm(Node& node) {
  const auto next = node.relay->next_timeout();
  if (!next || (node.armed && *node.armed <= *next)) return;
  node.armed = std::max(*next, now_);
  const TimePoint when = *node.armed;
  schedule(when, [this, &node, when] {
    if (node.armed == when) node.armed.reset();
    input(node, [](relay::Relay& relay, relay::Now now) { relay.on_timeout(now); });
  });
}

std::uint64_t RelayNet::session(const Node& a, const Node& b) const {
  const auto it = directions_.find({a.id, b.id});
  return it == directions_.end() ? 0 : it->second.session;
}

void RelayNet::dial(Node& node, const NodeId& peer_id) {
  schedule(now_ + kHandshake, [this, &node, peer_id] {
    Node* peer = find(peer_id);
    if (peer == nullptr || !peer->reachable || !node.reachable) {
      return input(node, [&](relay::Relay& relay, relay::Now now) {
        relay.on_connect_failed(peer_id, now);
      });
    }
    if (direction(node.id, peer_id).session != 0) return;  // it dialed us meanwhile
    const std::uint64_t session = next_session_++;
    for (Direction* way : {&direction(node.id, peer_id), &direction(peer_id, node.id)}) {
      way->session = session;
      way->last_arrival = way->free_at = now_;
      way->pumping = false;
    }
    input(*peer, [&](relay::Relay& relay, relay::Now now) { relay.on_peer_up(node.id, now); });
    input(node, [&](relay::Relay& relay, relay::Now now) { relay.on_peer_up(peer_id, now); });
  });
}

void RelayNet::close(const NodeId& a, const NodeId& b, relay::LossReason reason, bool first_knows) {
  Direction& there = direction(a, b);
  if (there.session == 0) return;
  const TimePoint heard = arrival(there);  // after what was sent before
  there.session = 0;
  direction(b, a).session = 0;
  const auto tell = [this, reason](NodeId node, NodeId about) {
    if (Node* told = find(node)) {
      input(*told,
            [&](relay::Relay& relay, relay::Now now) { relay.on_peer_down(about, reason, now); });
    }
  };
  if (!first_knows) schedule(now_, [tell, a, b] { tell(a, b); });
  schedule(first_knows ? heard : now_, [tell, a, b] { tell(b, a); });
}

void RelayNet::reset(Node& a, Node& b) {
  close(a.id, b.id, relay::LossReason::reset, false);
}

void RelayNet::deliver(Node& from, const NodeId& to, relay::PeerMessage message) {
  Direction& way = direction(from.id, to);
  if (way.session == 0) return;
  schedule(arrival(way), [this, &from, to, session = way.session, message = std::move(message)] {
    Node* node = find(to);
    // A close in order delivers what was sent before it: the receiver hears of the close later.
    if (node == nullptr) return;
    const std::uint64_t current = direction(from.id, to).session;
    if (current != 0 && current != session) return;
    if (std::holds_alternative<relay::Head>(message)) {
      ++node->heads;
    } else {
      node->received.emplace_back(from.id, message);
    }
    input(*node,
          [&](relay::Relay& relay, relay::Now now) { relay.on_message(from.id, message, now); });
  });
}

void RelayNet::pump(Node& from, const NodeId& to) {
  Direction& way = direction(from.id, to);
  if (way.session == 0 || way.pumping) return;
  way.pumping = true;
  while (true) {
    if (now_ < way.free_at) {
      const std::uint64_t session = way.session;
      schedule(way.free_at, [this, &from, to, session] {
        Direction& again = direction(from.id, to);
        if (again.session != session) return;
        again.pumping = false;
        pump(from, to);
      });
      return;
    }
    auto media = from.relay->next_media(to, at(now_));
    if (!media) break;
    if (way.path.rate_bps != 0) {
      way.free_at = now_ + Duration{static_cast<Duration::rep>(media->frame->size() * 8 *
                                                               1'000'000 / way.path.rate_bps)};
    }
    schedule(arrival(way), [this, &from, to, session = way.session, frame = media->frame] {
      Node* node = find(to);
      if (node == nullptr || direction(from.id, to).session != session) return;
      const wire::FrameType type = frame_type(frame);
      const ByteView view = frame_payload(frame);
      Bytes payload(view.begin(), view.end());
      if (tap_ && !tap_(from, *node, type, payload)) return;
      input(*node, [&](relay::Relay& relay, relay::Now now) {
        relay.on_media(from.id, type, payload, now);
      });
    });
  }
  way.pumping = false;
}

}  // namespace tayga::sim
