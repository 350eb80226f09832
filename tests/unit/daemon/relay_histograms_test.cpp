#include "daemon/relay_histograms.hpp"

#include "tests/support/catch.hpp"

#include <string>

using namespace tayga;

namespace {

relay::Relay::Repaired repaired(Duration gap) {
  relay::Relay::Repaired out{};
  out.gap = gap;
  return out;
}

}  // namespace

TEST_CASE("repairs are measured per stream, and told over all of them") {
  metrics::Registry registry;
  RelayHistograms histograms{registry};
  for (int i = 0; i < 98; ++i) histograms.on_repaired(repaired(60ms), "tv");
  histograms.on_repaired(repaired(180ms), "radio");
  histograms.on_repaired(repaired(190ms), "radio");
  const RelayHistograms::Distribution gap = histograms.repair_gap();
  CHECK(gap.count == 100);
  CHECK(gap.p50 > 50ms);
  CHECK(gap.p50 <= 75ms);
  CHECK(gap.p99 > 150ms);
  CHECK(gap.p99 <= 190ms);
  CHECK(gap.max == 190ms);
  const std::string text = registry.expose();
  CHECK_THAT(text, test::contains("tayga_repair_gap_seconds_count{stream=\"tv\"} 98\n"));
  CHECK_THAT(text,
             test::contains("tayga_repair_gap_seconds_bucket{stream=\"radio\",le=\"0.15\"} 0\n"));
  CHECK_THAT(text, test::contains("tayga_repair_gap_seconds_count{stream=\"radio\"} 2\n"));
}

TEST_CASE("a node without repairs has no gaps") {
  metrics::Registry registry;
  const RelayHistograms::Distribution gap = RelayHistograms{registry}.repair_gap();
  CHECK(gap.count == 0);
  CHECK(gap.p50 == 0ms);
  CHECK(gap.max == 0ms);
}

TEST_CASE("a gap beyond the last bucket is still the longest") {
  metrics::Registry registry;
  RelayHistograms histograms{registry};
  histograms.on_repaired(repaired(7s), "tv");
  CHECK(histograms.repair_gap().max == 7s);
  CHECK(histograms.repair_gap().p99 == 5s);
}

TEST_CASE("stream names beyond the limit are counted into no series of their own") {
  metrics::Registry registry;
  RelayHistograms histograms{registry};
  const std::size_t max = relay::RelayLimits{}.streams_max;
  for (std::size_t i = 0; i <= max; ++i) {
    histograms.on_repaired(repaired(60ms), "stream-" + std::to_string(i));
  }
  CHECK_THAT(registry.expose(), test::contains("tayga_metrics_refused_series_total 1\n"));
}

TEST_CASE("silence until suspicion and the lateness of fed stripes are measured") {
  metrics::Registry registry;
  RelayHistograms histograms{registry};
  histograms.on_suspected({NodeId{}, 70ms});
  relay::StripeStatus fed{};
  fed.parent = NodeId{};
  fed.lateness = 90ms;
  histograms.sample_lateness({fed, relay::StripeStatus{}});
  const std::string text = registry.expose();
  CHECK_THAT(text, test::contains("tayga_detection_seconds_bucket{le=\"0.08\"} 1\n"));
  CHECK_THAT(text, test::contains("tayga_slice_lateness_seconds_bucket{le=\"0.05\"} 0\n"));
  CHECK_THAT(text, test::contains("tayga_slice_lateness_seconds_count 1\n"));
}

TEST_CASE("a stripe that nothing came for since the last sample is not counted again") {
  metrics::Registry registry;
  RelayHistograms histograms{registry};
  relay::StripeStatus stripe{};
  stripe.parent = NodeId{};
  stripe.lateness = 6s;
  stripe.next_seq = SliceSeq{4};
  histograms.sample_lateness({stripe});
  histograms.sample_lateness({stripe});
  CHECK_THAT(registry.expose(), test::contains("tayga_slice_lateness_seconds_count 1\n"));
  stripe.next_seq = SliceSeq{5};
  histograms.sample_lateness({stripe});
  CHECK_THAT(registry.expose(), test::contains("tayga_slice_lateness_seconds_count 2\n"));
}
