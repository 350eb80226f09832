#include "common/wire/allocation.hpp"

#include "common/wire/big_endian.hpp"
#include "common/wire/wire_error.hpp"

#include <limits>
#include <string_view>

namespace tayga::wire {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kTag = "tayga/alloc/v1\0\0"sv;
static_assert(kTag.size() == 16);
constexpr std::uint8_t kVersion = 1;
constexpr std::uint64_t kTimeMax = std::numeric_limits<std::int64_t>::max();

}  // namespace

std::array<std::byte, kAllocationBodySize> serialize_allocation_body(
    const Allocation& allocation) noexcept {
  std::array<std::byte, kAllocationBodySize> body{};
  Writer out{body};
  out.raw(as_bytes(kTag));
  out.integer(kVersion);
  out.integer(std::uint8_t{0});   // flags
  out.integer(std::uint16_t{0});  // reserved
  out.integer(allocation.epoch);
  out.raw(allocation.id.view());
  out.raw(allocation.network.view());
  out.raw(allocation.sender.view());
  out.raw(allocation.receiver.view());
  out.raw(allocation.stream_handle.view());
  out.integer(allocation.stripe_mask);
  out.integer(allocation.max_kbps);
  out.integer(static_cast<std::uint64_t>(allocation.not_before_ms));
  out.integer(static_cast<std::uint64_t>(allocation.not_after_ms));
  out.integer(allocation.max_bytes);
  out.integer(allocation.key_id);
  out.integer(std::uint32_t{0});  // reserved
  TAYGA_CHECK(out.used() == body.size());
  return body;
}

Result<Allocation> parse_allocation(ByteView blob) noexcept {
  if (blob.size() < kAllocationSize) return WireErrc::truncated;
  if (blob.size() > kAllocationSize) return WireErrc::trailing_bytes;
  Reader in{blob};
  if (as_text(in.raw(kTag.size())) != kTag) return WireErrc::bad_tag;
  if (in.integer<std::uint8_t>() != kVersion) return WireErrc::bad_version;
  if (in.integer<std::uint8_t>() != 0) return WireErrc::reserved_not_zero;  // flags
  if (in.integer<std::uint16_t>() != 0) return WireErrc::reserved_not_zero;
  Allocation allocation;
  allocation.epoch = in.integer<std::uint32_t>();
  allocation.id = in.id<AllocationId>();
  allocation.network = in.id<NetworkId>();
  allocation.sender = in.id<NodeId>();
  allocation.receiver = in.id<NodeId>();
  allocation.stream_handle = in.id<StreamHandle>();
  allocation.stripe_mask = in.integer<std::uint32_t>();
  allocation.max_kbps = in.integer<std::uint32_t>();
  const auto not_before = in.integer<std::uint64_t>();
  const auto not_after = in.integer<std::uint64_t>();
  if (not_before > not_after || not_after > kTimeMax) return WireErrc::bad_field;
  allocation.not_before_ms = static_cast<std::int64_t>(not_before);
  allocation.not_after_ms = static_cast<std::int64_t>(not_after);
  allocation.max_bytes = in.integer<std::uint64_t>();
  allocation.key_id = in.integer<std::uint32_t>();
  if (in.integer<std::uint32_t>() != 0) return WireErrc::reserved_not_zero;
  return allocation;
}

}  // namespace tayga::wire
