#include "orchestrator/ledger/ledger.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/memory_ledger_store.hpp"
#include "tests/support/settlement_maker.hpp"

namespace tayga::orch {
namespace {

struct Fixture {
  test::SettlementMaker make;
  test::MemoryLedgerStore store;
  Ledger ledger{make.trust(), store};
  std::int64_t now_ms = test::SettlementMaker::kNowMs + 1000;

  std::vector<SettleAnswer> settle(std::vector<Bytes> items) {
    return ledger.settle({make.submission(std::move(items))}, now_ms).at(0);
  }
  SettleAnswer settle_one(Bytes item) { return settle({std::move(item)}).at(0); }
  SettleStatus status_of(Bytes item) { return settle_one(std::move(item)).status; }
  std::uint64_t stored_bytes() { return store.totals().value().bytes; }
};

TEST_CASE("a valid receipt is durable before it is answered") {
  Fixture f;
  const SettleAnswer answer = f.settle_one(f.make.item(1, 5000));
  CHECK(answer.status == SettleStatus::accepted);
  CHECK(answer.settled_bytes == 5000);
  CHECK(answer.allocation == f.make.allocation(1).id);
  const auto account = f.store.find_account(7, answer.allocation).value();
  REQUIRE(account.has_value());
  CHECK(account->cum_bytes == 5000);
  CHECK(account->sender == f.make.sender.node_id());
  CHECK(f.ledger.counters().accepted == 1);
  CHECK(f.ledger.counters().accepted_bytes == 5000);
}

TEST_CASE("the same receipt again is stale, with the same total, and costs no signature") {
  Fixture f;
  f.settle_one(f.make.item(1, 5000));
  const auto checks = f.ledger.counters().signature_checks;
  CHECK(checks == 2);
  for (const std::uint64_t bytes : {5000ULL, 4999ULL, 0ULL}) {
    const SettleAnswer answer = f.settle_one(f.make.item(1, bytes));
    CHECK(answer.status == SettleStatus::stale);
    CHECK(answer.settled_bytes == 5000);
  }
  CHECK(f.ledger.counters().signature_checks == checks);
  CHECK(f.ledger.counters().stale == 3);
  CHECK(f.store.commits == 1);
}

TEST_CASE("two receipts of one allocation in one batch are one commit of the larger") {
  Fixture f;
  const auto rising = f.settle({f.make.item(1, 100), f.make.item(1, 200)});
  CHECK(rising[0].status == SettleStatus::accepted);
  CHECK(rising[0].settled_bytes == 200);
  CHECK(rising[1].settled_bytes == 200);
  const auto falling = f.settle({f.make.item(2, 200), f.make.item(2, 100)});
  CHECK(falling[0].status == SettleStatus::accepted);
  CHECK(falling[1].status == SettleStatus::stale);
  CHECK(falling[1].settled_bytes == 200);
  CHECK(f.store.commits == 2);
  CHECK(f.stored_bytes() == 400);
  CHECK(f.ledger.counters().accepted_bytes == 400);
}

TEST_CASE("an allocation's signature is checked once for receipts that follow each other") {
  Fixture f;
  f.settle({f.make.item(1, 100), f.make.item(1, 200), f.make.item(1, 300)});
  CHECK(f.ledger.counters().signature_checks == 4);
}

TEST_CASE("items of a wrong size or layout are malformed") {
  Fixture f;
  CHECK(f.status_of({}) == SettleStatus::malformed);
  Bytes longer = f.make.item(1, 1);
  longer.push_back(std::byte{0});
  CHECK(f.status_of(longer) == SettleStatus::malformed);
  Bytes tag = f.make.item(1, 1);
  tag[0] ^= std::byte{1};
  CHECK(f.status_of(tag) == SettleStatus::malformed);
  const auto allocation = f.make.allocation(1);
  const auto other = f.make.receipt(f.make.allocation(2), 1);
  CHECK(f.status_of(f.make.sign(allocation, other)) == SettleStatus::malformed);
  CHECK(f.ledger.counters().signature_checks == 0);
  CHECK(f.ledger.counters().refused == 4);
}

TEST_CASE("what is not for us, not theirs, too late or too much is refused without a signature") {
  Fixture f;
  const auto status_with = [&](auto change) {
    wire::Allocation allocation = f.make.allocation(1);
    change(allocation);
    return f.status_of(f.make.sign(allocation, f.make.receipt(allocation, 5000)));
  };
  CHECK(status_with([](auto& a) { a.network.bytes[1] = std::byte{1}; }) ==
        SettleStatus::wrong_network);
  CHECK(status_with([](auto& a) { a.sender.bytes[1] ^= std::byte{1}; }) ==
        SettleStatus::wrong_sender);
  CHECK(status_with([](auto& a) { a.max_bytes = 4999; }) == SettleStatus::over_limit);
  CHECK(status_with([](auto& a) { a.key_id = 6; }) == SettleStatus::unknown_key);
  CHECK(status_with([](auto& a) { a.not_before_ms -= 2 * 3600 * 1000; }) ==
        SettleStatus::unknown_key);
  f.now_ms += 600'000 + 24 * 3600 * 1000;
  CHECK(status_with([](auto&) {}) == SettleStatus::expired);
  CHECK(f.ledger.counters().signature_checks == 0);
  CHECK(f.ledger.counters().refused == 6);
  CHECK(f.stored_bytes() == 0);
}

TEST_CASE("a receipt is taken until the grace after its allocation's end, to the millisecond") {
  Fixture f;
  f.now_ms = f.make.allocation(1).not_after_ms + 24 * 3600 * 1000;
  CHECK(f.status_of(f.make.item(1, 10)) == SettleStatus::accepted);
  f.now_ms += 1;
  CHECK(f.status_of(f.make.item(1, 20)) == SettleStatus::expired);
}

TEST_CASE("what was delivered while nobody could renew settles once the orchestrator is back") {
  Fixture f;
  f.now_ms = f.make.allocation(1).not_after_ms;
  CHECK(f.status_of(f.make.item(1, 10)) == SettleStatus::accepted);
  f.now_ms += std::chrono::duration_cast<std::chrono::milliseconds>(media::kOutageGrace +
                                                                    media::kReconnectGrace)
                  .count();
  CHECK(f.status_of(f.make.item(1, 20)) == SettleStatus::accepted);
  CHECK(f.stored_bytes() == 20);
}

TEST_CASE("a receipt at exactly the cap is taken") {
  Fixture f;
  CHECK(f.status_of(f.make.item(1, f.make.allocation(1).max_bytes)) == SettleStatus::accepted);
}

TEST_CASE("a flipped bit in either signature is found, and does not hide the valid one") {
  Fixture f;
  for (const std::size_t at : {std::size_t{200}, std::size_t{400}}) {
    Bytes forged = f.make.item(1, 900);
    forged[at] ^= std::byte{1};
    const auto answers = f.settle({forged, f.make.item(1, 10 + at)});
    CHECK(answers[0].status == SettleStatus::bad_signature);
    CHECK(answers[0].settled_bytes == 0);
    CHECK(answers[1].status == SettleStatus::accepted);
  }
}

TEST_CASE("a receipt that another node signed is refused") {
  Fixture f;
  const auto allocation = f.make.allocation(1);
  const auto item = media::make_settlement_item(
      media::sign_allocation(allocation, f.make.online),
      media::sign_receipt(f.make.receipt(allocation, 10), f.make.sender));
  CHECK(f.status_of({item.begin(), item.end()}) == SettleStatus::bad_signature);
}

TEST_CASE("a made-up allocation under a settled id learns nothing and costs no signature") {
  Fixture f;
  f.settle_one(f.make.item(1, 5000));
  const auto checks = f.ledger.counters().signature_checks;
  wire::Allocation stolen = f.make.allocation(1);
  stolen.receiver = f.make.online.node_id();
  const SettleAnswer answer = f.settle_one(f.make.sign(stolen, f.make.receipt(stolen, 1)));
  CHECK(answer.status == SettleStatus::bad_signature);
  CHECK(answer.settled_bytes == 0);
  CHECK(f.ledger.counters().signature_checks == checks);
}

TEST_CASE("when the store fails nothing is lost or doubled: unavailable now, accepted later") {
  Fixture f;
  f.settle_one(f.make.item(1, 100));
  f.store.fail_commits = true;
  const auto failed = f.settle({f.make.item(1, 200), f.make.item(1, 150), f.make.item(2, 7)});
  for (const SettleAnswer& answer : failed) CHECK(answer.status == SettleStatus::unavailable);
  CHECK(failed[0].settled_bytes == 100);
  CHECK(failed[1].settled_bytes == 100);
  CHECK(failed[2].settled_bytes == 0);
  CHECK(f.settle_one(f.make.item(1, 90)).status == SettleStatus::stale);
  f.store.fail_commits = false;
  const auto again = f.settle({f.make.item(1, 200), f.make.item(1, 150), f.make.item(2, 7)});
  CHECK(again[0].status == SettleStatus::accepted);
  CHECK(again[1].status == SettleStatus::stale);
  CHECK(again[2].status == SettleStatus::accepted);
  CHECK(f.stored_bytes() == 207);
  CHECK(f.ledger.counters().accepted_bytes == 207);
  CHECK(f.ledger.counters().unavailable == 3);
}

TEST_CASE("a store that cannot be read answers unavailable") {
  Fixture f;
  f.store.fail_reads = true;
  CHECK(f.status_of(f.make.item(1, 100)) == SettleStatus::unavailable);
}

TEST_CASE("a new online key is taken at run time, and an old one still counts") {
  Fixture f;
  media::OnlineKey second = f.make.online_key();
  second.key_id = 6;
  second.key = test::SettlementMaker::key(9).public_key();
  wire::Allocation allocation = f.make.allocation(2);
  allocation.key_id = 6;
  const auto item = media::make_settlement_item(
      media::sign_allocation(allocation, test::SettlementMaker::key(9)),
      media::sign_receipt(f.make.receipt(allocation, 10), f.make.receiver));
  CHECK(f.status_of({item.begin(), item.end()}) == SettleStatus::unknown_key);
  f.ledger.on_online_key(second);
  f.ledger.on_online_key(second);
  CHECK(f.status_of({item.begin(), item.end()}) == SettleStatus::accepted);
  CHECK(f.status_of(f.make.item(1, 10)) == SettleStatus::accepted);
}

TEST_CASE("a large call is committed in groups, and answered in order") {
  Fixture f;
  std::vector<Bytes> items;
  for (std::uint64_t n = 0; n < Ledger::kCommitMax + 10; ++n)
    items.push_back(f.make.item(n, n + 1));
  const auto answers = f.settle(items);
  CHECK(f.store.commits == 2);
  for (std::uint64_t n = 0; n < answers.size(); ++n) {
    REQUIRE(answers[n].status == SettleStatus::accepted);
    REQUIRE(answers[n].settled_bytes == n + 1);
  }
}

TEST_CASE("the last receipts of two senders are settled in one commit") {
  Fixture f;
  const auto answers = f.ledger.settle({f.make.submission({f.make.item(1, 10)}),
                                        {f.make.receiver.node_id(), {f.make.item(2, 5)}},
                                        f.make.submission({f.make.item(3, 20)})},
                                       f.now_ms);
  CHECK(answers[0][0].status == SettleStatus::accepted);
  CHECK(answers[1][0].status == SettleStatus::wrong_sender);
  CHECK(answers[2][0].status == SettleStatus::accepted);
  CHECK(f.store.commits == 1);
}

}  // namespace
}  // namespace tayga::orch
