#pragma once

#include "tests/sim/live_source.hpp"
#include "tests/sim/percentiles.hpp"
#include "tests/sim/sim_net.hpp"

#include <cstdint>
#include <map>
#include <vector>

namespace tayga::sim {

/// Plays what the viewers have: each object at publisher time + window, and whoever does not have
/// it whole by then is late by the time that it still takes, or has lost it.
///
/// A viewer counts from kStartup after it joined: how fast a player starts is another figure.
class PlayoutMeter {
 public:
  static constexpr Duration kStartup = 5s;
  static constexpr Duration kLostAfter = 8s;  ///< beyond the playout instant

  PlayoutMeter(const SimOptions& options, SimNet& net, const StreamId& stream);

  void on_viewer(NodeIndex viewer);
  void on_viewer_gone(NodeIndex viewer);
  /// It cannot have what begins within so long.
  void excuse(NodeIndex viewer, Duration length);
  void on_published(const PublishedObject& object);
  /// Objects that the publisher's process took with it are nobody's loss.
  void on_publisher_lost();

  /// One object that one viewer did not have in time.
  struct Miss {
    TimePoint due{};
    Duration gap{0};
    bool lost = false;
  };
  [[nodiscard]] const std::vector<Miss>& misses(NodeIndex viewer) const { return misses_[viewer]; }
  struct Totals {
    std::uint64_t complete = 0;  ///< in time
    std::uint64_t late = 0;
    std::uint64_t lost = 0;
    std::uint64_t bytes = 0;  ///< of what was played
    Duration played{0};       ///< of media, all viewers
    Duration stalled{0};
    Percentiles stalls;
  };
  /// Closes what is open. A stall = consecutive segments that were late: the player falls behind by
  /// the largest gap among them.
  [[nodiscard]] Totals totals() const;
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_.size(); }

 private:
  struct Viewer {
    bool present = false;
    std::uint64_t life = 0;
    WallTime since{};
  };
  struct Waiting {
    NodeIndex viewer = 0;
    std::uint64_t life = 0;
    PublishedObject object;
    TimePoint due{};
  };
  void play(const PublishedObject& object, TimePoint due);
  [[nodiscard]] bool plays(NodeIndex viewer, const PublishedObject& object) const;
  void look_again();
  void note_miss(const Waiting& waiting, Duration gap, bool lost);
  void arm();

  const SimOptions& options_;
  SimNet& net_;
  StreamId stream_;
  std::vector<Viewer> viewers_;
  std::vector<std::vector<Miss>> misses_;
  std::vector<Waiting> waiting_;
  bool armed_ = false;
  Totals totals_;
};

}  // namespace tayga::sim
