#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tayga::bench {

/// Gbit/s of one download of `bytes` by gtlsclient from gtlsserver (ngtcp2's own examples, Debian
/// packages ngtcp2-client and ngtcp2-server), each pinned to a CPU as ours are; what starting them
/// and the handshake take is measured and taken off. nullopt: not installed.
std::optional<double> measure_gtls_gbps(std::uint64_t bytes);

/// Gbit/s of another program that measures one flow:
///   PATH server -port P -cpu N              ends when its client has
///   PATH client -port P -cpu N -secs S      says "... X Gbit/s ..." and ends
/// The sender is the client, on cpu_for(0). Throws std::runtime_error when it does not.
double measure_probe_gbps(const std::string& path, double seconds);

}  // namespace tayga::bench
