// Settles receipts into the store in argv[1] until it is killed. After each answer that says
// `accepted` it prints "ALLOCATION BYTES", so whatever reads it knows what must survive. argv[2] is
// where its allocations begin, argv[3], where given, after how many answers it ends by itself.

#include "orchestrator/ledger/ledger.hpp"
#include "orchestrator/store/rocksdb_ledger.hpp"
#include "tests/support/settlement_maker.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace tayga;

constexpr std::uint64_t kAllocations = 8;
constexpr std::uint64_t kBytesPerRound = 100;

/// Prints what was accepted. Returns false when the store does not work.
bool settle_round(orch::Ledger& ledger, const test::SettlementMaker& make, std::uint64_t first,
                  std::uint64_t round) {
  std::vector<Bytes> items;
  for (std::uint64_t a = 0; a < kAllocations; ++a) {
    items.push_back(make.item(first + a, round * kBytesPerRound));
  }
  const auto answers = ledger.settle({make.submission(items)}, test::SettlementMaker::kNowMs);
  for (std::uint64_t a = 0; a < kAllocations; ++a) {
    const orch::SettleAnswer& answer = answers[0][a];
    if (answer.status == orch::SettleStatus::unavailable) return false;
    std::printf("%llu %llu\n", static_cast<unsigned long long>(first + a),
                static_cast<unsigned long long>(answer.settled_bytes));
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 64;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  orch::RocksdbLedger::Options options;
  options.block_cache_bytes = std::size_t{8} * 1024 * 1024;
  // A small log, so that kills fall into flushes as well.
  options.wal_bytes_max = std::size_t{256} * 1024;
  auto opened = orch::RocksdbLedger::open(argv[1], options);
  if (const auto* error = std::get_if<orch::StoreOpenError>(&opened)) {
    std::fprintf(stderr, "%s\n", error->message.c_str());
    return 1;
  }
  auto& store = *std::get<std::unique_ptr<orch::RocksdbLedger>>(opened);
  if (!store.last_error().empty()) {
    std::fprintf(stderr, "%s\n", store.last_error().c_str());
    return 1;
  }
  const test::SettlementMaker make;
  orch::Ledger ledger{make.trust(), store};
  const std::uint64_t first = std::strtoull(argv[2], nullptr, 10);
  const std::uint64_t rounds = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 10'000;
  for (std::uint64_t round = 1; round <= rounds; ++round) {
    if (settle_round(ledger, make, first, round)) continue;
    std::fprintf(stderr, "%s\n", store.last_error().c_str());
    return 1;
  }
  return 0;
}
