#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "common/base/ids.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/crypto/hash.hpp"

namespace tayga::media {

/// What the stream key signs to prove that `gateway` may publish under it:
//    0 16 tag "tayga/claim/v1\0\0" | 16 8 network_id | 24 32 gateway node id | 56 32 SHA-256(stream name)
inline constexpr std::size_t kPublishClaimSize = 88;

inline std::array<std::byte, kPublishClaimSize> serialize_publish_claim(
    const NetworkId& network, const NodeId& gateway, std::string_view stream_name) {
  constexpr std::string_view kTag{"tayga/claim/v1\0\0", 16};
  std::array<std::byte, kPublishClaimSize> out{};
  auto at = out.begin();
  const auto put = [&at](ByteView bytes) { at = std::copy(bytes.begin(), bytes.end(), at); };
  put(as_bytes(kTag));
  put(network.view());
  put(gateway.view());
  put(crypto::sha256(as_bytes(stream_name)));
  return out;
}

}  // namespace tayga::media
