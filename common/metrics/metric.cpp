#include "common/metrics/metric.hpp"

#include "common/base/check.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace tayga::metrics {
namespace {

constexpr std::size_t kBoundsMax = 64;

bool are_good_bounds(std::span<const double> bounds) {
  const auto is_finite = [](double bound) { return std::isfinite(bound); };
  return bounds.size() <= kBoundsMax && std::ranges::all_of(bounds, is_finite) &&
         std::ranges::adjacent_find(bounds, std::greater_equal{}) == bounds.end();
}

}  // namespace

Histogram::Histogram(std::span<const double> bounds)
    : bounds_{bounds.begin(), bounds.end()},
      buckets_{std::make_unique<std::atomic<std::uint64_t>[]>(bounds.size() + 1)} {
  TAYGA_CHECK(are_good_bounds(bounds));
}

void Histogram::observe(double value) noexcept {
  if (std::isnan(value)) return;
  const auto bucket = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
  buckets_[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

double quantile(std::span<const double> bounds, std::span<const std::uint64_t> counts,
                double share) noexcept {
  const auto total = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  if (total == 0 || bounds.empty()) return 0;
  const double rank = std::clamp(share, 0.0, 1.0) * static_cast<double>(total);
  double below = 0;
  for (std::size_t i = 0; i < bounds.size() && i < counts.size(); ++i) {
    const auto here = static_cast<double>(counts[i]);
    if (here > 0 && below + here >= rank) {
      const double begin = i == 0 ? std::min(0.0, bounds[0]) : bounds[i - 1];
      return begin + (bounds[i] - begin) * (rank - below) / here;
    }
    below += here;
  }
  return bounds.back();
}

std::span<const double> latency_bounds() noexcept {
  static constexpr std::array kBounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                      0.05,   0.1,     0.25,   0.5,   1.0,    2.5,   5.0,  10.0};
  return kBounds;
}

}  // namespace tayga::metrics
