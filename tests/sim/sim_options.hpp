#pragma once

#include "common/base/time.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace tayga::sim {

/// One run: what is simulated. Everything that a run does follows from this and the seed.
struct SimOptions {
  unsigned nodes = 100;  ///< relays and viewers; the gateway comes on top
  std::uint64_t seed = 1;
  Duration duration = 60s;  ///< of publishing
  Duration window = 2s;     ///< playout window
  unsigned stripes = 2;
  std::uint64_t bitrate_bps = 1'000'000;
  Duration segment = 1s;
  Duration fragment = 40ms;
  std::string data_dir;      ///< public traces; empty = synthetic
  bool traces = false;       ///< one uplink in eight follows a measured trace, outages included
  bool real_proofs = false;  ///< Ed25519 and SHA-256 themselves, instead of their stand-ins
  bool origin = false;       ///< the stream names an origin that has every object

  // The network.
  std::uint64_t loss_ppm = 0;        ///< of packets, in bursts
  std::uint64_t spike_ppm = 0;       ///< flushes that are reordered or duplicated below a session
  std::uint64_t corruption_ppm = 0;  ///< flushes whose session is reset
  Duration jitter = 3ms;
  std::uint64_t control_loss_ppm = 1'000;  ///< messages of the control path that are sent again

  // A laboratory, to compare with real programs that run in one.
  /// Of every pair; all can connect, and the control path loses nothing.
  std::optional<Duration> lab_rtt;
  std::optional<unsigned> relays;  ///< the first so many nodes do not play; nothing: one in twenty
  std::uint64_t gateway_uplink_bps = 0;  ///< uplinks by role; 0 = as in the public network
  std::uint64_t relay_uplink_bps = 0;
  std::uint64_t viewer_uplink_bps = 0;

  // parent_kill.
  Duration kill_every = 2s;
  Duration kill_back = 8s;  ///< the process comes back after
  /// And without resets: UDP says nothing of a process that is gone.
  bool kill_relays_only = false;

  [[nodiscard]] bool is_relay(std::uint32_t node) const {
    constexpr std::uint32_t kRelayOneIn = 20;
    return relays ? node >= 1 && node <= *relays : node % kRelayOneIn == 1;
  }
};

}  // namespace tayga::sim
