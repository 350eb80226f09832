#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "daemon/control/messages.hpp"
#include "daemon/core/relay.hpp"
#include "daemon/peers/relay_driver.hpp"

#include <cstdint>
#include <map>
#include <set>

namespace tayga {

/// What this process costs, read from the operating system.
struct ProcessLoad {
  Duration cpu_time{0};  ///< user and system, since the start
  std::uint64_t rss_bytes = 0;
};
ProcessLoad read_process_load();

/// Makes a telemetry snapshot from the relay and its sessions; remembers the last one for rates.
class TelemetrySampler {
 public:
  /// `served` = payload bytes given to players per stream, since the start.
  control::TelemetrySnapshot sample(const relay::Relay& relay, const peers::RelayDriver& driver,
                                    const std::map<StreamId, std::uint64_t>& served,
                                    const ProcessLoad& load, TimePoint now);

 private:
  peers::PeerTraffic last_traffic_;
  Duration last_cpu_{0};
  TimePoint last_{};
};

/// What the node carries, for the hello of a new control session.
std::vector<control::HeldStream> held_streams(const relay::Relay& relay);

}  // namespace tayga
