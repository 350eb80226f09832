#pragma once

#include "daemon/core/relay.hpp"
#include "tests/sim/event_queue.hpp"
#include "tests/sim/fifo.hpp"
#include "tests/sim/frame_bank.hpp"
#include "tests/sim/id_table.hpp"
#include "tests/sim/network_model.hpp"
#include "tests/sim/path.hpp"
#include "tests/sim/peer_wire.hpp"
#include "tests/sim/relay_world.hpp"
#include "tests/sim/sim_options.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace tayga::sim {

/// What a run looks at while it goes on. Called in the middle of an event: looks, does not act.
class NetObserver {
 public:
  virtual ~NetObserver() = default;
  /// A media frame is about to be given to `to`. `slice` = the genuine one that it belongs to, by
  /// name; nullptr: none was published under that name.
  struct Delivered {
    NodeIndex from = 0;
    NodeIndex to = 0;
    std::uint32_t session = 0;
    unsigned side = 0;  ///< of `from` in the session
    wire::FrameType type = wire::FrameType::chunk;
    const SharedBytes* frame = nullptr;
    const FrameBank::Slice* slice = nullptr;
    SliceSeq seq;
    std::size_t index = 0;   ///< 0 = the header, i + 1 = chunk i
    bool genuine = false;    ///< bit by bit what was published
    bool forgotten = false;  ///< published too long ago to say
  };
  virtual void on_frame(const Delivered& frame) = 0;
  struct Said {
    NodeIndex from = 0;
    NodeIndex to = 0;
    std::uint32_t session = 0;
    unsigned side = 0;  ///< of `from`
  };
  virtual void on_message(const Said& said, const relay::PeerMessage& message) = 0;
  /// A message was sent that no peer would read: it goes no further.
  virtual void on_unreadable(const Said& said, const relay::PeerMessage& message) = 0;
  virtual void on_action(NodeIndex node, const relay::Relay::Action& action) = 0;
};

/// Changes what a node sends: a liar, or a bug that a test plants. Returns how often it is sent.
class NetTap {
 public:
  virtual ~NetTap() = default;
  virtual unsigned on_send(NodeIndex from, NodeIndex to, SharedBytes& frame) = 0;
  virtual unsigned on_send(NodeIndex from, NodeIndex to, relay::PeerMessage& message) = 0;
};

/// Production relays in virtual time, joined by ordered reliable sessions over a modelled network.
///
/// One event queue keyed (time, sequence); nodes are small integers. The shell's rules are those of
/// daemon/peers: control frames overtake media, media is pulled in flushes of at most 16 KiB while
/// the session has room, one session per pair, the acceptor knows it half a round trip earlier. A
/// node's uplink is shared frame by frame over its sessions.
class SimNet {
 public:
  struct Parts {
    NetworkModel& network;
    FrameBank& bank;
    NetObserver& observer;
  };
  SimNet(const SimOptions& options, const Parts& parts, unsigned nodes);
  ~SimNet();

  /// A process with nothing in it. Pre: not running.
  void start(NodeIndex node, std::unique_ptr<relay::Relay> relay);
  enum class Death : std::uint8_t {
    silent,  ///< nothing is heard of it: QUIC says nothing, or the machine went
    reset,   ///< the kernel resets its connections
  };
  void kill(NodeIndex node, Death death);
  /// SIGSTOP until then: what comes waits, timers are late.
  void stop(NodeIndex node, TimePoint until);
  /// One direction of a pair's paths stalls.
  void clog(NodeIndex from, NodeIndex to, TimePoint until);
  /// Nothing passes between the region and the rest.
  void cut_region(unsigned region, TimePoint until) { region_cut_[region] = until; }
  /// Sends from `node` take this much longer: a machine that is busy elsewhere.
  void set_drag(NodeIndex node, Duration drag) { nodes_[node]->drag = drag; }
  void set_tap(NetTap* tap) { tap_ = tap; }

  void at(TimePoint when, std::function<void()> call);
  /// To the process that runs now, when it can take it; another process does not get it.
  void give(NodeIndex node, std::function<void(relay::Relay&, relay::Now)> input);
  void run_until(TimePoint end);

