#include "orchestrator/app/store_thread.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/memory_ledger_store.hpp"

#include <future>

using namespace tayga;
using namespace tayga::orch;

namespace {

constexpr auto kPatience = std::chrono::seconds{20};

SessionInfo session(std::uint64_t id) {
  SessionInfo info;
  info.id = SessionId{id};
  return info;
}

StreamRecord stream(const std::string& name) {
  StreamRecord record;
  record.name = name;
  return record;
}

ReceiptBatch batch(std::uint64_t number, std::size_t items) {
  return {number, std::vector<Bytes>(items, Bytes(3))};
}

struct Fixture {
  test::MemoryLedgerStore store;
  Meters meters;
  StoreThread thread{store, LedgerTrust{}, meters};

  std::optional<std::string> confirm(const std::string& name) {
    std::promise<std::optional<std::string>> said;
    REQUIRE(thread.confirm_stream(name, [&](auto error) { said.set_value(std::move(error)); }));
    auto future = said.get_future();
    REQUIRE(future.wait_for(kPatience) == std::future_status::ready);
    return future.get();
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "every batch is answered to its session, in order, with its number") {
  std::promise<void> done;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> answered;
  for (std::uint64_t i = 1; i <= 3; ++i) REQUIRE(thread.submit(session(i), batch(10 + i, 2)));
  thread.start([&](SessionId id, const ReceiptAnswers& answers) {
    CHECK(answers.items.size() == 2);
    CHECK(answers.items[0].status == SettleStatus::malformed);
    answered.emplace_back(static_cast<std::uint64_t>(id), answers.batch);
    if (answered.size() == 3) done.set_value();
  });
  REQUIRE(done.get_future().wait_for(kPatience) == std::future_status::ready);
  CHECK(answered ==
        std::vector<std::pair<std::uint64_t, std::uint64_t>>{{1, 11}, {2, 12}, {3, 13}});
}

TEST_CASE_METHOD(Fixture, "receipts beyond the queue's limit are refused, not dropped") {
  const std::size_t batches = kReceiptQueueItemsMax / 512;
  for (std::size_t i = 0; i < batches; ++i) REQUIRE(thread.submit(session(i), batch(i, 512)));
  CHECK_FALSE(thread.submit(session(batches), batch(0, 1)));
}

TEST_CASE_METHOD(Fixture, "a batch without items takes room in the queue too") {
  for (std::size_t i = 0; i < kReceiptQueueItemsMax; ++i) {
    if (!thread.submit(session(i), batch(i, 0))) FAIL("refused too early");
  }
  CHECK_FALSE(thread.submit(session(kReceiptQueueItemsMax), batch(0, 0)));
}

TEST_CASE_METHOD(Fixture, "a session may have two batches unanswered, others are not hindered") {
  std::promise<void> done;
  std::size_t answers = 0;
  REQUIRE(thread.submit(session(1), batch(1, 1)));
  REQUIRE(thread.submit(session(1), batch(2, 1)));
  CHECK_FALSE(thread.submit(session(1), batch(3, 1)));
  REQUIRE(thread.submit(session(2), batch(1, 1)));
  thread.start([&](SessionId, const ReceiptAnswers&) {
    if (++answers == 3) done.set_value();
  });
  REQUIRE(done.get_future().wait_for(kPatience) == std::future_status::ready);
  CHECK(thread.submit(session(1), batch(3, 1)));
}

TEST_CASE_METHOD(Fixture, "receipts that write nothing do not hide that the store is broken") {
  std::promise<void> answered;
  thread.start([&](SessionId, const ReceiptAnswers&) { answered.set_value(); });
  store.fail_records = true;
  thread.put_stream(stream("tv"));
  REQUIRE(confirm("tv"));
  REQUIRE(thread.submit(session(1), batch(1, 1)));
  REQUIRE(answered.get_future().wait_for(kPatience) == std::future_status::ready);
  std::promise<void> settled;  // a job runs after the group in front of it
  REQUIRE(thread.read_ledger([&](const auto&) { settled.set_value(); }));
  REQUIRE(settled.get_future().wait_for(kPatience) == std::future_status::ready);
  CHECK_FALSE(thread.trouble().empty());
}

TEST_CASE_METHOD(Fixture,
                 "an epoch's secret that could be made at last ends its own trouble only") {
  thread.start([](SessionId, const ReceiptAnswers&) {});
  const auto ensure = [&](std::uint32_t epoch) {
    std::promise<void> tried;
    REQUIRE(thread.ensure_epochs({epoch}, [](std::uint32_t, const EpochSecret&) {}));
    REQUIRE(thread.read_ledger([&](const auto&) { tried.set_value(); }));
    REQUIRE(tried.get_future().wait_for(kPatience) == std::future_status::ready);
  };
  ensure(7);
  store.fail_records = true;
  ensure(8);
  CHECK(thread.trouble().find("epoch 8") != std::string::npos);
  ensure(7);
  CHECK_FALSE(thread.trouble().empty());
  store.fail_records = false;
  ensure(8);
  CHECK(thread.trouble().empty());
}

TEST_CASE_METHOD(Fixture,
                 "what was queued is done before the thread ends, later calls are refused") {
  std::size_t answers = 0;
  thread.start([&](SessionId, const ReceiptAnswers&) { ++answers; });
  REQUIRE(thread.submit(session(1), batch(1, 1)));
  thread.put_stream(stream("tv"));
  thread.stop();
  CHECK(answers == 1);
  CHECK(store.load_streams()->size() == 1);
  CHECK_FALSE(thread.submit(session(1), batch(2, 1)));
  CHECK_FALSE(thread.read_ledger([](const auto&) {}));
}

TEST_CASE_METHOD(Fixture,
                 "a stream that is not on disk is reported, kept, and written when it can be") {
  thread.start([](SessionId, const ReceiptAnswers&) {});
  store.fail_records = true;
  thread.put_stream(stream("tv"));
  const auto error = confirm("tv");
  REQUIRE(error);
  CHECK(error->find("made to fail") != std::string::npos);
  CHECK_FALSE(thread.trouble().empty());

  store.fail_records = false;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (confirm("tv") && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  CHECK_FALSE(confirm("tv"));
  CHECK(thread.trouble().empty());
  thread.stop();
  CHECK(store.load_streams()->size() == 1);
}

TEST_CASE_METHOD(Fixture, "a removal replaces an unwritten record of the same stream") {
  thread.start([](SessionId, const ReceiptAnswers&) {});
  store.fail_records = true;
  thread.put_stream(stream("tv"));
  REQUIRE(confirm("tv"));
  store.fail_records = false;
  thread.erase_stream("tv");
  CHECK_FALSE(confirm("tv"));
  thread.stop();
  CHECK(store.load_streams()->empty());
}

TEST_CASE_METHOD(Fixture, "an epoch's secret is made once and found again") {
  const EpochSecret made = *load_or_make_epoch_secret(store, 7);
  CHECK(*load_or_make_epoch_secret(store, 7) == made);
  CHECK(*load_or_make_epoch_secret(store, 8) != made);
  store.fail_records = true;
  CHECK_FALSE(load_or_make_epoch_secret(store, 9));
}
