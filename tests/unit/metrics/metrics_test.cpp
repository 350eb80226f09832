#include "common/metrics/names.hpp"
#include "common/metrics/registry.hpp"
#include "tests/support/catch.hpp"

#include <cmath>
#include <limits>
#include <thread>

using namespace tayga::metrics;
using namespace std::chrono_literals;

namespace {

const std::string kNoneRefused =
    "# HELP tayga_metrics_refused_series_total Label sets that were not counted because their "
    "family is full.\n"
    "# TYPE tayga_metrics_refused_series_total counter\n"
    "tayga_metrics_refused_series_total ";

}  // namespace

TEST_CASE("metrics are exposed sorted by name, with help and type") {
  Registry registry;
  registry.counter("tayga_b_total", "Things.").add(3);
  registry.gauge("tayga_a", "A \\ path\nand more \"quoted\".").set(-0.25);
  registry.gauge_callback("tayga_c", "Asked.", [] { return 7.0; });
  registry.counter_callback("tayga_d_total", "Asked.", [] { return std::uint64_t{1} << 63U; });
  CHECK(registry.expose() ==
        "# HELP tayga_a A \\\\ path\\nand more \"quoted\".\n# TYPE tayga_a gauge\ntayga_a -0.25\n"
        "# HELP tayga_b_total Things.\n# TYPE tayga_b_total counter\ntayga_b_total 3\n"
        "# HELP tayga_c Asked.\n# TYPE tayga_c gauge\ntayga_c 7\n"
        "# HELP tayga_d_total Asked.\n# TYPE tayga_d_total counter\n"
        "tayga_d_total 9223372036854775808\n" +
            kNoneRefused + "0\n");
}

TEST_CASE("a quantile lies within its bucket, and never beyond the last bound") {
  const std::array bounds{0.1, 0.2, 1.0};
  const std::array<std::uint64_t, 4> counts{10, 80, 10, 0};
  CHECK(std::abs(quantile(bounds, counts, 0.5) - 0.15) < 1e-9);
  CHECK(std::abs(quantile(bounds, counts, 0.05) - 0.05) < 1e-9);
  CHECK(std::abs(quantile(bounds, counts, 0.9) - 0.2) < 1e-9);
  CHECK(std::abs(quantile(bounds, counts, 0.99) - 0.92) < 1e-9);
  CHECK(std::abs(quantile(bounds, counts, 1) - 1.0) < 1e-9);
  const std::array<std::uint64_t, 4> far{0, 0, 0, 3};
  CHECK(quantile(bounds, far, 0.5) == 1.0);
  CHECK(quantile(bounds, std::array<std::uint64_t, 4>{}, 0.5) == 0.0);
}

TEST_CASE("a histogram counts cumulatively, a value on a bound below it") {
  Registry registry;
  const std::array bounds{0.1, 1.0};
  Histogram& histogram = registry.histogram("tayga_wait_seconds", "Waits.", bounds);
  histogram.observe(0.1);
  histogram.observe(500ms);
  histogram.observe(2s);
  histogram.observe(std::numeric_limits<double>::quiet_NaN());
  CHECK(registry.expose() ==
        "# HELP tayga_wait_seconds Waits.\n# TYPE tayga_wait_seconds histogram\n"
        "tayga_wait_seconds_bucket{le=\"0.1\"} 1\ntayga_wait_seconds_bucket{le=\"1\"} 2\n"
        "tayga_wait_seconds_bucket{le=\"+Inf\"} 3\ntayga_wait_seconds_sum 2.6\n"
        "tayga_wait_seconds_count 3\n" +
            kNoneRefused + "0\n");
}

TEST_CASE("a family has one series per set of label values, escaped") {
  Registry registry;
  auto& family = registry.counters("tayga_x_total", "X.", {"kind", "why"}, 8);
  family.with({"b", "a\\b\"c\nd"}).add();
  Counter& kept = family.with({"a", ""});
  kept.add();
  CHECK(&family.with({"a", ""}) == &kept);
  CHECK(registry.expose() ==
        "# HELP tayga_x_total X.\n# TYPE tayga_x_total counter\n"
        "tayga_x_total{kind=\"a\",why=\"\"} 1\n"
        "tayga_x_total{kind=\"b\",why=\"a\\\\b\\\"c\\nd\"} 1\n" +
            kNoneRefused + "0\n");

  Registry other;
  const std::array bounds{1.0};
  other.histograms("tayga_y_seconds", "Y.", {"kind"}, bounds, 8).with({"a"}).observe(0.5);
  CHECK(other.expose().find("tayga_y_seconds_bucket{kind=\"a\",le=\"1\"} 1\n") !=
        std::string::npos);
}

TEST_CASE("a family beyond its maximum refuses new series, counts that, and keeps the old ones") {
  Registry registry;
  auto& family = registry.gauges("tayga_x", "X.", {"kind"}, 2);
  family.with({"a"}).set(1);
  family.with({"b"}).set(2);
  family.with({"c"}).set(3);
  family.with({"d"}).set(4);
  family.with({"a"}).set(5);
  CHECK(registry.expose() ==
        "# HELP tayga_x X.\n# TYPE tayga_x gauge\ntayga_x{kind=\"a\"} 5\ntayga_x{kind=\"b\"} 2\n" +
            kNoneRefused + "2\n");
}

TEST_CASE("counts from many threads add up") {
  Registry registry;
  Counter& counter = registry.counter("tayga_n_total", "N.");
  Gauge& gauge = registry.gauge("tayga_g", "G.");
  Histogram& histogram = registry.histogram("tayga_h_seconds", "H.", latency_bounds());
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        counter.add();
        gauge.add(1);
        histogram.observe(1.0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(counter.value() == 4000);
  CHECK(gauge.value() == 4000);
  CHECK(histogram.sum() == 4000);
}

TEST_CASE("names follow the exposition format") {
  for (const char* good : {"a", "_a", "a:b", "A9_"}) CHECK(is_metric_name(good));
  for (const char* bad : {"", "9a", "a-b", "a b", "\xc3\xa9"}) CHECK_FALSE(is_metric_name(bad));
  for (const char* good : {"a", "_a", "A9"}) CHECK(is_label_name(good));
  for (const char* bad : {"", "9a", "a:b", "__a", "le"}) CHECK_FALSE(is_label_name(bad));
}

TEST_CASE("values are written shortest, and infinities by name") {
  CHECK(format_value(0) == "0");
  CHECK(format_value(1e21) == "1e+21");
  CHECK(format_value(0.1) == "0.1");
  CHECK(format_value(std::numeric_limits<double>::infinity()) == "+Inf");
  CHECK(format_value(-std::numeric_limits<double>::infinity()) == "-Inf");
  CHECK(format_value(std::nan("")) == "NaN");
}
