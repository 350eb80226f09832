#pragma once

#include "tests/sim/frame_bank.hpp"
#include "tests/sim/sim_net.hpp"

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tayga::sim {

/// What must hold in every run, whatever the network does. Looks at every frame and message as it
/// arrives, and at the relays' own state every half second.
class Auditor {
 public:
  Auditor(const SimOptions& options, SimNet& net, const FrameBank& bank, const StreamId& stream);

  void on_frame(const NetObserver::Delivered& frame);
  void on_message(const NetObserver::Said& said, const relay::PeerMessage& message);
  void on_unreadable(const NetObserver::Said& said, const relay::PeerMessage& message);
  void on_action(NodeIndex node, const relay::Relay::Action& action);
  /// Its process is gone, and what it knew.
  void on_ended(NodeIndex node);
  /// Its media is changed on the way out: what it sends is not its relay's doing.
  void set_liar(NodeIndex node) { liars_.insert(node); }
  /// Keeps looking from now on.
  void start();

  struct Violation {
    TimePoint at{};
    std::string rule;
    std::string detail;
  };
  /// The first of each rule.
  [[nodiscard]] const std::vector<Violation>& violations() const noexcept { return violations_; }
  void require(bool holds, const char* rule, const std::string& detail);

  [[nodiscard]] std::uint64_t tampered() const noexcept { return tampered_; }
  /// What receivers signed for, as their receipts reached `sender`: bytes in time.
  [[nodiscard]] std::uint64_t signed_bytes(NodeIndex sender) const;
  /// The same to all senders, late ones included.
  [[nodiscard]] std::uint64_t signed_bytes() const;
  [[nodiscard]] bool was_ended(NodeIndex node) const { return ended_.contains(node); }

 private:
  /// What one end of a session has sent of a track, by sequence: a bit per frame.
  struct SentFrames {
    PublisherEpoch epoch;
    std::uint64_t first = 0;
    std::deque<std::uint32_t> masks;
    std::set<std::uint64_t> asked;  ///< again, by fetch
    FrameBank::Next asked_below;    ///< again, by subscribing
  };
  struct Sender {
    std::array<SentFrames, 2> tracks;        ///< the presentation track, the played one
    std::uint64_t* payload_bytes = nullptr;  ///< of the pair, in all its sessions
  };
  /// Nodes in loops of one stripe, each named by its lowest: looks in a row.
  using Loops = std::map<std::pair<unsigned, NodeIndex>, unsigned>;

  /// The newest receipt of an allocation.
  struct Signed {
    std::uint64_t in_time = 0;
    std::uint64_t late = 0;
  };
  using Played = relay::Playout::Key;

  void look();
  void check_order();
  void note_receipt(const NetObserver::Said& said, const relay::PeerReceipt& receipt);
  void check_queues();
  void check_loops();
  void find_loops(unsigned stripe, const std::vector<NodeIndex>& parents, Loops& found);
  Sender& sender(std::uint32_t session, unsigned side);
  void note_sent(const NetObserver::Delivered& frame, SentFrames& sent);
  SentFrames& sent_to(const NetObserver::Said& said, TrackId track);

  const SimOptions& options_;
  SimNet& net_;
  const FrameBank& bank_;
  StreamId stream_;
  relay::RelayLimits limits_;
  std::set<NodeIndex> liars_;
  std::deque<std::array<Sender, 2>> senders_;  ///< by session and side
  std::map<std::pair<NodeIndex, NodeIndex>, std::uint64_t> delivered_bytes_;  ///< from, to
  std::map<NodeIndex, std::map<AllocationId, Signed>> signed_;                ///< by sender
  std::set<NodeIndex> ended_;           ///< at least one of their processes
  std::map<NodeIndex, Played> played_;  ///< the newest object that was released
  Loops loops_;
  std::vector<Violation> violations_;
  std::uint64_t tampered_ = 0;
};

}  // namespace tayga::sim
