#include "daemon/core/receipts.hpp"

#include "common/media/receipts.hpp"
#include "common/wire/wire_error.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <set>

namespace tayga::relay {
namespace {

using wire::WireErrc;

constexpr std::int64_t kStartMs = 1'800'000'000'000;
constexpr std::int64_t kTermMs = 600'000;
/// From the start: nobody delivers anything under an allocation of one term any more.
constexpr Duration kServedUntil = 600s + media::kOutageGrace + kClockSkewMax;

crypto::SigningKey key_of(unsigned char seed) {
  std::array<std::byte, 32> bytes{};
  bytes.fill(std::byte{seed});
  return crypto::SigningKey::from_seed(bytes);
}

Now at(Duration since_start) {
  return {TimePoint{1000s} + since_start,
          WallTime{std::chrono::milliseconds{kStartMs}} + since_start};
}

StreamHandle handle_of(unsigned char value) {
  StreamHandle handle;
  handle.bytes.fill(std::byte{value});
  return handle;
}

struct Fixture {
  crypto::SigningKey online = key_of(1);
  crypto::SigningKey sender = key_of(2);
  crypto::SigningKey receiver = key_of(3);
  NetworkId network{};
  StreamHandle stream = handle_of(7);

  Fixture() {
    crypto::init();
    network.bytes.fill(std::byte{9});
  }
  wire::Allocation allocation(std::uint32_t number, std::int64_t not_after_ms = kStartMs + kTermMs,
                              std::uint32_t max_kbps = 0) const {
    wire::Allocation a;
    for (unsigned i = 0; i < 4; ++i)
      a.id.bytes[12 + i] = static_cast<std::byte>(number >> (24 - 8 * i));
    const auto expiry_s = static_cast<std::uint64_t>(not_after_ms / 1000);
    for (unsigned i = 0; i < 8; ++i)
      a.id.bytes[i] = static_cast<std::byte>(expiry_s >> (56 - 8 * i));
    a.network = network;
    a.sender = sender.node_id();
    a.receiver = receiver.node_id();
    a.stream_handle = stream;
    a.stripe_mask = 1;
    a.max_kbps = max_kbps;
    a.not_before_ms = kStartMs;
    a.not_after_ms = not_after_ms;
    a.max_bytes = 1 << 30;
    return a;
  }
  wire::AllocationBlob blob(const wire::Allocation& a) const {
    return media::sign_allocation(a, online);
  }
  wire::ReceiptBlob receipt(const wire::Allocation& a, std::uint32_t seq, std::uint64_t bytes,
                            bool is_final = false) const {
    wire::Receipt r;
    r.allocation = a.id;
    r.network = a.network;
    r.seq = seq;
    r.is_final = is_final;
    r.cum_bytes = bytes;
    r.cum_chunks = bytes / 4096;
    return media::sign_receipt(r, receiver);
  }
};

struct IssuerFixture : Fixture {
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

using Answer = ReceiptBook::Answer;

struct BookFixture : Fixture {
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

// ---- receiver ----

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

// ---- sender ----

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
