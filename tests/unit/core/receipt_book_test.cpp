#include "common/wire/wire_error.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/core/receipt_fixture.hpp"

#include <array>
#include <set>

namespace tayga::relay {
namespace {

using wire::WireErrc;

using Answer = ReceiptBook::Answer;

struct BookFixture : ReceiptFixture {
  ReceiptBook book{sender.node_id(), 600s};

  void allow(const wire::Allocation& a) { book.on_allocation(a, blob(a)); }
  Result<void> give(const wire::Allocation& a, std::uint32_t seq, std::uint64_t bytes, Now now,
                    bool is_final = false) {
    return book.on_receipt(receiver.node_id(), receipt(a, seq, bytes, is_final), now);
  }
  wire::SettlementItem item(const wire::Allocation& a, std::uint32_t seq, std::uint64_t bytes,
                            bool is_final = false) const {
    return media::make_settlement_item(blob(a), receipt(a, seq, bytes, is_final));
  }
  static std::vector<Answer> all(const std::vector<AllocationId>& ids, Answer::Verdict verdict,
                                 std::uint64_t settled) {
    std::vector<Answer> out;
    for (const AllocationId& id : ids) out.push_back({id, verdict, settled});
    return out;
  }
};

}  // namespace

TEST_CASE_METHOD(BookFixture,
                 "a receipt is kept, handed to the disk once and submitted after the interval") {
  const auto a = allocation(1);
  allow(a);
  CHECK(book.next_timeout() == std::nullopt);
  REQUIRE(give(a, 1, 1000, at(0s)));
  REQUIRE(give(a, 2, 2000, at(1s)));
  CHECK(book.poll_record() == item(a, 2, 2000));
  CHECK(book.poll_record() == std::nullopt);
  CHECK(book.next_timeout() == at(600s).mono);
  CHECK_FALSE(book.take_batch(at(599s)));

  const auto batch = book.take_batch(at(600s));
  REQUIRE(batch);
  CHECK(batch->items == std::vector{item(a, 2, 2000)});
  CHECK_FALSE(book.take_batch(at(601s)));
  book.on_answer(batch->id, all({a.id}, Answer::Verdict::durable, 2000), at(601s));
  CHECK(book.next_timeout() == std::nullopt);
  CHECK(book.totals().acknowledged_bytes == 2000);
  CHECK(book.totals().settled_bytes == 2000);
  CHECK(book.totals().open_records == 0);
}

TEST_CASE_METHOD(BookFixture, "a final receipt is submitted at once") {
  const auto a = allocation(1);
  allow(a);
  REQUIRE(give(a, 1, 1000, at(5s), true));
  const auto batch = book.take_batch(at(5s));
  REQUIRE(batch);
  CHECK(batch->items == std::vector{item(a, 1, 1000, true)});
}

TEST_CASE_METHOD(BookFixture, "a changed submit interval counts for what waits already") {
  const auto a = allocation(1);
  allow(a);
  REQUIRE(give(a, 1, 1000, at(0s)));
  book.set_submit_interval(10s);
  CHECK(book.next_timeout() == at(10s).mono);
}

TEST_CASE_METHOD(BookFixture, "totals merge by maximum: what does not grow is ignored") {
  const auto a = allocation(1);
  allow(a);
  REQUIRE(give(a, 5, 5000, at(0s)));
  CHECK(give(a, 5, 5000, at(0s)));
  CHECK(give(a, 4, 9000, at(0s)));
  CHECK(give(a, 6, 5000, at(0s)));
  CHECK(give(a, 7, 4000, at(0s)));
  CHECK(book.poll_record() == item(a, 5, 5000));
  CHECK(book.poll_record() == std::nullopt);
  CHECK(book.totals().acknowledged_bytes == 5000);
  REQUIRE(give(a, 8, 5000, at(0s), true));
  CHECK(book.poll_record() == item(a, 8, 5000, true));
}

TEST_CASE_METHOD(BookFixture, "receipts that are not the receiver's own are refused") {
  const auto a = allocation(1);
  allow(a);
  const auto good = receipt(a, 1, 1000);
  CHECK(book.on_receipt(sender.node_id(), good, at(0s)).error() == WireErrc::bad_field);
  CHECK(give(allocation(2), 1, 1000, at(0s)).error() == WireErrc::bad_field);
  CHECK(book.on_receipt(receiver.node_id(), ByteView{good}.first(175), at(0s)).error() ==
        WireErrc::truncated);
  auto forged = good;
  forged[55] ^= std::byte{1};
  CHECK(book.on_receipt(receiver.node_id(), forged, at(0s)).error() == WireErrc::bad_signature);
  auto other_network = a;
  other_network.network.bytes[0] ^= std::byte{1};
  CHECK(book.on_receipt(receiver.node_id(), receipt(other_network, 1, 1), at(0s)).error() ==
        WireErrc::bad_field);
  CHECK(book.totals().open_records == 0);
  CHECK(book.poll_record() == std::nullopt);
}

TEST_CASE_METHOD(BookFixture, "an allocation of another sender is not taken") {
  auto a = allocation(1);
  a.sender = receiver.node_id();
  allow(a);
  CHECK_FALSE(give(a, 1, 1000, at(0s)));
}

TEST_CASE_METHOD(BookFixture, "what was in flight when the session ended is submitted again") {
  const auto a = allocation(1);
  allow(a);
  REQUIRE(give(a, 1, 1000, at(0s), true));
  const auto lost = book.take_batch(at(0s));
  REQUIRE(lost);
  book.on_submit_lost(at(1s));
  const auto again = book.take_batch(at(1s));
  REQUIRE(again);
  CHECK(again->items == lost->items);
  CHECK(again->id != lost->id);
  book.on_answer(lost->id, all({a.id}, Answer::Verdict::durable, 1000), at(2s));
  CHECK(book.totals().open_records == 1);
  book.on_answer(again->id, all({a.id}, Answer::Verdict::durable, 1000), at(2s));
  CHECK(book.totals().open_records == 0);
  book.on_submit_lost(at(3s));
  CHECK(book.next_timeout() == std::nullopt);
}

TEST_CASE_METHOD(BookFixture, "a batch that is never answered counts as lost") {
  const auto a = allocation(1);
  allow(a);
  REQUIRE(give(a, 1, 1000, at(0s), true));
  REQUIRE(book.take_batch(at(0s)));
  CHECK(book.next_timeout() == at(ReceiptBook::kAnswerTimeMax).mono);
  CHECK_FALSE(book.take_batch(at(29s)));
  CHECK(book.take_batch(at(30s)));
}

TEST_CASE_METHOD(BookFixture, "a receipt that grew while its batch was in flight stays open") {
  const auto a = allocation(1);
  allow(a);
  REQUIRE(give(a, 1, 1000, at(0s), true));
  const auto first = book.take_batch(at(0s));
  REQUIRE(first);
  REQUIRE(give(a, 2, 3000, at(1s)));
  book.on_answer(first->id, all({a.id}, Answer::Verdict::durable, 1000), at(2s));
  CHECK(book.totals().open_records == 1);
  CHECK(book.next_timeout() == at(601s).mono);
  const auto second = book.take_batch(at(601s));
  REQUIRE(second);
  CHECK(second->items == std::vector{item(a, 2, 3000)});
}

TEST_CASE_METHOD(BookFixture, "a refusal is remembered and never submitted again") {
  const auto a = allocation(1);
  allow(a);
  REQUIRE(give(a, 1, 1000, at(0s), true));
  const auto batch = book.take_batch(at(0s));
  REQUIRE(batch);
  book.on_answer(batch->id, all({a.id}, Answer::Verdict::refused, 0), at(1s));
  CHECK(book.totals().refused_bytes == 1000);
  CHECK(book.totals().open_records == 0);
  CHECK(give(a, 2, 2000, at(2s), true));
  CHECK(book.next_timeout() == std::nullopt);
  CHECK_FALSE(book.take_batch(at(10'000s)));
}

TEST_CASE_METHOD(BookFixture,
                 "retry, a missing answer and an answer below the total keep a record open") {
  const auto a = allocation(1);
  const auto b = allocation(2);
  const auto c = allocation(3);
  for (const auto& one : {a, b, c}) {
    allow(one);
    REQUIRE(give(one, 1, 1000, at(0s), true));
  }
  const auto batch = book.take_batch(at(0s));
  REQUIRE(batch);
  REQUIRE(batch->items.size() == 3);
  const std::array answers{Answer{a.id, Answer::Verdict::retry, 0},
                           Answer{b.id, Answer::Verdict::durable, 999},
                           Answer{allocation(4).id, Answer::Verdict::durable, 1000}};
  book.on_answer(batch->id, answers, at(1s));
  CHECK(book.totals().open_records == 3);
  CHECK(book.totals().settled_bytes == 999);
  CHECK(book.next_timeout() == at(601s).mono);
  const auto again = book.take_batch(at(601s));
  REQUIRE(again);
  CHECK(again->items.size() == 3);
}

TEST_CASE_METHOD(BookFixture,
                 "a restored record is submitted at once and survives a worse duplicate") {
  const auto a = allocation(1);
  REQUIRE(book.on_restored(item(a, 3, 3000), at(0s)));
  REQUIRE(book.on_restored(item(a, 2, 2000), at(0s)));
  CHECK(book.poll_record() == std::nullopt);
  const auto batch = book.take_batch(at(0s));
  REQUIRE(batch);
  CHECK(batch->items == std::vector{item(a, 3, 3000)});
  REQUIRE(give(a, 4, 4000, at(1s)));
  CHECK(book.totals().acknowledged_bytes == 4000);
}

TEST_CASE_METHOD(BookFixture, "a restored record that is damaged or another node's is refused") {
  const auto a = allocation(1);
  const auto good = item(a, 3, 3000);
  CHECK(book.on_restored(ByteView{good}.first(407), at(0s)).error() == WireErrc::truncated);
  Bytes longer(good.begin(), good.end());
  longer.push_back({});
  CHECK(book.on_restored(longer, at(0s)).error() == WireErrc::trailing_bytes);
  auto damaged = good;
  damaged[wire::kAllocationSize + 50] ^= std::byte{1};
  CHECK(book.on_restored(damaged, at(0s)).error() == WireErrc::bad_signature);
  auto foreign = a;
  foreign.sender = receiver.node_id();
  CHECK(book.on_restored(item(foreign, 1, 1), at(0s)).error() == WireErrc::bad_field);
  CHECK(book.next_timeout() == std::nullopt);
}

TEST_CASE_METHOD(BookFixture,
                 "a batch holds at most 512 items and the rest follows after the answer") {
  constexpr std::uint32_t kCount = 1100;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    allow(allocation(i));
    REQUIRE(give(allocation(i), 1, 1000, at(0s), true));
  }
  std::set<wire::SettlementItem> submitted;
  std::vector<std::size_t> sizes;
  while (const auto batch = book.take_batch(at(1s))) {
    sizes.push_back(batch->items.size());
    std::vector<AllocationId> ids;
    for (const auto& one : batch->items) {
      submitted.insert(one);
      ids.push_back(wire::parse_allocation(ByteView{one}.first(wire::kAllocationSize))->id);
    }
    book.on_answer(batch->id, all(ids, Answer::Verdict::durable, 1000), at(1s));
  }
  CHECK(sizes == std::vector<std::size_t>{512, 512, 76});
  CHECK(submitted.size() == kCount);
  CHECK(book.totals().settled_bytes == 1000 * kCount);
}

TEST_CASE_METHOD(BookFixture, "records that are retried for ever do not starve the others") {
  for (std::uint32_t i = 0; i < 600; ++i) {
    allow(allocation(i));
    REQUIRE(give(allocation(i), 1, 1000, at(0s), true));
  }
  std::set<wire::SettlementItem> submitted;
  for (int round = 0; round < 2; ++round) {
    const auto batch = book.take_batch(at(round * 700s));
    REQUIRE(batch);
    submitted.insert(batch->items.begin(), batch->items.end());
    book.on_answer(batch->id, {}, at(round * 700s));
  }
  CHECK(submitted.size() == 600);
}

TEST_CASE_METHOD(BookFixture,
                 "settled records leave when their term is long over, open ones stay") {
  const auto a = allocation(1);
  const auto b = allocation(2);
  for (const auto& one : {a, b}) {
    allow(one);
    REQUIRE(give(one, 1, 1000, at(0s), true));
    while (book.poll_record()) {
    }
  }
  const auto batch = book.take_batch(at(0s));
  REQUIRE(batch);
  book.on_answer(batch->id, all({a.id}, Answer::Verdict::durable, 1000), at(0s));
  CHECK(give(a, 1, 1000, at(1s)));  // still known
  const auto later = book.take_batch(at(600s + ReceiptBook::kSettledRetention + 1s));
  REQUIRE(later);
  CHECK(later->items == std::vector{item(b, 1, 1000, true)});
  CHECK(give(a, 1, 1000, at(1201s)).error() == WireErrc::bad_field);
  CHECK(book.totals().acknowledged_bytes == 2000);
}

TEST_CASE_METHOD(BookFixture,
                 "a full book drops the oldest settled record, and refuses when none is") {
  // Signing 100,000 receipts takes a minute under sanitizers, so only the ends of the book carry
  // one.
  const auto open = allocation(0, kStartMs);
  allow(open);
  REQUIRE(give(open, 1, 1000, at(0s)));
  for (std::uint32_t i = 1; i < ReceiptBook::kRecordsMax; ++i) {
    book.on_allocation(allocation(i), {});
  }
  const auto newest = allocation(ReceiptBook::kRecordsMax);
  allow(newest);
  CHECK(give(newest, 1, 500, at(0s)));
  CHECK(give(open, 2, 2000, at(0s)));
  CHECK(give(allocation(1), 1, 100, at(0s)).error() == WireErrc::bad_field);  // the one that left
  CHECK(give(allocation(2), 1, 100, at(0s)));
}

}  // namespace tayga::relay
