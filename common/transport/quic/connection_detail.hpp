#pragma once

#include "common/transport/quic/frame_tally.hpp"
#include "common/transport/quic/ngtcp2_shim.hpp"
#include "common/transport/quic/udp_address.hpp"

#include <cstdint>

/// What the parts of Connection share; nobody else includes it.
namespace tayga::transport::quic {

/// What was authentic of the datagram that is read now: the library's decrypt callback has no
/// pointer of ours, and the library says nothing of packets that it drops, or of most frames.
struct Decrypted {
  bool any = false;
  FrameTally frames;
};
inline thread_local Decrypted decrypted;

inline std::uint64_t to_ns(Duration d) noexcept {
  return static_cast<std::uint64_t>(d.count()) * 1000U;
}

inline ngtcp2_path to_path(UdpPath& path) noexcept {
  return {
      {path.local.data(), path.local.size()}, {path.remote.data(), path.remote.size()}, nullptr};
}

}  // namespace tayga::transport::quic
