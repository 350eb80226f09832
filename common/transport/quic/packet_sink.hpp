#pragma once

#include "common/transport/quic/udp_address.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace tayga::transport::quic {

/// Takes the packets that connections write, so that many leave in few system calls.
class PacketSink {
 public:
  /// Room for one packet of up to `size` bytes (<= kUdpPayloadMax); valid until commit().
  virtual std::span<std::uint8_t> reserve(std::size_t size) = 0;
  /// The first `size` bytes of what was reserved are a packet for `path`.
  virtual void commit(std::size_t size, const UdpPath& path) = 0;
  /// The kernel takes nothing now: write no more until told.
  [[nodiscard]] virtual bool blocked() const noexcept = 0;

 protected:
  ~PacketSink() = default;
};

inline constexpr std::size_t kUdpPayloadMax = 1500;

}  // namespace tayga::transport::quic
