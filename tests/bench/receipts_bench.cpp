#include "common/base/check.hpp"
#include "orchestrator/ledger/ledger.hpp"
#include "orchestrator/store/rocksdb_ledger.hpp"
#include "tests/bench/bench.hpp"
#include "tests/support/settlement_maker.hpp"
#include "tests/support/temporary_folder.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <utility>
#include <variant>
#include <vector>

namespace tayga::bench {

boost::json::object bench_receipts(const Args& args);

namespace {

double wall_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

struct Rates {
  double per_second = 0;          // wall time, with the disk's
  double cpu_us_per_receipt = 0;  // of the ledger's thread
};

/// Settles all `items` in calls of `group`, each call one synced commit.
Rates settle_all(orch::Ledger& ledger, const test::SettlementMaker& make,
                 const std::vector<Bytes>& items, std::size_t group, orch::SettleStatus expected) {
  const double wall_begin = wall_seconds();
  const double cpu_begin = thread_cpu_seconds();
  for (std::size_t at = 0; at < items.size(); at += group) {
    const auto begin = items.begin() + static_cast<std::ptrdiff_t>(at);
    const auto size = static_cast<std::ptrdiff_t>(std::min(group, items.size() - at));
    const auto answers =
        ledger.settle({make.submission({begin, begin + size})}, test::SettlementMaker::kNowMs);
    TAYGA_CHECK(answers[0].front().status == expected && answers[0].back().status == expected);
  }
  const auto count = static_cast<double>(items.size());
  return {count / (wall_seconds() - wall_begin), (thread_cpu_seconds() - cpu_begin) * 1e6 / count};
}

std::vector<Bytes> make_items(const test::SettlementMaker& make, std::uint64_t first,
                              std::uint64_t count) {
  std::vector<Bytes> items;
  items.reserve(count);
  for (std::uint64_t n = 0; n < count; ++n) items.push_back(make.item(first + n, 1000));
  return items;
}

}  // namespace

boost::json::object bench_receipts(const Args& args) {
  const std::uint64_t count = args.count("count", 8192);
  const std::uint64_t alone = args.count("alone", 512);
  const std::uint64_t group = args.count("group", orch::Ledger::kCommitMax);
  if (count == 0 || alone == 0 || group == 0) {
    throw std::invalid_argument{"--count, --alone and --group must be above 0"};
  }
  const test::TemporaryFolder folder;
  auto opened = orch::RocksdbLedger::open(folder.path());
  if (const auto* error = std::get_if<orch::StoreOpenError>(&opened)) {
    throw std::runtime_error{error->message};
  }
  auto& store = *std::get<std::unique_ptr<orch::RocksdbLedger>>(opened);
  const test::SettlementMaker make;
  orch::Ledger ledger{make.trust(), store};

  const std::vector<Bytes> items = make_items(make, 0, count);
  const Rates grouped = settle_all(ledger, make, items, group, orch::SettleStatus::accepted);
  const Rates again = settle_all(ledger, make, items, group, orch::SettleStatus::stale);
  const Rates single =
      settle_all(ledger, make, make_items(make, count, alone), 1, orch::SettleStatus::accepted);

  std::printf("receipts, two signatures each, verified and synced to RocksDB\n");
  std::printf("  in groups of %-6llu %8.0f /s   %6.1f us CPU each\n",
              static_cast<unsigned long long>(group), grouped.per_second,
              grouped.cpu_us_per_receipt);
  std::printf("  one by one          %8.0f /s   %6.1f us CPU each\n", single.per_second,
              single.cpu_us_per_receipt);
  std::printf("  submitted again     %8.0f /s   %6.1f us CPU each\n", again.per_second,
              again.cpu_us_per_receipt);
  return {{"receipts", count},
          {"group", group},
          {"grouped_per_second", grouped.per_second},
          {"grouped_cpu_us", grouped.cpu_us_per_receipt},
          {"single_per_second", single.per_second},
          {"single_cpu_us", single.cpu_us_per_receipt},
          {"stale_per_second", again.per_second},
          {"stale_cpu_us", again.cpu_us_per_receipt}};
}

}  // namespace tayga::bench
