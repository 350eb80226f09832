#include "orchestrator/ledger/ledger.hpp"
#include "orchestrator/store/rocksdb_ledger.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/settlement_maker.hpp"
#include "tests/support/temporary_folder.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <variant>

namespace tayga::orch {
namespace {

namespace fs = std::filesystem;

constexpr int kNotPermitted = 77;
constexpr auto kRecoveryMax = 40s;  // RocksDB looks for space every 5 s
constexpr std::size_t kDiskBytes = std::size_t{48} * 1024 * 1024;

/// Leaves 64 KiB free, more or less.
void fill(const fs::path& disk) {
  std::ofstream ballast{disk / "ballast", std::ios::binary};
  const std::string block(64 * 1024, 'x');
  while (ballast.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
  }
  ballast.close();
  std::error_code ignored;
  const auto size = fs::file_size(disk / "ballast", ignored);
  fs::resize_file(disk / "ballast", size - std::min<std::uintmax_t>(size, 64 * 1024), ignored);
}

#define EXPECT(condition)                                                                \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, words().c_str()); \
      return 1;                                                                          \
    }                                                                                    \
  } while (false)

/// In a process and a mount namespace of its own, so that a failed test leaves no mount.
int run_on_small_disk(const fs::path& disk) {
  if (::unshare(CLONE_NEWNS) != 0) return kNotPermitted;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return kNotPermitted;
  const std::string size = "size=" + std::to_string(kDiskBytes);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, size.c_str()) != 0) return kNotPermitted;

  RocksdbLedger::Options options;
  options.block_cache_bytes = std::size_t{8} * 1024 * 1024;
  auto opened = RocksdbLedger::open(disk / "store", options);
  auto words = [&] {
    const auto* error = std::get_if<StoreOpenError>(&opened);
    return error != nullptr ? error->message
                            : std::get<std::unique_ptr<RocksdbLedger>>(opened)->last_error();
  };
  EXPECT(std::holds_alternative<std::unique_ptr<RocksdbLedger>>(opened));
  auto* store = std::get<std::unique_ptr<RocksdbLedger>>(opened).get();
  const test::SettlementMaker make;
  Ledger ledger{make.trust(), *store};
  const auto settle = [&](std::uint64_t bytes) {
    return ledger.settle({make.submission({make.item(1, bytes)})}, test::SettlementMaker::kNowMs)
        .at(0)
        .at(0);
  };

  EXPECT(settle(1).status == SettleStatus::accepted);
  fill(disk);
  // RocksDB has space for its log set aside: use that up as well.
  const Bytes block(256 * 1024);
  Result<void> put;
  for (int i = 0; i < 400 && put; ++i) put = store->put_meta("ballast", block);
  EXPECT(!put && put.error() == StoreErrc::no_space);
  std::uint64_t bytes = 2;
  const SettleAnswer answer = settle(bytes);
  EXPECT(answer.status == SettleStatus::unavailable);
  EXPECT(answer.settled_bytes == 1);
  EXPECT(words().find("no space left") != std::string::npos);
  // Full stays full, and the process lives.
  EXPECT(settle(bytes).status == SettleStatus::unavailable);
  EXPECT(store->totals().value().bytes == bytes - 1);
  EXPECT(settle(bytes - 1).status == SettleStatus::stale);

  fs::remove(disk / "ballast");
  const auto deadline = std::chrono::steady_clock::now() + kRecoveryMax;
  while (settle(bytes).status == SettleStatus::unavailable &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(50ms);  // as a sender that submits again
  }
  ++bytes;
  EXPECT(settle(bytes).status == SettleStatus::accepted);
  EXPECT(words().empty());

  // Nothing was lost or doubled on the way, and a full disk at the start says so.
  std::get<std::unique_ptr<RocksdbLedger>>(opened).reset();
  opened = RocksdbLedger::open(disk / "store", options);
  EXPECT(std::holds_alternative<std::unique_ptr<RocksdbLedger>>(opened));
  store = std::get<std::unique_ptr<RocksdbLedger>>(opened).get();
  EXPECT(words().empty());
  EXPECT(store->totals().value().bytes == bytes);
  return 0;
}

TEST_CASE("on a full disk receipts are unavailable, nothing is lost, and it goes on once freed") {
  const test::TemporaryFolder folder;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(run_on_small_disk(folder.path()));
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  if (WEXITSTATUS(status) == kNotPermitted) {
    WARN("SKIPPED: no permission to mount a small disk; run as root to try a full one");
    return;
  }
  CHECK(WEXITSTATUS(status) == 0);
}

}  // namespace
}  // namespace tayga::orch
