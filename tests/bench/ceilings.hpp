#pragma once

#include "tests/bench/process.hpp"

#include <boost/asio/ssl/context.hpp>

#include <cstdint>

namespace tayga::bench {

/// Ways to move bytes from one process to another, from nothing but the kernel's work upwards.
enum class Way : std::uint8_t {
  tcp_plain,       ///< send and recv
  tls_memory_bio,  ///< TLS 1.3, one send per 128 KiB
  tls_asio,        ///< asio::ssl::stream, 64 KiB a write
  udp_gso,         ///< datagrams of 1452 bytes, 44 a system call; the receiver takes GRO
  udp_gso_no_gro,  ///< the same to a receiver of single packets, as behind a network card
  udp_gso_cipher,  ///< udp_gso, each packet sealed with AES-128-GCM: a QUIC sender without QUIC
};

struct Throughput {
  double gbps = 0;  ///< payload that arrived
  double sender_core_s_per_gbit = 0;
  double receiver_core_s_per_gbit = 0;
  [[nodiscard]] boost::json::object to_json() const;
};

/// Runs a sender on cpu_for(0) and a receiver on cpu_for(1) for about `seconds`.
Throughput measure_way(Way way, double seconds);

enum class Sealing : std::uint8_t { packets, records };  ///< of 1400 bytes; of 16 KiB

/// AES-128-GCM alone, on cpu_for(0): Gbit/s of one core.
double measure_cipher_gbps(Sealing sealing, double seconds);

/// TLS 1.3 with AES-128-GCM and X25519 only, and a throw-away Ed25519 certificate; checks nobody.
enum class TlsEnd : std::uint8_t { client, server };
boost::asio::ssl::context make_plain_tls(TlsEnd end);

/// What one end of a Way reports of itself.
struct EndFigures {
  std::uint64_t bytes = 0;
  double seconds = 0;
  double cpu_s = 0;
  [[nodiscard]] boost::json::object to_json() const;
};
EndFigures send_asio_tls(std::uint16_t port, double seconds);
EndFigures receive_asio_tls(int listener);

}  // namespace tayga::bench
