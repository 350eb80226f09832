#pragma once

#include "common/base/time.hpp"

#include <cstddef>
#include <vector>

namespace tayga::sim {

/// Exact percentiles of durations.
class Percentiles {
 public:
  void add(Duration value) {
    values_.push_back(value);
    sorted_ = false;
  }
  void add(const Percentiles& others);
  [[nodiscard]] std::size_t count() const noexcept { return values_.size(); }
  /// The smallest value that `permille` of all do not exceed; 0 without any.
  [[nodiscard]] Duration at(unsigned permille) const;
  [[nodiscard]] Duration max() const { return at(1000); }

 private:
  mutable std::vector<Duration> values_;
  mutable bool sorted_ = true;
};

}  // namespace tayga::sim
