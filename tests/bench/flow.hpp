#pragma once

#include "tests/bench/transports.hpp"

namespace tayga::bench {

struct FlowFigures {
  double gbps = 0;  ///< of payload, as received
  double sender_core_s_per_gbit = 0;
  double receiver_core_s_per_gbit = 0;
};

/// One session that carries media as fast as it goes, for `seconds` after a start-up: the sender on
/// cpu_for(0), the receiver on cpu_for(1), each a process.
FlowFigures measure_flow(const TransportSetup& setup, double seconds);

}  // namespace tayga::bench
