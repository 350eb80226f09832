#include "tests/sim/sim_net.hpp"

#include "common/base/check.hpp"
#include "common/base/overloaded.hpp"

#include <algorithm>

namespace tayga::sim {

SimNet::SimNet(const SimOptions& options, const Parts& parts, unsigned nodes)
    : options_{options}, parts_{parts}, indices_{nodes} {
  for (NodeIndex index = 0; index < nodes; ++index) {
    nodes_.push_back(std::make_unique<Node>(make_key(index + 1)));
    ids_.push_back(nodes_.back()->key.node_id());
    indices_.add(ids_.back(), index);
  }
}

SimNet::~SimNet() = default;

void SimNet::at(TimePoint when, std::function<void()> call) {
  std::uint32_t slot = static_cast<std::uint32_t>(calls_.size());
  if (free_calls_.empty()) {
    calls_.push_back(std::move(call));
  } else {
    slot = free_calls_.back();
    free_calls_.pop_back();
    calls_[slot] = std::move(call);
  }
  queue_.push(std::max(when, now_), Event::Kind::call, slot);
}

void SimNet::run_until(TimePoint end) {
  while (!queue_.empty() && queue_.top().at <= end) {
    const Event event = queue_.pop();
    now_ = event.at;
    ++events_;
    run(event);
  }
  now_ = end;
}

void SimNet::run(const Event& event) {
  switch (event.kind) {
    case Event::Kind::call: {
      const auto call = std::move(calls_[event.subject]);
      calls_[event.subject] = nullptr;
      free_calls_.push_back(event.subject);
      return call();
    }
    case Event::Kind::node_timer:
      return on_timer(event.subject);
    case Event::Kind::uplink:
      return on_uplink(event.subject);
    case Event::Kind::lane:
      return on_lane(event.subject);
  }
}

// --- relays

void SimNet::start(NodeIndex index, std::unique_ptr<relay::Relay> relay) {
  Node& node = *nodes_[index];
  TAYGA_CHECK(node.relay == nullptr);
  node.relay = std::move(relay);
  ++node.life;
  node.stopped_until = TimePoint{};
  node.armed.reset();
  perform(index);
}

void SimNet::stop(NodeIndex node, TimePoint until) {
  nodes_[node]->stopped_until = until;
}

void SimNet::give(NodeIndex index, std::function<void(relay::Relay&, relay::Now)> wanted) {
  Node& node = *nodes_[index];
  if (node.relay == nullptr) return;
  if (node.stopped_until <= now_) return input(index, wanted);
  at(node.stopped_until, [this, index, life = node.life, wanted = std::move(wanted)] {
    if (nodes_[index]->life == life) give(index, wanted);
  });
}

void SimNet::perform(NodeIndex index) {
  Node& node = *nodes_[index];
  if (node.performing) return;  // the outer call goes on with what this one added
  node.performing = true;
  while (auto action = node.relay->poll_action()) {
    parts_.observer.on_action(index, *action);
    perform_one(index, *action);
  }
  node.performing = false;
  arm(index);
}

void SimNet::perform_one(NodeIndex node, relay::Relay::Action& action) {
  using relay::Relay;
  std::visit(Overloaded{
                 [&](Relay::Connect& connect) { dial(node, connect.peer); },
                 [&](Relay::Disconnect& disconnect) {
                   hang_up(node, index(disconnect.peer), relay::LossReason::closed);
                 },
                 [&](Relay::Send& wanted) { send(node, wanted.peer, std::move(wanted.message)); },
                 [&](Relay::MediaReady& ready) { offer_media(node, ready.peer); },
                 [](Relay::ParentLost&) {},
                 [](Relay::Suspected&) {},
                 [](Relay::Repaired&) {},
                 [](Relay::FetchOrigin&) {},
                 [](Relay::Tampered&) {},
                 [](Relay::Progress&) {},
             },
             action);
}

void SimNet::arm(NodeIndex index) {
  Node& node = *nodes_[index];
  const auto next = node.relay->next_timeout();
  // As in the shell: an early wake-up costs less than to arm again at every chunk.
  if (!next || (node.armed && *node.armed <= *next)) return;
  node.armed = std::max(*next, now_);
  queue_.push(*node.armed, Event::Kind::node_timer, index);
}

void SimNet::on_timer(NodeIndex index) {
  Node& node = *nodes_[index];
  if (node.relay == nullptr || node.armed != now_) return;  // armed again for another moment
  if (node.stopped_until > now_) {
    node.armed = node.stopped_until;
    return queue_.push(node.stopped_until, Event::Kind::node_timer, index);
  }
  node.armed.reset();
  input(index, [](relay::Relay& relay, relay::Now now) { relay.on_timeout(now); });
}

std::vector<SimNet::LinkView> SimNet::links(NodeIndex index) const {
  std::vector<LinkView> all;
  for (const auto& [peer, turn] : nodes_[index]->links) {
    const Session& session = *sessions_[turn.session];
    const End& end = session.ends[turn.side];
    if (!end.open) continue;
    all.push_back({peer, end.bytes_out, end.bytes_in, 2 * end.path.one_way(), turn.side == 0});
  }
  return all;
}

}  // namespace tayga::sim
