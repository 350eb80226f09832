#pragma once

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

namespace tayga::metrics {

/// A count that only rises. Any thread; relaxed: readers see it soon, not in step with other data.
class Counter {
 public:
  void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// A value that goes up and down. Integers are exact up to 2^53. Any thread.
class Gauge {
 public:
  template <class T>
  requires std::is_arithmetic_v<T>
  void set(T value) noexcept {
    value_.store(static_cast<double>(value), std::memory_order_relaxed);
  }
  template <class T>
  requires std::is_arithmetic_v<T>
  void add(T value) noexcept {
    value_.fetch_add(static_cast<double>(value), std::memory_order_relaxed);
  }
  [[nodiscard]] double value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

/// How often values fell below fixed bounds. Any thread; costs one search over the bounds.
class Histogram {
 public:
  /// Pre: `bounds` rise strictly and are finite; at most 64.
  explicit Histogram(std::span<const double> bounds);

  /// Durations are seconds. A value equal to a bound belongs below it. NaN is ignored.
  void observe(double value) noexcept;
  template <class Rep, class Period>
  void observe(std::chrono::duration<Rep, Period> value) noexcept {
    observe(std::chrono::duration<double>(value).count());
  }

  [[nodiscard]] std::span<const double> bounds() const noexcept { return bounds_; }
  /// Of values in (bound i-1, bound i]; i == bounds().size() is everything above the last.
  [[nodiscard]] std::uint64_t bucket(std::size_t i) const noexcept {
    return buckets_[i].load(std::memory_order_relaxed);
  }
  [[nodiscard]] double sum() const noexcept { return sum_.load(std::memory_order_relaxed); }

 private:
  const std::vector<double> bounds_;
  const std::unique_ptr<std::atomic<std::uint64_t>[]> buckets_;
  std::atomic<double> sum_{0};
};

/// The value that `share` (0..1) of the observed ones do not exceed, as far as buckets tell: evenly
/// spread within the bucket where it falls, as Prometheus takes it. `counts` are of single buckets,
/// one more than `bounds`; what lies above the last bound counts as that bound. 0 of nothing.
[[nodiscard]] double quantile(std::span<const double> bounds, std::span<const std::uint64_t> counts,
                              double share) noexcept;

/// 100 us to 10 s, about three to a decade: for times on a network.
std::span<const double> latency_bounds() noexcept;

}  // namespace tayga::metrics
