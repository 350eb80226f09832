#pragma once

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/wire/allocation.hpp"
#include "common/wire/receipt.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace tayga::media {

/// Signs with the orchestrator's online key.
wire::AllocationBlob sign_allocation(const wire::Allocation& allocation,
                                     const crypto::SigningKey& online_key);
/// Parses and verifies: the parse errors of wire::parse_allocation, then bad_signature.
Result<wire::Allocation> verify_allocation(ByteView blob, const crypto::PublicKey& online_key);

/// Signs with the receiver's node key.
wire::ReceiptBlob sign_receipt(const wire::Receipt& receipt,
                               const crypto::SigningKey& receiver_key);
/// Parses and verifies against the allocation that it names. Errors: those of wire::parse_receipt;
/// bad_field when alloc_id or network differ from the allocation's; then bad_signature.
Result<wire::Receipt> verify_receipt(ByteView blob, const wire::Allocation& allocation);

wire::SettlementItem make_settlement_item(const wire::AllocationBlob& allocation,
                                          const wire::ReceiptBlob& receipt);

//  Online key certificate, 112 B signed by the network root key + 64 B:
//    0  16 tag "tayga/okey/v1\0\0\0"   20   4 key_id            32   8 not_after_ms   48  32 online
//    key
//   16   4 version = 1                 24   8 not_before_ms     40   8 network_id     80  32 root
//   key
inline constexpr std::size_t kOnlineKeyBodySize = 112;
inline constexpr std::size_t kOnlineKeySize = 176;
inline constexpr std::int64_t kOnlineKeyTermMaxMs = 30LL * 24 * 3600 * 1000;
struct OnlineKey {
  std::uint32_t key_id = 0;
  std::int64_t not_before_ms = 0;
  std::int64_t not_after_ms = 0;
  NetworkId network;
  crypto::PublicKey key{};
  crypto::PublicKey root{};
  friend bool operator==(const OnlineKey&, const OnlineKey&) = default;
};
using OnlineKeyBlob = std::array<std::byte, kOnlineKeySize>;
/// The 112 bytes that are signed.
std::array<std::byte, kOnlineKeyBodySize> serialize_online_key_body(const OnlineKey& key) noexcept;
OnlineKeyBlob sign_online_key(const OnlineKey& online_key, const crypto::SigningKey& root_key);
/// Checks the layout and that the term is at most kOnlineKeyTermMaxMs (bad_field); NOT the
/// signature.
Result<OnlineKey> parse_online_key(ByteView blob) noexcept;
/// Also refuses a term above kOnlineKeyTermMaxMs (bad_field), another root or another network
/// (bad_field), then bad_signature. The caller compares not_before_ms and not_after_ms with its
/// clock.
Result<OnlineKey> verify_online_key(ByteView blob, const crypto::PublicKey& root,
                                    const NetworkId& network);

}  // namespace tayga::media
