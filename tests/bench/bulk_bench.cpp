#include "tests/bench/bench.hpp"
#include "tests/bench/ceilings.hpp"
#include "tests/bench/flow.hpp"
#include "tests/bench/other_programs.hpp"

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace tayga::bench {

boost::json::object bench_bulk(const Args& args);

namespace {

/// The best of several rounds: what disturbs a round only makes it slower.
struct Best {
  FlowFigures quic;
  FlowFigures tls;
  double asio = 0;
  double gtls = 0;
  double probe = 0;
};

void keep_best(FlowFigures& best, const FlowFigures& found) {
  if (found.gbps > best.gbps) best = found;
}

boost::json::object to_json(const FlowFigures& flow) {
  return {{"gbps", flow.gbps},
          {"sender_core_s_per_gbit", flow.sender_core_s_per_gbit},
          {"receiver_core_s_per_gbit", flow.receiver_core_s_per_gbit}};
}

}  // namespace

/// One session at full speed on each transport, beside what others reach in the same run: ngtcp2's
/// own example programs, asio::ssl::stream, and, with --probe PATH, any program that speaks
/// measure_probe_gbps()'s command line.
boost::json::object bench_bulk(const Args& args) {
  const double seconds = args.number("seconds", 2);
  const std::uint64_t rounds = args.count("rounds", 2);
  const std::uint64_t gtls_bytes = args.count("gtls-bytes", 256ULL << 20);
  const std::string probe = args.text("probe", "");
  TransportSetup quic = transport_from(args);
  if (seconds <= 0 || rounds == 0) {
    throw std::invalid_argument{"--seconds and --rounds are above zero"};
  }
  quic.kind = transport::Kind::quic;
  TransportSetup tls = quic;
  tls.kind = transport::Kind::tcp;
  if (usable_cpus().size() < 2) std::printf("only one CPU: both ends share it\n");

  Best best;
  bool has_gtls = true;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    keep_best(best.quic, measure_flow(quic, seconds));
    if (!probe.empty()) best.probe = std::max(best.probe, measure_probe_gbps(probe, seconds));
    const auto gtls = has_gtls ? measure_gtls_gbps(gtls_bytes) : std::nullopt;
    has_gtls = gtls.has_value();
    if (gtls) best.gtls = std::max(best.gtls, *gtls);
    keep_best(best.tls, measure_flow(tls, seconds));
    best.asio = std::max(best.asio, measure_way(Way::tls_asio, seconds).gbps);
  }

  std::printf("QUIC   %6.2f Gbit/s   sender %.3f, receiver %.3f core-s per Gbit\n", best.quic.gbps,
              best.quic.sender_core_s_per_gbit, best.quic.receiver_core_s_per_gbit);
  std::printf("TLS    %6.2f Gbit/s   sender %.3f, receiver %.3f core-s per Gbit\n", best.tls.gbps,
              best.tls.sender_core_s_per_gbit, best.tls.receiver_core_s_per_gbit);
  std::printf("asio::ssl::stream %.2f Gbit/s: TLS has %.2f times that\n", best.asio,
              best.tls.gbps / best.asio);
  boost::json::object figures{{"bench", "bulk"},
                              {"cpus", usable_cpus().size()},
                              {"quic", to_json(best.quic)},
                              {"tls", to_json(best.tls)},
                              {"asio_gbps", best.asio},
                              {"tls_vs_asio", best.tls.gbps / best.asio}};
  if (has_gtls) {
    std::printf("gtlsserver to gtlsclient %.2f Gbit/s: QUIC has %.2f times that\n", best.gtls,
                best.quic.gbps / best.gtls);
    figures["gtls_gbps"] = best.gtls;
    figures["quic_vs_gtls"] = best.quic.gbps / best.gtls;
  } else {
    std::printf(
        "SKIPPED: gtlsserver and gtlsclient are not installed (Debian packages "
        "ngtcp2-server, ngtcp2-client): no quic_vs_gtls\n");
  }
  if (!probe.empty()) {
    std::printf("the probe %.2f Gbit/s: QUIC has %.2f times that\n", best.probe,
                best.quic.gbps / best.probe);
    figures["probe_gbps"] = best.probe;
    figures["quic_vs_probe"] = best.quic.gbps / best.probe;
  }
  return figures;
}

}  // namespace tayga::bench
