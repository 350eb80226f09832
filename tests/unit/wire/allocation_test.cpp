#include "common/wire/allocation.hpp"

#include "common/base/encoding.hpp"
#include "common/wire/wire_error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <algorithm>
#include <limits>

namespace tayga::wire {
namespace {

Allocation random_allocation(test::SeededRandom& random) {
  Allocation a;
  a.epoch = static_cast<std::uint32_t>(random.next());
  a.id = random.id<AllocationId>();
  a.network = random.id<NetworkId>();
  a.sender = random.id<NodeId>();
  a.receiver = random.id<NodeId>();
  a.stream_handle = random.id<StreamHandle>();
  a.stripe_mask = static_cast<std::uint32_t>(random.next());
  a.max_kbps = static_cast<std::uint32_t>(random.next());
  a.not_before_ms = static_cast<std::int64_t>(random.between(0, 1ULL << 62));
  a.not_after_ms = a.not_before_ms + static_cast<std::int64_t>(random.between(0, 600'000));
  a.max_bytes = random.next();
  a.key_id = static_cast<std::uint32_t>(random.next());
  return a;
}

/// The body with an arbitrary signature: parsing does not look at it.
Bytes blob_of(const Allocation& allocation) {
  const auto body = serialize_allocation_body(allocation);
  Bytes blob{body.begin(), body.end()};
  blob.resize(kAllocationSize, std::byte{0x5a});
  return blob;
}

TEST_CASE("any allocation is read back as it was written") {
  TAYGA_SEEDED_RANDOM(random, 51);
  for (int i = 0; i < 500; ++i) {
    const Allocation allocation = random_allocation(random);
    const auto parsed = parse_allocation(blob_of(allocation));
    REQUIRE(parsed);
    CHECK(*parsed == allocation);
  }
}

TEST_CASE("an allocation of another size is refused") {
  TAYGA_SEEDED_RANDOM(random, 52);
  Bytes blob = blob_of(random_allocation(random));
  for (std::size_t size = 0; size < kAllocationSize; ++size) {
    CHECK(parse_allocation(ByteView{blob}.first(size)).error() == WireErrc::truncated);
  }
  blob.push_back(std::byte{0});
  CHECK(parse_allocation(blob).error() == WireErrc::trailing_bytes);
}

TEST_CASE("an allocation with another tag, version or a reserved bit set is refused") {
  TAYGA_SEEDED_RANDOM(random, 53);
  const Bytes blob = blob_of(random_allocation(random));
  const auto error_with_bit = [&](std::size_t at, unsigned bit) {
    Bytes bad = blob;
    bad[at] ^= static_cast<std::byte>(1U << bit);
    return parse_allocation(bad).error();
  };
  for (unsigned bit = 0; bit < 8; ++bit) {
    for (std::size_t at = 0; at < 16; ++at) CHECK(error_with_bit(at, bit) == WireErrc::bad_tag);
    CHECK(error_with_bit(16, bit) == WireErrc::bad_version);
    for (const std::size_t at : {17U, 18U, 19U, 164U, 165U, 166U, 167U}) {
      CHECK(error_with_bit(at, bit) == WireErrc::reserved_not_zero);
    }
  }
}

TEST_CASE("an allocation that ends before it begins, or at an impossible time, is refused") {
  Allocation allocation;
  allocation.not_before_ms = 1000;
  allocation.not_after_ms = 999;
  CHECK(parse_allocation(blob_of(allocation)).error() == WireErrc::bad_field);
  allocation.not_after_ms = 1000;
  CHECK(parse_allocation(blob_of(allocation)).has_value());
  allocation.not_after_ms = -1;  // 2^64 - 1 on the wire
  CHECK(parse_allocation(blob_of(allocation)).error() == WireErrc::bad_field);
  allocation.not_after_ms = std::numeric_limits<std::int64_t>::max();
  CHECK(parse_allocation(blob_of(allocation)).has_value());
}

}  // namespace
}  // namespace tayga::wire
