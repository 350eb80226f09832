#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/transport/session.hpp"

#include <cstddef>
#include <list>
#include <optional>
#include <unordered_map>

namespace tayga::transport {

/// Remembers which transport reached each peer, and says which one leads the next dial.
///
/// QUIC leads, except to a peer that was reached by TCP although QUIC had its head start: something
/// between us drops UDP. To that one TCP leads for kTcpLeads, then QUIC gets its chance again; what
/// TCP reaches meanwhile does not prolong it. Pure. Bounded: the peer dialed longest ago is
/// forgotten first.
class TransportChoice {
 public:
  static constexpr Duration kTcpLeads = 10min;
  static constexpr std::size_t kPeersMax = 1024;

  struct Memory {
    Kind reached_by = Kind::quic;
    Kind led_by = Kind::quic;  ///< which transport was tried first
    TimePoint since;           ///< of the last change
    friend bool operator==(const Memory&, const Memory&) = default;
  };

  explicit TransportChoice(std::size_t peers_max = kPeersMax) : peers_max_{peers_max} {}

  [[nodiscard]] Kind leader(const NodeId& peer, TimePoint now) const;
  /// A dial that `led` led reached the peer by `winner`.
  void on_reached(const NodeId& peer, Kind led, Kind winner, TimePoint now);
  [[nodiscard]] std::optional<Memory> memory_of(const NodeId& peer) const;
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }

 private:
  struct Entry {
    Memory memory;
    std::list<NodeId>::iterator position;
  };

  const std::size_t peers_max_;
  std::list<NodeId> order_;  // the last one dialed in front
  std::unordered_map<NodeId, Entry> entries_;
};

}  // namespace tayga::transport
