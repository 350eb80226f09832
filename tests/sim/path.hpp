#pragma once

#include "common/base/time.hpp"
#include "tests/sim/draws.hpp"
#include "tests/sim/sim_options.hpp"

#include <cstddef>
#include <cstdint>

namespace tayga::sim {

/// One direction of a path below a reliable, ordered session: when what is sent arrives whole.
///
/// Packets are lost in bursts (Gilbert). What a session makes of it: the rate stays (BBR), the lost
/// packet comes one recovery later (RFC 9002: 9/8 of a round trip, then twice as long), and what
/// was sent after it waits. Reordering and duplication are spikes of delay to a session.
class Path {
 public:
  /// `entity` names the direction of this session.
  Path(const SimOptions& options, std::uint64_t entity, Duration one_way);

  struct Sent {
    TimePoint left{};  ///< its last byte left the sender
    std::size_t bytes = 0;
    TimePoint held_until{};  ///< the path lets nothing through before
  };
  /// Not ordered yet: a lane does that.
  TimePoint arrival(const Sent& sent);
  /// The path's corruption reached through the checksums: the session ends.
  bool corrupts();
  [[nodiscard]] Duration one_way() const noexcept { return one_way_; }

 private:
  bool loses_packet();

  Duration one_way_;
  Duration jitter_;
  std::uint64_t loss_ppm_;
  std::uint64_t enter_ppm_;  ///< good -> bad, per packet
  std::uint64_t spike_ppm_;
  std::uint64_t corruption_ppm_;
  bool bad_ = false;
  Draws losses_;
  Draws jitters_;
  Draws spikes_;
  Draws corruptions_;
};

}  // namespace tayga::sim
