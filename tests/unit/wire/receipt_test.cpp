#include "common/wire/receipt.hpp"

#include "common/wire/wire_error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

namespace tayga::wire {
namespace {

Receipt random_receipt(test::SeededRandom& random) {
  Receipt r;
  r.allocation = random.id<AllocationId>();
  r.network = random.id<NetworkId>();
  r.seq = static_cast<std::uint32_t>(random.next());
  r.is_final = random.one_in(2);
  r.cum_bytes = random.next();
  r.cum_chunks = random.next();
  r.cum_late_bytes = random.next();
  r.highest_object = ObjectId{random.next()};
  for (std::byte& b : r.possession) b = static_cast<std::byte>(random.index(256));
  return r;
}

/// The body with an arbitrary signature: parsing does not look at it.
Bytes blob_of(const Receipt& receipt) {
  const auto body = serialize_receipt_body(receipt);
  Bytes blob{body.begin(), body.end()};
  blob.resize(kReceiptSize, std::byte{0x5a});
  return blob;
}

TEST_CASE("any receipt is read back as it was written") {
  TAYGA_SEEDED_RANDOM(random, 61);
  for (int i = 0; i < 500; ++i) {
    const Receipt receipt = random_receipt(random);
    const auto parsed = parse_receipt(blob_of(receipt));
    REQUIRE(parsed);
    CHECK(*parsed == receipt);
  }
}

TEST_CASE("a receipt of another size is refused") {
  Bytes blob = blob_of(Receipt{});
  for (std::size_t size = 0; size < kReceiptSize; ++size) {
    CHECK(parse_receipt(ByteView{blob}.first(size)).error() == WireErrc::truncated);
  }
  blob.push_back(std::byte{0});
  CHECK(parse_receipt(blob).error() == WireErrc::trailing_bytes);
}

TEST_CASE("a receipt with another tag or an unknown flag is refused") {
  const Bytes blob = blob_of(Receipt{});
  for (std::size_t bit = 0; bit < 16 * 8; ++bit) {
    Bytes bad = blob;
    bad[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    CHECK(parse_receipt(bad).error() == WireErrc::bad_tag);
  }
  for (unsigned bit = 1; bit < 32; ++bit) {
    Bytes bad = blob;
    bad[47 - bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    CHECK(parse_receipt(bad).error() == WireErrc::reserved_not_zero);
  }
}

}  // namespace
}  // namespace tayga::wire
