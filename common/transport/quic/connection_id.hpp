#pragma once

#include "common/base/bytes.hpp"
#include "common/transport/quic/ngtcp2_shim.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tayga::transport::quic {

/// Ours all have this size. The first byte modulo the number of workers names the worker.
inline constexpr std::size_t kConnectionIdSize = 8;

/// A connection id as a key.
struct ConnectionId {
  std::array<std::uint8_t, NGTCP2_MAX_CIDLEN> bytes{};
  std::uint8_t size = 0;

  static ConnectionId from(const std::uint8_t* data, std::size_t size) noexcept {
    ConnectionId id;
    id.size = static_cast<std::uint8_t>(size < id.bytes.size() ? size : id.bytes.size());
    std::memcpy(id.bytes.data(), data, id.size);
    return id;
  }
  static ConnectionId from(const ngtcp2_cid& cid) noexcept { return from(cid.data, cid.datalen); }

  friend bool operator==(const ConnectionId&, const ConnectionId&) = default;
};

/// Ids that we chose are random. A stranger chooses the first one of its connection, so tables that
/// hold those are bounded by the limit of half-open handshakes.
struct ConnectionIdHash {
  std::size_t operator()(const ConnectionId& id) const noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, id.bytes.data(), sizeof word);
    return static_cast<std::size_t>((word * 0x9E3779B97F4A7C15ULL) >> 16U);
  }
};

}  // namespace tayga::transport::quic
