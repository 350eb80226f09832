#include "orchestrator/ledger/ledger.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/memory_ledger_store.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/settlement_maker.hpp"

#include <algorithm>
#include <map>

namespace tayga::orch {
namespace {

constexpr std::uint64_t kAllocations = 6;
constexpr std::uint64_t kSteps = 5;

/// The largest valid total per allocation counts, once: all that the ledger may ever say.
using Model = std::map<std::uint64_t, std::uint64_t>;

TEST_CASE("in any order, any number of times, across any failure, the largest total counts once") {
  TAYGA_SEEDED_RANDOM(random, 20260101);
  const test::SettlementMaker make;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Bytes> items;
  for (std::uint64_t a = 0; a < kAllocations; ++a) {
    for (std::uint64_t s = 1; s <= kSteps; ++s) items[{a, s * 100}] = make.item(a, s * 100);
  }
  const std::int64_t now_ms = test::SettlementMaker::kNowMs + 1000;

  for (int run = 0; run < 60; ++run) {
    test::MemoryLedgerStore store;
    Model submitted;
    Model acknowledged;
    auto ledger = std::make_unique<Ledger>(make.trust(), store);
    for (int call = 0; call < 12; ++call) {
      std::vector<Bytes> batch;
      std::vector<std::pair<std::uint64_t, std::uint64_t>> what;
      for (std::uint64_t n = random.between(0, 6); n > 0; --n) {
        auto it = items.begin();
        std::advance(it, static_cast<std::ptrdiff_t>(random.index(items.size())));
        batch.push_back(it->second);
        what.push_back(it->first);
        if (random.one_in(6)) batch.back()[random.index(batch.back().size())] ^= std::byte{4};
      }
      store.fail_commits = random.one_in(4);
      const auto answers = ledger->settle({make.submission(batch)}, now_ms).at(0);
      store.fail_commits = false;
      for (std::size_t i = 0; i < answers.size(); ++i) {
        const auto [allocation, bytes] = what[i];
        if (batch[i] != items.at(what[i])) {
          REQUIRE(answers[i].status != SettleStatus::accepted);
          continue;
        }
        submitted[allocation] = std::max(submitted[allocation], bytes);
        if (answers[i].status == SettleStatus::unavailable) continue;
        REQUIRE(answers[i].settled_bytes >= bytes);
        acknowledged[allocation] = std::max(acknowledged[allocation], answers[i].settled_bytes);
      }
      // The process dies: only what the store holds is left.
      if (random.one_in(3)) ledger = std::make_unique<Ledger>(make.trust(), store);
      for (const auto& [allocation, bytes] : acknowledged) {
        const auto account = store.find_account(7, make.allocation(allocation).id).value();
        REQUIRE(account.has_value());
        REQUIRE(account->cum_bytes >= bytes);
      }
    }
    // Everybody submits everything again until it is taken: the end is the model's.
    std::uint64_t expected = 0;
    for (const auto& [allocation, bytes] : submitted) {
      ledger->settle({make.submission({items.at({allocation, bytes})})}, now_ms);
      expected += bytes;
    }
    REQUIRE(store.totals().value().bytes == expected);
  }
}

}  // namespace
}  // namespace tayga::orch
