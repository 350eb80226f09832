#include "common/media/receipts.hpp"

#include "common/wire/wire_error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <algorithm>

namespace tayga::media {
namespace {

using crypto::SigningKey;
using wire::WireErrc;

struct Parties {
  SigningKey orchestrator = SigningKey::generate();
  SigningKey sender = SigningKey::generate();
  SigningKey receiver = SigningKey::generate();

  [[nodiscard]] wire::Allocation allocation(test::SeededRandom& random) const {
    wire::Allocation a;
    a.epoch = 7;
    a.id = random.id<AllocationId>();
    a.network = random.id<NetworkId>();
    a.sender = sender.node_id();
    a.receiver = receiver.node_id();
    a.stripe_mask = 1;
    a.not_before_ms = 1'000;
    a.not_after_ms = 601'000;
    a.max_bytes = 1 << 20;
    return a;
  }
};

wire::Receipt receipt_for(const wire::Allocation& allocation) {
  wire::Receipt r;
  r.allocation = allocation.id;
  r.network = allocation.network;
  r.seq = 1;
  r.cum_bytes = 4096;
  r.cum_chunks = 1;
  return r;
}

TEST_CASE("an allocation verifies with the key that signed it and no other") {
  TAYGA_SEEDED_RANDOM(random, 91);
  const Parties p;
  const wire::Allocation allocation = p.allocation(random);
  const wire::AllocationBlob blob = sign_allocation(allocation, p.orchestrator);
  REQUIRE(verify_allocation(blob, p.orchestrator.public_key()));
  CHECK(*verify_allocation(blob, p.orchestrator.public_key()) == allocation);
  CHECK(verify_allocation(blob, p.sender.public_key()).error() == WireErrc::bad_signature);
}

TEST_CASE("a receipt verifies with the receiver that its allocation names") {
  TAYGA_SEEDED_RANDOM(random, 92);
  const Parties p;
  const wire::Allocation allocation = p.allocation(random);
  const wire::Receipt receipt = receipt_for(allocation);
  REQUIRE(verify_receipt(sign_receipt(receipt, p.receiver), allocation));
  CHECK(*verify_receipt(sign_receipt(receipt, p.receiver), allocation) == receipt);
  // The sender cannot write its own.
  CHECK(verify_receipt(sign_receipt(receipt, p.sender), allocation).error() ==
        WireErrc::bad_signature);
}

TEST_CASE("a receipt of another allocation or network is refused though its signature is good") {
  TAYGA_SEEDED_RANDOM(random, 93);
  const Parties p;
  const wire::Allocation allocation = p.allocation(random);
  wire::Receipt receipt = receipt_for(allocation);
  receipt.allocation = random.id<AllocationId>();
  CHECK(verify_receipt(sign_receipt(receipt, p.receiver), allocation).error() ==
        WireErrc::bad_field);
  receipt = receipt_for(allocation);
  receipt.network = random.id<NetworkId>();
  CHECK(verify_receipt(sign_receipt(receipt, p.receiver), allocation).error() ==
        WireErrc::bad_field);
}

TEST_CASE("a bit flipped anywhere in an allocation, receipt or online key is caught") {
  TAYGA_SEEDED_RANDOM(random, 94);
  const Parties p;
  const wire::Allocation allocation = p.allocation(random);
  const wire::AllocationBlob allocation_blob = sign_allocation(allocation, p.orchestrator);
  const wire::ReceiptBlob receipt_blob = sign_receipt(receipt_for(allocation), p.receiver);
  for (std::size_t bit = 0; bit < allocation_blob.size() * 8; ++bit) {
    wire::AllocationBlob bad = allocation_blob;
    bad[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    CHECK_FALSE(verify_allocation(bad, p.orchestrator.public_key()).has_value());
  }
  for (std::size_t bit = 0; bit < receipt_blob.size() * 8; ++bit) {
    wire::ReceiptBlob bad = receipt_blob;
    bad[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    CHECK_FALSE(verify_receipt(bad, allocation).has_value());
  }
}

TEST_CASE("a settlement item is the allocation followed by the receipt") {
  TAYGA_SEEDED_RANDOM(random, 95);
  const Parties p;
  const wire::Allocation allocation = p.allocation(random);
  const wire::AllocationBlob allocation_blob = sign_allocation(allocation, p.orchestrator);
  const wire::ReceiptBlob receipt_blob = sign_receipt(receipt_for(allocation), p.receiver);
  const wire::SettlementItem item = make_settlement_item(allocation_blob, receipt_blob);
  CHECK(std::ranges::equal(ByteView{item}.first(wire::kAllocationSize), allocation_blob));
  CHECK(std::ranges::equal(ByteView{item}.subspan(wire::kAllocationSize), receipt_blob));
}

struct OnlineKeyCase {
  SigningKey root = SigningKey::generate();
  SigningKey online = SigningKey::generate();
  OnlineKey key;

  explicit OnlineKeyCase(test::SeededRandom& random) {
    key.key_id = 9;
    key.not_before_ms = 5'000;
    key.not_after_ms = 5'000 + kOnlineKeyTermMaxMs;
    key.network = random.id<NetworkId>();
    key.key = online.public_key();
    key.root = root.public_key();
  }
  [[nodiscard]] Result<OnlineKey> verified(const OnlineKey& signed_key) const {
    return verify_online_key(sign_online_key(signed_key, root), root.public_key(), key.network);
  }
};

TEST_CASE("an online key verifies under its root and network") {
  TAYGA_SEEDED_RANDOM(random, 96);
  const OnlineKeyCase c{random};
  REQUIRE(c.verified(c.key));
  CHECK(*c.verified(c.key) == c.key);
}

TEST_CASE("an online key with too long a term, another root, network or signer is refused") {
  TAYGA_SEEDED_RANDOM(random, 97);
  const OnlineKeyCase c{random};
  OnlineKey key = c.key;
  key.not_after_ms += 1;
  CHECK(c.verified(key).error() == WireErrc::bad_field);
  key = c.key;
  key.not_after_ms = key.not_before_ms - 1;
  CHECK(c.verified(key).error() == WireErrc::bad_field);
  key = c.key;
  key.root = c.online.public_key();
  CHECK(c.verified(key).error() == WireErrc::bad_field);
  key = c.key;
  key.network = random.id<NetworkId>();
  CHECK(c.verified(key).error() == WireErrc::bad_field);
  CHECK(verify_online_key(sign_online_key(c.key, c.online), c.key.root, c.key.network).error() ==
        WireErrc::bad_signature);
}

TEST_CASE("an online key of another size, tag or version is refused, and any flipped bit caught") {
  TAYGA_SEEDED_RANDOM(random, 98);
  const OnlineKeyCase c{random};
  const OnlineKeyBlob blob = sign_online_key(c.key, c.root);
  CHECK(parse_online_key(ByteView{blob}.first(kOnlineKeySize - 1)).error() == WireErrc::truncated);
  Bytes longer{blob.begin(), blob.end()};
  longer.push_back(std::byte{0});
  CHECK(parse_online_key(longer).error() == WireErrc::trailing_bytes);
  for (std::size_t bit = 0; bit < blob.size() * 8; ++bit) {
    OnlineKeyBlob bad = blob;
    bad[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    CHECK_FALSE(verify_online_key(bad, c.key.root, c.key.network).has_value());
    if (bit / 8 < 16) CHECK(parse_online_key(bad).error() == WireErrc::bad_tag);
    if (bit / 8 >= 16 && bit / 8 < 20) {
      CHECK(parse_online_key(bad).error() == WireErrc::bad_version);
    }
  }
}

}  // namespace
}  // namespace tayga::media
