#pragma once

#include "common/base/time.hpp"

namespace tayga::relay {

/// Both clocks, read once by the shell for one event: `mono` orders and times, `wall` compares with
/// the publisher's time.
struct Now {
  TimePoint mono;
  WallTime wall;
};

}  // namespace tayga::relay
