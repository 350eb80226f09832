#pragma once

#include "common/base/time.hpp"

#include <boost/json/object.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace tayga::bench {

/// Counts durations in steps; what is beyond the range counts in its last step.
class Histogram {
 public:
  Histogram(Duration step, std::size_t steps) : step_{step}, counts_(steps) {}

  void add(Duration value) {
    const std::int64_t place = value.count() > 0 ? value.count() / step_.count() : 0;
    ++counts_[std::min(static_cast<std::size_t>(place), counts_.size() - 1)];
    ++total_;
  }
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
  /// 0 when nothing was counted.
  [[nodiscard]] double percentile_ms(double share) const {
    const double wanted = share * static_cast<double>(total_);
    double seen = 0;
    for (std::size_t i = 0; total_ > 0 && i < counts_.size(); ++i) {
      seen += static_cast<double>(counts_[i]);
      if (seen >= wanted) {
        return static_cast<double>(i) * static_cast<double>(step_.count()) / 1000;
      }
    }
    return 0;
  }
  [[nodiscard]] boost::json::object percentiles_ms() const {
    return {{"p50", percentile_ms(0.5)}, {"p99", percentile_ms(0.99)}};
  }

 private:
  Duration step_;
  std::vector<std::uint32_t> counts_;
  std::uint64_t total_ = 0;
};

}  // namespace tayga::bench
