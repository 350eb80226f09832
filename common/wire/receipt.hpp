#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/wire/allocation.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace tayga::wire {

//  off len field                                off len field
//    0  16 tag "tayga/rcpt/v1\0\0\0"             56   8 cum_chunks
//   16  16 alloc_id                              64   8 cum_late_bytes
//   32   8 network_id                            72   8 highest object id
//   40   4 seq, strictly rising                  80  32 possession answer, zero if unasked
//   44   4 flags, bit 0 final                   112  64 Ed25519 signature over bytes 0..111
//   48   8 cum_bytes
inline constexpr std::size_t kReceiptBodySize = 112;
inline constexpr std::size_t kReceiptSize = 176;
inline constexpr std::size_t kSettlementItemSize = kAllocationSize + kReceiptSize;  // 408

/// The receiver's signed running total under an allocation.
struct Receipt {
  AllocationId allocation;
  NetworkId network;
  std::uint32_t seq = 0;
  bool is_final = false;
  std::uint64_t cum_bytes = 0;   ///< verified payload received in time
  std::uint64_t cum_chunks = 0;  ///< the same, in chunks
  std::uint64_t cum_late_bytes = 0;
  ObjectId highest_object;
  std::array<std::byte, 32> possession{};
  friend bool operator==(const Receipt&, const Receipt&) = default;
};

using ReceiptBlob = std::array<std::byte, kReceiptSize>;
using SettlementItem =
    std::array<std::byte, kSettlementItemSize>;  ///< allocation blob, then receipt blob

/// The 112 bytes that are signed.
std::array<std::byte, kReceiptBodySize> serialize_receipt_body(const Receipt& receipt) noexcept;

/// Checks size, tag and unknown flags; NOT the signature. Errors as parse_allocation.
Result<Receipt> parse_receipt(ByteView blob) noexcept;

}  // namespace tayga::wire
