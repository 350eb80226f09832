#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/base/result.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace tayga::wire {

//  off len field                          off len field
//    0  16 tag "tayga/alloc/v1\0\0"       112  16 stream_handle
//   16   1 version = 1                    128   4 stripe_mask
//   17   1 flags = 0                      132   4 max_kbps
//   18   2 reserved = 0                   136   8 not_before_ms
//   20   4 epoch                          144   8 not_after_ms
//   24  16 alloc_id                       152   8 max_bytes
//   40   8 network_id                     160   4 key_id
//   48  32 sender                         164   4 reserved = 0
//   80  32 receiver                       168  64 Ed25519 signature over bytes 0..167
inline constexpr std::size_t kAllocationBodySize = 168;
inline constexpr std::size_t kAllocationSize = 232;

/// The orchestrator's signed permission and cap for one sender -> receiver link of one stream.
struct Allocation {
  std::uint32_t epoch = 0;  ///< accounting epoch
  AllocationId id;
  NetworkId network;
  NodeId sender;
  NodeId receiver;
  StreamHandle stream_handle;
  std::uint32_t stripe_mask = 0;  ///< bit s = stripe s may be sent
  std::uint32_t max_kbps = 0;
  std::int64_t not_before_ms = 0;  ///< Unix milliseconds
  std::int64_t not_after_ms = 0;
  std::uint64_t max_bytes = 0;
  std::uint32_t key_id = 0;  ///< which online key signed
  friend bool operator==(const Allocation&, const Allocation&) = default;
};

using AllocationBlob = std::array<std::byte, kAllocationSize>;

/// The 168 bytes that are signed.
std::array<std::byte, kAllocationBodySize> serialize_allocation_body(
    const Allocation& allocation) noexcept;

/// Checks size, tag, version, zero fields and that not_before <= not_after; NOT the signature (see
/// common/media/receipts.hpp, verify_allocation). Errors: truncated, trailing_bytes, bad_tag,
/// bad_version, reserved_not_zero, bad_field.
Result<Allocation> parse_allocation(ByteView blob) noexcept;

}  // namespace tayga::wire
