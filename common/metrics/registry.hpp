#pragma once

#include "common/metrics/metric.hpp"

#include <cstddef>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tayga::metrics {

/// One metric per set of label values, at most `series_max` of them.
///
/// Label values come from small fixed sets: never ids, addresses or anything a stranger chooses.
/// Beyond series_max values are counted into one series that is not shown, and the refusals into
/// tayga_metrics_refused_series_total. Any thread; keep the reference instead of asking again.
template <class Metric>
class Family {
 public:
  using Series = std::map<std::vector<std::string>, std::unique_ptr<Metric>>;
  using Make = std::function<std::unique_ptr<Metric>()>;

  Family(std::vector<std::string> label_names, std::size_t series_max, Make make);

  /// Pre: as many values as label names. The reference lives as long as the registry.
  Metric& with(std::initializer_list<std::string_view> values);

  [[nodiscard]] const std::vector<std::string>& label_names() const noexcept { return names_; }
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_.value(); }
  template <class Visit>
  void visit(Visit&& visit_one) const {
    const std::scoped_lock lock{mutex_};
    for (const auto& [values, metric] : series_) visit_one(values, *metric);
  }

 private:
  const std::vector<std::string> names_;
  const std::size_t series_max_;
  const Make make_;
  mutable std::mutex mutex_;  // guards series_
  Series series_;
  std::unique_ptr<Metric> beyond_;
  Counter refused_;
};

extern template class Family<Counter>;
extern template class Family<Gauge>;
extern template class Family<Histogram>;

/// All metrics of one program, and their text form (Prometheus exposition 0.0.4).
///
/// Register at start-up and keep the references, which live as long as the registry. Names are
/// ours, so a malformed or repeated one, or a counter not ending in "_total", is a bug and aborts.
/// Thread-safe.
class Registry {
 public:
  using LabelNames = std::initializer_list<std::string_view>;

  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  Counter& counter(std::string name, std::string help);
  Gauge& gauge(std::string name, std::string help);
  Histogram& histogram(std::string name, std::string help, std::span<const double> bounds);

  Family<Counter>& counters(std::string name, std::string help, LabelNames labels,
                            std::size_t series_max);
  Family<Gauge>& gauges(std::string name, std::string help, LabelNames labels,
                        std::size_t series_max);
  Family<Histogram>& histograms(std::string name, std::string help, LabelNames labels,
                                std::span<const double> bounds, std::size_t series_max);

  /// Asked at every expose(), in that thread; must not call the registry.
  void gauge_callback(std::string name, std::string help, std::function<double()> read);
  /// The same for a count that is kept elsewhere and only rises.
  void counter_callback(std::string name, std::string help, std::function<std::uint64_t()> read);

  /// Sorted by name. Content type: kContentType.
  [[nodiscard]] std::string expose() const;

 private:
  struct Entry;
  Entry& add(std::string name, std::string help, std::string_view type);

  mutable std::mutex mutex_;  // guards entries_
  std::map<std::string, std::unique_ptr<Entry>> entries_;
};

inline constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace tayga::metrics
