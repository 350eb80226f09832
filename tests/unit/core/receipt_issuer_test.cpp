#include "tests/support/catch.hpp"
#include "tests/unit/core/receipt_fixture.hpp"

#include <array>
#include <limits>

namespace tayga::relay {
namespace {

struct IssuerFixture : ReceiptFixture {
  ReceiptIssuer issuer{receiver};

  void allow(const wire::Allocation& a, Now now) { issuer.on_allocation(a, blob(a), now); }
  void present(const wire::Allocation& a) {
    issuer.on_presented(a.sender, a.stream_handle, blob(a));
  }
  void deliver(std::uint32_t bytes, Now now, bool in_time = true, std::uint64_t object = 0) {
    issuer.on_delivered({sender.node_id(), stream, ObjectId{object}, bytes, in_time}, now);
  }
  std::vector<wire::Receipt> receipts(const wire::Allocation& a) {
    std::vector<wire::Receipt> out;
    while (const auto issued = issuer.poll_receipt()) {
      CHECK(issued->sender == sender.node_id());
      const auto verified = media::verify_receipt(issued->blob, a);
      REQUIRE(verified.has_value());
      out.push_back(*verified);
    }
    return out;
  }
};

}  // namespace

TEST_CASE_METHOD(IssuerFixture, "a receipt is due one second after the first unacknowledged byte") {
  const auto a = allocation(1);
  allow(a, at(0s));
  CHECK(issuer.next_timeout() == std::nullopt);
  deliver(4096, at(100ms), true, 5);
  deliver(1000, at(900ms), true, 4);
  CHECK(issuer.next_timeout() == at(1100ms).mono);
  issuer.on_timeout(at(1099ms));
  CHECK(receipts(a).empty());
  issuer.on_timeout(at(1100ms));

  const auto issued = receipts(a);
  REQUIRE(issued.size() == 1);
  CHECK(issued[0].seq == 1);
  CHECK(issued[0].cum_bytes == 5096);
  CHECK(issued[0].cum_chunks == 2);
  CHECK(issued[0].highest_object == ObjectId{5});
  CHECK_FALSE(issued[0].is_final);
  CHECK(issuer.next_timeout() == std::nullopt);
  issuer.on_timeout(at(5s));
  CHECK(receipts(a).empty());
}

TEST_CASE_METHOD(IssuerFixture,
                 "a quarter of the credit window unacknowledged is acknowledged at once") {
  const auto a = allocation(1);
  REQUIRE(credit_window(a) == 256 * 1024);
  allow(a, at(0s));
  for (int i = 0; i < 15; ++i) deliver(4096, at(1ms));
  CHECK(receipts(a).empty());
  deliver(4096, at(1ms));
  const auto issued = receipts(a);
  REQUIRE(issued.size() == 1);
  CHECK(issued[0].cum_bytes == 64 * 1024);
  CHECK(issuer.next_timeout() == std::nullopt);
}

TEST_CASE_METHOD(IssuerFixture, "the credit window grows with the allocated rate") {
  CHECK(credit_window(allocation(1, kStartMs + kTermMs, 8000)) == 2'000'000);
  CHECK(credit_window(allocation(1, kStartMs + kTermMs, 1000)) == 256 * 1024);
  CHECK(
      credit_window(allocation(1, kStartMs + kTermMs, std::numeric_limits<std::uint32_t>::max())) ==
      std::uint64_t{std::numeric_limits<std::uint32_t>::max()} * 250);
}

TEST_CASE_METHOD(IssuerFixture, "receipt numbers rise strictly and totals grow") {
  const auto a = allocation(1);
  allow(a, at(0s));
  std::vector<wire::Receipt> issued;
  for (int second = 0; second < 5; ++second) {
    deliver(1000, at(second * 2s));
    issuer.on_timeout(at(second * 2s + 1s));
    const auto now_issued = receipts(a);
    issued.insert(issued.end(), now_issued.begin(), now_issued.end());
  }
  REQUIRE(issued.size() == 5);
  for (std::size_t i = 0; i < issued.size(); ++i) {
    CHECK(issued[i].seq == i + 1);
    CHECK(issued[i].cum_bytes == 1000 * (i + 1));
  }
}

TEST_CASE_METHOD(IssuerFixture, "late bytes are acknowledged apart from those in time") {
  const auto a = allocation(1);
  allow(a, at(0s));
  deliver(4096, at(0s));
  deliver(700, at(0s), false);
  issuer.on_timeout(at(1s));
  const auto issued = receipts(a);
  REQUIRE(issued.size() == 1);
  CHECK(issued[0].cum_bytes == 4096);
  CHECK(issued[0].cum_chunks == 1);
  CHECK(issued[0].cum_late_bytes == 700);
}

TEST_CASE_METHOD(IssuerFixture,
                 "a newer allocation replaces the older, which gets its final receipt") {
  const auto old_one = allocation(1);
  const auto new_one = allocation(2, kStartMs + 2 * kTermMs);
  allow(old_one, at(0s));
  present(old_one);
  deliver(4096, at(0s));
  allow(new_one, at(10ms));
  present(new_one);
  const auto last = receipts(old_one);
  REQUIRE(last.size() == 1);
  CHECK(last[0].is_final);
  CHECK(last[0].cum_bytes == 4096);

  deliver(100, at(20ms));
  issuer.on_timeout(at(1020ms));
  const auto first = receipts(new_one);
  REQUIRE(first.size() == 1);
  CHECK(first[0].seq == 1);
  CHECK(first[0].cum_bytes == 100);
}

TEST_CASE_METHOD(IssuerFixture,
                 "what comes before a sender was shown its newer allocation counts for the older") {
  const auto shown = allocation(1);
  const auto second = allocation(2, kStartMs + 2 * kTermMs);
  const auto third = allocation(3, kStartMs + 3 * kTermMs);
  allow(shown, at(0s));
  present(shown);
  deliver(1000, at(0s));
  allow(second, at(1ms));
  deliver(100, at(2ms));
  allow(third, at(3ms));
  deliver(10, at(4ms));
  issuer.on_timeout(at(1s));
  auto issued = receipts(shown);
  REQUIRE(issued.size() == 1);
  CHECK(issued[0].cum_bytes == 1110);
  CHECK_FALSE(issued[0].is_final);

  const std::array handles{stream};
  const auto* next = issuer.allocation_for(sender.node_id(), handles, at(1s).wall, 0s);
  REQUIRE(next != nullptr);
  CHECK(*next == blob(third));
  present(second);  // of which nobody knows any more
  deliver(1, at(1s));
  present(third);
  issued = receipts(shown);
  REQUIRE(issued.size() == 1);
  CHECK(issued[0].cum_bytes == 1111);
  CHECK(issued[0].is_final);
}

TEST_CASE_METHOD(IssuerFixture, "an allocation that is never shown is over with its term") {
  const auto shown = allocation(1);
  const auto never = allocation(2, kStartMs + kTermMs + 1000);
  allow(shown, at(0s));
  present(shown);
  deliver(1000, at(0s));
  allow(never, at(1ms));
  issuer.on_timeout(at(kServedUntil + 1ms));
  CHECK(receipts(shown).size() >= 1);
  issuer.on_timeout(at(kServedUntil + 5s));
  const std::array handles{stream};
  CHECK(issuer.allocation_for(sender.node_id(), handles, at(0s).wall, 0s) == nullptr);
}

TEST_CASE_METHOD(IssuerFixture, "an older, equal or repeated allocation changes nothing") {
  const auto held = allocation(1);
  allow(held, at(0s));
  deliver(4096, at(0s));
  allow(held, at(1ms));
  allow(allocation(2), at(1ms));
  allow(allocation(3, kStartMs + kTermMs - 1000), at(1ms));
  CHECK(receipts(held).empty());
  const std::array handles{stream};
  const auto* blob_now = issuer.allocation_for(sender.node_id(), handles, at(1ms).wall, 0s);
  REQUIRE(blob_now != nullptr);
  CHECK(*blob_now == blob(held));
}

TEST_CASE_METHOD(IssuerFixture,
                 "an allocation that carried nothing is replaced without a receipt") {
  allow(allocation(1), at(0s));
  allow(allocation(2, kStartMs + 2 * kTermMs), at(1ms));
  CHECK(issuer.poll_receipt() == std::nullopt);
}

TEST_CASE_METHOD(
    IssuerFixture,
    "a sender that leaves gets a final receipt, and goes on counting when it returns") {
  const auto a = allocation(1);
  allow(a, at(0s));
  deliver(4096, at(0s));
  issuer.on_sender_gone(receiver.node_id(), at(5ms));
  CHECK(receipts(a).empty());
  issuer.on_sender_gone(sender.node_id(), at(10ms));
  auto issued = receipts(a);
  REQUIRE(issued.size() == 1);
  CHECK(issued[0].is_final);
  issuer.on_sender_gone(sender.node_id(), at(20ms));
  CHECK(receipts(a).empty());

  deliver(100, at(1s));
  issuer.on_timeout(at(2s));
  issued = receipts(a);
  REQUIRE(issued.size() == 1);
  CHECK(issued[0].seq == 2);
  CHECK(issued[0].cum_bytes == 4196);
  CHECK_FALSE(issued[0].is_final);
}

TEST_CASE_METHOD(
    IssuerFixture,
    "bytes without an allocation, over its limit or long after its term are not acknowledged") {
  auto a = allocation(1);
  a.max_bytes = 5000;
  deliver(4096, at(0s));
  allow(a, at(0s));
  deliver(4096, at(0s));
  deliver(4096, at(0s));
  deliver(904, at(0s));
  issuer.on_timeout(at(1s));
  const auto issued = receipts(a);
  REQUIRE(issued.size() == 1);
  CHECK(issued[0].cum_bytes == 5000);
  CHECK(issued[0].cum_chunks == 2);

  deliver(1, at(kServedUntil + 1s), false);
  CHECK(issuer.next_timeout() == std::nullopt);
}

TEST_CASE_METHOD(IssuerFixture,
                 "the allocation to present is the newest one of the stream that is valid now") {
  const auto previous = allocation(1);
  allow(previous, at(0s));
  auto current = allocation(2, kStartMs + 2 * kTermMs);
  current.stream_handle = handle_of(8);
  current.not_before_ms = kStartMs + 300'000;
  allow(current, at(0s));

  const std::array handles{handle_of(8), stream};
  const auto presented = [&](Duration when, Duration past_end = 0s) {
    const auto* found = issuer.allocation_for(sender.node_id(), handles, at(when).wall, past_end);
    return found == nullptr ? AllocationId{} : wire::parse_allocation(*found)->id;
  };
  CHECK(presented(0s) == previous.id);
  CHECK(presented(300s) == current.id);
  CHECK(presented(601s) == current.id);
  CHECK(presented(1201s) == AllocationId{});
  CHECK(presented(1201s, 2s) == current.id);
  CHECK(presented(1203s, 2s) == AllocationId{});
  CHECK(issuer.allocation_for(receiver.node_id(), handles, at(0s).wall, 0s) == nullptr);
}

TEST_CASE_METHOD(IssuerFixture,
                 "what comes past the term while nobody can renew it is signed for") {
  const auto a = allocation(1);
  allow(a, at(0s));
  deliver(4096, at(599s));
  issuer.on_timeout(at(600s));
  deliver(4096, at(600s + media::kOutageGrace));
  issuer.on_timeout(at(601s + media::kOutageGrace));
  const auto issued = receipts(a);
  REQUIRE(issued.size() == 2);
  CHECK(issued[1].cum_bytes == 2 * 4096);
}

TEST_CASE_METHOD(IssuerFixture, "an expired allocation is forgotten after its final receipt") {
  const auto a = allocation(1);
  allow(a, at(0s));
  deliver(4096, at(600s));
  issuer.on_timeout(at(kServedUntil + 1s));
  const auto issued = receipts(a);
  REQUIRE(issued.size() == 1);
  CHECK(issued[0].cum_bytes == 4096);
  issuer.on_timeout(at(kServedUntil + 2s));
  CHECK(receipts(a).empty());
  deliver(1, at(600s));
  CHECK(issuer.next_timeout() == std::nullopt);
}

TEST_CASE_METHOD(IssuerFixture, "allocations beyond the bound are ignored until some expire") {
  for (std::uint32_t i = 0; i < ReceiptIssuer::kAccountsMax; ++i) {
    auto a = allocation(i);
    a.stream_handle.bytes[0] = static_cast<std::byte>(i >> 8);
    a.stream_handle.bytes[1] = static_cast<std::byte>(i);
    issuer.on_allocation(a, {}, at(0s));
  }
  auto surplus = allocation(99'999, kStartMs + 10 * kTermMs);
  surplus.stream_handle = handle_of(0xff);
  allow(surplus, at(0s));
  const std::array handles{handle_of(0xff)};
  CHECK(issuer.allocation_for(sender.node_id(), handles, at(0s).wall, 0s) == nullptr);
  allow(surplus, at(kServedUntil + 1s));
  CHECK(issuer.allocation_for(sender.node_id(), handles, at(660s).wall, 0s) != nullptr);
}

}  // namespace tayga::relay
