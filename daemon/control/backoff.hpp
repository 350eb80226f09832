#pragma once

#include "common/base/time.hpp"

namespace tayga::control {

/// How long to wait before the next attempt: doubles from `first` to `last`, ±30 % at random, so
/// that the nodes of a network that lost its orchestrator do not all come back at once.
class Backoff {
 public:
  static constexpr double kJitter = 0.3;

  /// Pre: 0 < first <= last.
  Backoff(Duration first, Duration last);

  /// `random` is uniform in [0, 1).
  Duration next(double random);
  /// An attempt succeeded.
  void reset() noexcept;

 private:
  Duration first_;
  Duration last_;
  Duration current_;
};

}  // namespace tayga::control
