#pragma once

#include "common/base/bytes.hpp"

#include <cstdint>
#include <random>

namespace tayga::bench {

/// Makes first packets of QUIC v1 connections that nobody will go on with: each a whole, properly
/// protected Initial of 1200 bytes with its own connection ids and a TLS 1.3 ClientHello for ALPN
/// `tayga/1` (RFC 9000 17.2.2, RFC 9001 5). About 15 us each.
class InitialForge {
 public:
  explicit InitialForge(std::uint64_t seed) : random_{seed} {}
  [[nodiscard]] Bytes make();

 private:
  Bytes random_bytes(std::size_t size);
  Bytes client_hello(ByteView source_id);

  std::mt19937_64 random_;
};

}  // namespace tayga::bench
