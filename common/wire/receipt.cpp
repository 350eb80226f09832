#include "common/wire/receipt.hpp"

#include "common/wire/big_endian.hpp"
#include "common/wire/wire_error.hpp"

#include <algorithm>
#include <string_view>

namespace tayga::wire {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kTag = "tayga/rcpt/v1\0\0\0"sv;
static_assert(kTag.size() == 16);
constexpr std::uint32_t kFlagFinal = 1;

}  // namespace

std::array<std::byte, kReceiptBodySize> serialize_receipt_body(const Receipt& receipt) noexcept {
  std::array<std::byte, kReceiptBodySize> body{};
  Writer out{body};
  out.raw(as_bytes(kTag));
  out.raw(receipt.allocation.view());
  out.raw(receipt.network.view());
  out.integer(receipt.seq);
  out.integer(receipt.is_final ? kFlagFinal : 0U);
  out.integer(receipt.cum_bytes);
  out.integer(receipt.cum_chunks);
  out.integer(receipt.cum_late_bytes);
  out.integer(receipt.highest_object.value());
  out.raw(receipt.possession);
  TAYGA_CHECK(out.used() == body.size());
  return body;
}

Result<Receipt> parse_receipt(ByteView blob) noexcept {
  if (blob.size() < kReceiptSize) return WireErrc::truncated;
  if (blob.size() > kReceiptSize) return WireErrc::trailing_bytes;
  Reader in{blob};
  if (as_text(in.raw(kTag.size())) != kTag) return WireErrc::bad_tag;
  Receipt receipt;
  receipt.allocation = in.id<AllocationId>();
  receipt.network = in.id<NetworkId>();
  receipt.seq = in.integer<std::uint32_t>();
  const auto flags = in.integer<std::uint32_t>();
  if ((flags & ~kFlagFinal) != 0) return WireErrc::reserved_not_zero;
  receipt.is_final = flags != 0;
  receipt.cum_bytes = in.integer<std::uint64_t>();
  receipt.cum_chunks = in.integer<std::uint64_t>();
  receipt.cum_late_bytes = in.integer<std::uint64_t>();
  receipt.highest_object = ObjectId{in.integer<std::uint64_t>()};
  std::ranges::copy(in.raw(receipt.possession.size()), receipt.possession.begin());
  return receipt;
}

}  // namespace tayga::wire
