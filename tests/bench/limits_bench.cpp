#include "tests/bench/bench.hpp"
#include "tests/bench/ceilings.hpp"

#include <cstdio>
#include <stdexcept>
#include <utility>

namespace tayga::bench {

boost::json::object bench_limits(const Args& args);

/// What this machine can do at most, each figure from the same run: a bench's own figures are read
/// as ratios to these.
boost::json::object bench_limits(const Args& args) {
  const double seconds = args.number("seconds", 1);
  if (seconds <= 0) throw std::invalid_argument{"--seconds must be above zero"};
  constexpr std::array<std::pair<const char*, Way>, 6> kWays{{
      {"tcp_plain", Way::tcp_plain},
      {"tls_memory_bio", Way::tls_memory_bio},
      {"tls_asio_stream", Way::tls_asio},
      {"udp_gso", Way::udp_gso},
      {"udp_gso_no_gro", Way::udp_gso_no_gro},
      {"udp_gso_cipher", Way::udp_gso_cipher},
  }};
  boost::json::object figures{{"bench", "limits"}, {"cpus", usable_cpus().size()}};
  if (usable_cpus().size() < 2) std::printf("only one CPU: both ends share it\n");
  for (const auto& [name, way] : kWays) {
    const Throughput found = measure_way(way, seconds);
    std::printf("%-16s %7.2f Gbit/s   sender %.3f, receiver %.3f core-s per Gbit\n", name,
                found.gbps, found.sender_core_s_per_gbit, found.receiver_core_s_per_gbit);
    figures[name] = found.to_json();
  }
  constexpr std::array<std::pair<const char*, Sealing>, 2> kSealings{{
      {"cipher_packets", Sealing::packets},
      {"cipher_records", Sealing::records},
  }};
  for (const auto& [name, sealing] : kSealings) {
    const double gbps = measure_cipher_gbps(sealing, seconds);
    std::printf("%-16s %7.2f Gbit/s of one core, %.3f core-s per Gbit\n", name, gbps, 1 / gbps);
    figures[name] = boost::json::object{{"gbps", gbps}, {"core_s_per_gbit", 1 / gbps}};
  }
  return figures;
}

}  // namespace tayga::bench