  [[nodiscard]] TimePoint now() const noexcept { return now_; }
  [[nodiscard]] bool is_running(NodeIndex node) const { return nodes_[node]->relay != nullptr; }
  [[nodiscard]] bool is_stopped(NodeIndex node) const { return nodes_[node]->stopped_until > now_; }
  /// A gateway runs, and no cut lies between it and the node.
  [[nodiscard]] bool reaches_source(NodeIndex node) const;
  /// Pre: running.
  [[nodiscard]] relay::Relay& relay(NodeIndex node) { return *nodes_[node]->relay; }
  [[nodiscard]] const crypto::SigningKey& key(NodeIndex node) const { return nodes_[node]->key; }
  [[nodiscard]] const NodeId& id(NodeIndex node) const { return ids_[node]; }
  [[nodiscard]] NodeIndex index(const NodeId& id) const { return indices_.at(id); }
  [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
  [[nodiscard]] std::uint64_t trace_hash() const noexcept { return trace_; }
  [[nodiscard]] std::uint64_t events() const noexcept { return events_; }
  [[nodiscard]] std::uint64_t frames() const noexcept { return frames_; }
  /// Media bytes that left a node since the run began.
  [[nodiscard]] std::uint64_t media_bytes_out(NodeIndex node) const {
    return nodes_[node]->media_bytes_out;
  }

  struct LinkView {
    NodeIndex peer = 0;
    std::uint64_t bytes_out = 0;
    std::uint64_t bytes_in = 0;
    Duration round_trip{0};
    bool dialed = false;
  };
  [[nodiscard]] std::vector<LinkView> links(NodeIndex node) const;

 private:
  struct Flight {
    TimePoint at{};
    std::size_t bytes = 0;
    /// What it is: media, a beat (nearly all that is said), another message, the session's end.
    using Load = std::variant<std::vector<SharedBytes>, relay::Head,
                              std::unique_ptr<const relay::PeerMessage>, relay::LossReason>;
    Load load;
  };
  struct Lane {
    Fifo<Flight> flights;
    TimePoint last_arrival{};
    bool scheduled = false;
  };
  /// One end of a session, and the path of what it sends.
  struct End {
    End(NodeIndex of, Path way) : node{of}, path{std::move(way)} {}
    NodeIndex node;
    bool open = false;        ///< as far as this end knows
    bool queued = false;      ///< has media to give, waits for its turn on the uplink
    bool held_back = false;   ///< too much of it is under way
    bool is_unknown = false;  ///< to the other end: it will hear so
    std::size_t in_flight = 0;
    std::uint64_t bytes_out = 0;
    std::uint64_t bytes_in = 0;
    std::array<Lane, 2> lanes;  ///< control, media
    Path path;                  ///< last: an arrival does not look at it
  };
  struct Session {
    Session(End dialer, End acceptor) : ends{std::move(dialer), std::move(acceptor)} {}
    std::array<End, 2> ends;
    std::size_t flight_max = 0;
  };
  struct Turn {
    std::uint32_t session = 0;
    unsigned side = 0;
  };
  struct Link {
    NodeIndex peer = 0;
    Turn turn;  ///< where the node's end is
  };
  struct Node {
    explicit Node(crypto::SigningKey of) : key{std::move(of)} {}
    std::unique_ptr<relay::Relay> relay;
    std::uint64_t life = 0;  ///< counts processes
    TimePoint stopped_until{};
    std::optional<TimePoint> armed;
    std::vector<Link> links;  ///< its sessions, by peer
    Fifo<Turn> turns;         ///< ends that have media, in the order of their turns
    TimePoint uplink_free{};
    TimePoint downlink_free{};
    bool uplink_armed = false;
    bool performing = false;
    Duration drag{0};
    std::uint64_t dials = 0;
    std::uint64_t media_bytes_out = 0;
    crypto::SigningKey key;
  };

  [[nodiscard]] relay::Now wall() const { return sim::at(now_); }
  End& end_of(const Turn& turn) { return sessions_[turn.session]->ends[turn.side]; }
  End& other_end(const Turn& turn) { return sessions_[turn.session]->ends[1 - turn.side]; }
  Turn* find_session(NodeIndex node, NodeIndex peer);
  void set_session(NodeIndex node, NodeIndex peer, const Turn& turn);
  void drop_session(NodeIndex node, NodeIndex peer);
  [[nodiscard]] TimePoint held_until(NodeIndex from, NodeIndex to) const;

  // sim_net.cpp: events and relays
  void run(const Event& event);
  void on_timer(NodeIndex node);
  template <class Input>
  void input(NodeIndex node, Input&& give);
  void perform(NodeIndex node);
  void perform_one(NodeIndex node, relay::Relay::Action& action);
  void arm(NodeIndex node);

  // sim_net_sessions.cpp: dials, ends
  void dial(NodeIndex node, const NodeId& peer);
  void knock(NodeIndex node, std::uint64_t life, NodeIndex peer, TimePoint begun);
  void fail_dial(NodeIndex node, std::uint64_t life, NodeIndex peer, Duration after);
  void establish(NodeIndex dialer, NodeIndex acceptor, std::array<std::uint64_t, 2> lives);
  void replace(NodeIndex node, NodeIndex peer);
  void hang_up(NodeIndex node, NodeIndex peer, relay::LossReason told);
  void tell_down(const Turn& at, relay::LossReason reason);

  // sim_net_traffic.cpp: what travels
  void send(NodeIndex from, const NodeId& to, relay::PeerMessage message);
  void offer_media(NodeIndex from, const NodeId& to);
  void serve_uplink(NodeIndex node);
  void on_uplink(NodeIndex node);
  bool transmit(NodeIndex node, const Turn& turn);
  void launch(const Turn& from, unsigned lane, TimePoint left, Flight flight);
  void on_lane(std::uint32_t lane);
  void land(const Turn& from, Flight flight);
  void answer_stranger(const Turn& from);
  void hear(const Turn& from, const relay::PeerMessage& message);
  void deliver_frames(const Turn& to, const std::vector<SharedBytes>& frames);
  void deliver_frame(const Turn& at, const SharedBytes& frame);
  void note(std::uint64_t what) noexcept { trace_ = mix(trace_ ^ what); }
  void note(NodeIndex from, NodeIndex to, std::uint64_t what) noexcept;

  const SimOptions& options_;
  Parts parts_;
  NetTap* tap_ = nullptr;
  PeerWire wire_;
  relay::PeerMessage heard_;  ///< the beat that is being delivered
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<NodeId> ids_;
  IdTable indices_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::map<std::pair<NodeIndex, NodeIndex>, TimePoint> clogs_;
  std::array<TimePoint, NetworkModel::kRegions> region_cut_{};
  EventQueue queue_;
  std::vector<std::function<void()>> calls_;
  std::vector<std::uint32_t> free_calls_;
  TimePoint now_ = kStart;
  std::uint64_t trace_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t frames_ = 0;
};

template <class Input>
void SimNet::input(NodeIndex node, Input&& give) {
  give(*nodes_[node]->relay, wall());
  perform(node);
}

}  // namespace tayga::sim
