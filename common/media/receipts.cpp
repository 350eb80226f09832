#include "common/media/receipts.hpp"

#include "common/wire/big_endian.hpp"
#include "common/wire/wire_error.hpp"

#include <algorithm>
#include <limits>
#include <string_view>

namespace tayga::media {
namespace {

using namespace std::string_view_literals;
using wire::WireErrc;

constexpr std::string_view kOnlineKeyTag = "tayga/okey/v1\0\0\0"sv;
static_assert(kOnlineKeyTag.size() == 16);
constexpr std::uint32_t kOnlineKeyVersion = 1;
constexpr std::uint64_t kTimeMax = std::numeric_limits<std::int64_t>::max();

/// The signed part, then its signature: the shape of every blob here.
template <std::size_t BlobSize, std::size_t BodySize>
std::array<std::byte, BlobSize> with_signature(const std::array<std::byte, BodySize>& body,
                                               const crypto::SigningKey& key) {
  static_assert(BlobSize == BodySize + sizeof(crypto::Signature));
  std::array<std::byte, BlobSize> blob;
  wire::Writer out{blob};
  out.raw(body);
  out.raw(key.sign(body));
  return blob;
}

bool is_signed_by(ByteView blob, std::size_t body_size, const crypto::PublicKey& key) noexcept {
  return crypto::verify(key, blob.first(body_size), blob.subspan(body_size));
}

}  // namespace

wire::AllocationBlob sign_allocation(const wire::Allocation& allocation,
                                     const crypto::SigningKey& online_key) {
  return with_signature<wire::kAllocationSize>(wire::serialize_allocation_body(allocation),
                                               online_key);
}

Result<wire::Allocation> verify_allocation(ByteView blob, const crypto::PublicKey& online_key) {
  Result<wire::Allocation> allocation = wire::parse_allocation(blob);
  if (!allocation) return allocation.error();
  if (!is_signed_by(blob, wire::kAllocationBodySize, online_key)) return WireErrc::bad_signature;
  return allocation;
}

wire::ReceiptBlob sign_receipt(const wire::Receipt& receipt,
                               const crypto::SigningKey& receiver_key) {
  return with_signature<wire::kReceiptSize>(wire::serialize_receipt_body(receipt), receiver_key);
}

Result<wire::Receipt> verify_receipt(ByteView blob, const wire::Allocation& allocation) {
  Result<wire::Receipt> receipt = wire::parse_receipt(blob);
  if (!receipt) return receipt.error();
  if (receipt->allocation != allocation.id || receipt->network != allocation.network) {
    return WireErrc::bad_field;
  }
  if (!is_signed_by(blob, wire::kReceiptBodySize, allocation.receiver.bytes)) {
    return WireErrc::bad_signature;
  }
  return receipt;
}

wire::SettlementItem make_settlement_item(const wire::AllocationBlob& allocation,
                                          const wire::ReceiptBlob& receipt) {
  wire::SettlementItem item;
  wire::Writer out{item};
  out.raw(allocation);
  out.raw(receipt);
  return item;
}

std::array<std::byte, kOnlineKeyBodySize> serialize_online_key_body(const OnlineKey& key) noexcept {
  std::array<std::byte, kOnlineKeyBodySize> body{};
  wire::Writer out{body};
  out.raw(as_bytes(kOnlineKeyTag));
  out.integer(kOnlineKeyVersion);
  out.integer(key.key_id);
  out.integer(static_cast<std::uint64_t>(key.not_before_ms));
  out.integer(static_cast<std::uint64_t>(key.not_after_ms));
  out.raw(key.network.view());
  out.raw(key.key);
  out.raw(key.root);
  TAYGA_CHECK(out.used() == body.size());
  return body;
}

OnlineKeyBlob sign_online_key(const OnlineKey& online_key, const crypto::SigningKey& root_key) {
  return with_signature<kOnlineKeySize>(serialize_online_key_body(online_key), root_key);
}

Result<OnlineKey> parse_online_key(ByteView blob) noexcept {
  if (blob.size() < kOnlineKeySize) return WireErrc::truncated;
  if (blob.size() > kOnlineKeySize) return WireErrc::trailing_bytes;
  wire::Reader in{blob};
  if (as_text(in.raw(kOnlineKeyTag.size())) != kOnlineKeyTag) return WireErrc::bad_tag;
  if (in.integer<std::uint32_t>() != kOnlineKeyVersion) return WireErrc::bad_version;
  OnlineKey key;
  key.key_id = in.integer<std::uint32_t>();
  const auto not_before = in.integer<std::uint64_t>();
  const auto not_after = in.integer<std::uint64_t>();
  if (not_before > not_after || not_after > kTimeMax) return WireErrc::bad_field;
  if (not_after - not_before > static_cast<std::uint64_t>(kOnlineKeyTermMaxMs)) {
    return WireErrc::bad_field;
  }
  key.not_before_ms = static_cast<std::int64_t>(not_before);
  key.not_after_ms = static_cast<std::int64_t>(not_after);
  key.network = in.id<NetworkId>();
  std::ranges::copy(in.raw(key.key.size()), key.key.begin());
  std::ranges::copy(in.raw(key.root.size()), key.root.begin());
  return key;
}

Result<OnlineKey> verify_online_key(ByteView blob, const crypto::PublicKey& root,
                                    const NetworkId& network) {
  Result<OnlineKey> key = parse_online_key(blob);
  if (!key) return key.error();
  if (key->root != root || key->network != network) return WireErrc::bad_field;
  if (!is_signed_by(blob, kOnlineKeyBodySize, root)) return WireErrc::bad_signature;
  return key;
}

}  // namespace tayga::media
