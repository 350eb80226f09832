#include "tests/support/ledger_store_conformance.hpp"

#include "tests/support/catch.hpp"

#include <algorithm>

namespace tayga::test {
namespace {

using namespace orch;

NodeId node(unsigned number) {
  NodeId id;
  id.bytes[0] = static_cast<std::byte>(number);
  return id;
}

AllocationId allocation(unsigned number) {
  AllocationId id;
  id.bytes[15] = static_cast<std::byte>(number);
  return id;
}

SettledReceipt receipt(unsigned number, unsigned sender, unsigned receiver, std::uint64_t bytes,
                       std::uint32_t seq, std::uint32_t epoch = 7) {
  SettledReceipt settled;
  settled.account.epoch = epoch;
  settled.account.allocation = allocation(number);
  settled.account.sender = node(sender);
  settled.account.receiver = node(receiver);
  settled.account.stream.bytes[3] = std::byte{9};
  settled.account.cum_bytes = bytes;
  settled.account.cum_late_bytes = bytes / 10;
  settled.account.seq = seq;
  settled.evidence[0] = static_cast<std::byte>(number);
  return settled;
}

void check_accounts(const std::function<LedgerStore&()>& reopen) {
  LedgerStore& store = reopen();
  CHECK_FALSE(store.find_account(7, allocation(1)).value().has_value());
  CHECK(store.commit({}));
  store.commit({receipt(1, 10, 20, 1000, 1), receipt(2, 10, 21, 500, 1)}).value();
  store.commit({receipt(1, 10, 20, 800, 9)}).value();  // smaller: stays
  store.commit({receipt(1, 10, 20, 1500, 2), receipt(1, 10, 20, 1400, 3)}).value();
  store.commit({receipt(1, 11, 20, 70, 1, 8)}).value();  // another epoch

  for (int round = 0; round < 2; ++round) {
    LedgerStore& again = round == 0 ? store : reopen();
    CHECK(again.find_account(7, allocation(1)).value() == receipt(1, 10, 20, 1500, 2).account);
    CHECK(again.find_account(8, allocation(1)).value() == receipt(1, 11, 20, 70, 1, 8).account);
    CHECK_FALSE(again.find_account(9, allocation(1)).value().has_value());
    const auto totals = again.totals().value();
    CHECK(totals.receipts == 3);
    CHECK(totals.bytes == 2070);
    CHECK(totals.log_entries == 6);
    const auto balances = again.balances().value();
    REQUIRE(balances.size() == 4);
    CHECK(balances[0].node == node(10));
    CHECK(balances[0].sent_bytes == 2000);
    CHECK(balances[0].allocations == 2);
    CHECK(balances[2].node == node(20));
    CHECK(balances[2].received_bytes == 1570);
    CHECK(balances[2].sent_bytes == 0);
    CHECK(again.accounts(node(10), 10).value().size() == 2);
    CHECK(again.accounts(node(10), 1).value().size() == 1);
    CHECK(again.accounts(node(12), 10).value().empty());
  }
}

NodeRecord full_node() {
  NodeRecord record;
  record.id = node(3);
  record.name = "kitchen";
  record.software = "taygad/0.1.0";
  record.roles = 6;
  record.endpoints = {Endpoint{"192.0.2.1", 7410}, Endpoint{"2001:db8::1", 7411}};
  record.declared_upload_bps = 50'000'000;
  record.children_max = 16;
  record.first_seen_ms = 1'700'000'000'000;
  record.last_seen_ms = 1'700'000'000'001;
  record.ban_reason = "for a test";
  return record;
}

StreamRecord full_stream() {
  StreamRecord record;
  record.name = "show";
  record.stripe_count = 4;
  record.ingest_key_hash[31] = std::byte{0xfe};
  record.origin_url = "http://origin.example/x.m3u8";
  record.gateway = node(4);
  record.playout_window = 1500ms;
  record.created_ms = 1'700'000'000'002;
  record.id = *StreamId::from(node(5).view());
  record.tracks = {TrackRecord{TrackId{0}, "", 9000}, TrackRecord{TrackId{2}, "v/2.m3u8", 800'000}};
  record.publisher_epoch = 123;
  return record;
}

void check_records(const std::function<LedgerStore&()>& reopen) {
  LedgerStore& store = reopen();
  StreamRecord bare;
  bare.name = "bare";
  store.put_stream(bare).value();
  store.put_stream(full_stream()).value();
  StreamRecord gone;
  gone.name = "gone";
  store.put_stream(gone).value();
  store.erase_stream("gone").value();
  CHECK(store.erase_stream("never was"));
  store.put_node(NodeRecord{}).value();
  NodeRecord older = full_node();
  older.name = "older";
  store.put_node(older).value();
  store.put_node(full_node()).value();
  const Bytes secret{std::byte{1}, std::byte{0}, std::byte{255}};
  store.put_meta("state", secret).value();
  store.put_meta("empty", {}).value();

  LedgerStore& again = reopen();
  CHECK(again.load_streams().value() == std::vector{bare, full_stream()});
  CHECK(again.load_nodes().value() == std::vector{NodeRecord{}, full_node()});
  CHECK(again.get_meta("state").value() == secret);
  CHECK(again.get_meta("empty").value() == Bytes{});
  CHECK_FALSE(again.get_meta("none").value().has_value());
  CHECK(again.last_error().empty());
}

}  // namespace

void check_ledger_store(const std::function<LedgerStore&()>& reopen) {
  check_accounts(reopen);
  check_records(reopen);
}

}  // namespace tayga::test
