#pragma once

#include "daemon/core/relay.hpp"
#include "tests/sim/relay_world.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

namespace tayga::sim {

/// Production relays in virtual time, joined by ordered links with delay, jitter and rate.
///
/// Deterministic: one event queue keyed (time, sequence), one seeded generator. A link carries
/// control and media in one order, as TCP does. The shell's rules are those of daemon/peers: media
/// is pulled while the link has room, one session per pair.
class RelayNet {
 public:
  explicit RelayNet(std::uint64_t seed = 1) : random_{seed} {}

  struct Path {
    Duration delay = 1ms;
    Duration jitter{0};
    std::uint64_t rate_bps = 0;  ///< 0 = without limit
  };
  struct Node {
    crypto::SigningKey key;
    NodeId id;
    std::unique_ptr<relay::Relay> relay;
    std::vector<relay::Relay::ParentLost> lost;
    std::vector<relay::Relay::Tampered> tampered;
    std::vector<relay::Relay::Disconnect> disconnects;
    std::vector<std::pair<NodeId, relay::PeerMessage>> received;  ///< control, heads excluded
    std::size_t heads = 0;
    std::optional<TimePoint> armed;
    bool reachable = true;  ///< false: dials to it fail
  };
  /// Looks at a media frame as it arrives; may change it; false = it is swallowed.
  using Tap = std::function<bool(Node& from, Node& to, wire::FrameType, Bytes& payload)>;

  Node& add(unsigned number, const RelayWorld& world, const relay::RelayLimits& limits = {});
  [[nodiscard]] Node* find(const NodeId& id);
  void set_path(const Node& from, const Node& to, Path path);
  void set_tap(Tap tap) { tap_ = std::move(tap); }
  /// Called after every event.
  void set_check(std::function<void()> check) { check_ = std::move(check); }

  /// Gives a node's relay an input and performs what follows.
  template <class Input>
  void input(Node& node, Input&& give) {
    give(*node.relay, at(now_));
    perform(node);
  }
  void schedule(TimePoint when, std::function<void()> event);
  /// Breaks the session of two nodes, if there is one; both hear of it.
  void reset(Node& a, Node& b);
  [[nodiscard]] bool joined(const Node& a, const Node& b) const { return session(a, b) != 0; }
  /// Number of the session between two nodes; 0 = none.
  [[nodiscard]] std::uint64_t session(const Node& a, const Node& b) const;
  void run_until(TimePoint end);
  void run_for(Duration duration) { run_until(now_ + duration); }

  [[nodiscard]] TimePoint now() const { return now_; }
  [[nodiscard]] std::uint64_t random(std::uint64_t below) { return random_() % below; }
  [[nodiscard]] std::uint64_t events() const { return next_event_; }

 private:
  using Pair = std::pair<NodeId, NodeId>;  // from, to
  struct Direction {
    Path path;
    std::uint64_t session = 0;  // 0 = none
    TimePoint last_arrival{};
    TimePoint free_at{};
    bool pumping = false;
  };
  Direction& direction(const NodeId& from, const NodeId& to) { return directions_[{from, to}]; }
  TimePoint arrival(Direction& direction);
  void perform(Node& node);
  void perform_one(Node& node, relay::Relay::Action& action);
  void arm(Node& node);
  void dial(Node& node, const NodeId& peer);
  void close(const NodeId& a, const NodeId& b, relay::LossReason reason, bool first_knows);
  void deliver(Node& from, const NodeId& to, relay::PeerMessage message);
  void pump(Node& from, const NodeId& to);

  std::map<NodeId, std::unique_ptr<Node>> nodes_;
  std::map<Pair, Direction> directions_;
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> queue_;
  std::mt19937_64 random_;
  Tap tap_;
  std::function<void()> check_;
  TimePoint now_ = kStart;
  std::uint64_t next_event_ = 1;
  std::uint64_t next_session_ = 1;
};

}  // namespace tayga::sim
