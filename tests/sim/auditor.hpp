#pragma once

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
  Auditor(const SimOptions& options, SimNet& net);

  void on_frame(const NetObserver::Delivered& frame);
  void on_message(const NetObserver::Said& said, const relay::PeerMessage& message);
  void on_action(NodeIndex node, const relay::Relay::Action& action);
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

 private:
  /// What one end of a session has sent of a track, by sequence: a bit per frame.
  struct SentFrames {
    PublisherEpoch epoch;
    std::uint64_t first = 0;
    std::deque<std::uint32_t> masks;
    std::set<std::uint64_t> asked;  ///< again, by fetch
    std::uint64_t asked_below = 0;  ///< again, by subscribing
  };
  struct Sender {
    std::array<SentFrames, 2> tracks;        ///< the presentation track, the played one
    std::uint64_t* payload_bytes = nullptr;  ///< of the pair, in all its sessions
  };
  /// Nodes in loops of one stripe, each named by its lowest: looks in a row.
  using Loops = std::map<std::pair<unsigned, NodeIndex>, unsigned>;

  void look();
  void check_queues();
  void check_loops();
  void find_loops(unsigned stripe, const std::vector<NodeIndex>& parents, Loops& found);
  Sender& sender(std::uint32_t session, unsigned side);
  void note_sent(const NetObserver::Delivered& frame, SentFrames& sent);
  SentFrames& sent_to(const NetObserver::Said& said, TrackId track);

  const SimOptions& options_;
  SimNet& net_;
  relay::RelayLimits limits_;
  std::set<NodeIndex> liars_;
  std::deque<std::array<Sender, 2>> senders_;  ///< by session and side
  std::map<std::pair<NodeIndex, NodeIndex>, std::uint64_t> delivered_bytes_;  ///< from, to
  Loops loops_;
  std::vector<Violation> violations_;
  std::uint64_t tampered_ = 0;
};

}  // namespace tayga::sim
