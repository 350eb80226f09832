#include "orchestrator/store/rocksdb_ledger.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"
#include "tests/support/settlement_maker.hpp"
#include "tests/support/temporary_folder.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <variant>

namespace tayga::orch {
namespace {

using Acknowledged = std::map<std::uint64_t, std::uint64_t>;  ///< allocation -> bytes

/// The settling process, and the lines that it has printed.
class SettleLoop {
 public:
  SettleLoop(const std::string& folder, std::uint64_t first_allocation) {
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    const std::string first = std::to_string(first_allocation);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::dup2(pipe[1], STDOUT_FILENO);
      ::close(pipe[0]);
      ::execl(TAYGA_SETTLE_LOOP, "ledger_settle_loop", folder.c_str(), first.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(pipe[1]);
    out_ = ::fdopen(pipe[0], "r");
    REQUIRE(out_ != nullptr);
  }
  SettleLoop(const SettleLoop&) = delete;
  SettleLoop& operator=(const SettleLoop&) = delete;
  ~SettleLoop() {
    if (pid_ > 0) kill_now();
    std::fclose(out_);
  }

  /// False at the end of its output.
  bool read_line(Acknowledged& acknowledged) {
    unsigned long long allocation = 0;
    unsigned long long bytes = 0;
    if (std::fscanf(out_, "%llu %llu", &allocation, &bytes) != 2) return false;
    std::uint64_t& known = acknowledged[allocation];
    known = std::max<std::uint64_t>(known, bytes);
    return true;
  }
  void kill_now() {
    ::kill(pid_, SIGKILL);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    CHECK(WIFSIGNALED(status));  // it did not end by itself, which would be an error
  }

 private:
  pid_t pid_ = -1;
  std::FILE* out_ = nullptr;
};

TEST_CASE("killed in mid-write many times, the ledger keeps every acknowledged receipt, once") {
  TAYGA_SEEDED_RANDOM(random, 424242);
  const test::TemporaryFolder folder;
  const test::SettlementMaker make;
  Acknowledged acknowledged;
  constexpr int kKills = 24;
  for (int kill = 0; kill < kKills; ++kill) {
    {
      // Half the runs go on with the allocations of the run before, half begin new ones.
      SettleLoop loop{folder.path().string(), static_cast<std::uint64_t>(kill / 2) * 100};
      for (std::uint64_t n = random.between(1, 200); n > 0; --n) {
        REQUIRE(loop.read_line(acknowledged));
      }
      ::usleep(static_cast<useconds_t>(random.between(0, 3000)));
      loop.kill_now();
      while (loop.read_line(acknowledged)) {
      }
    }
    auto opened = RocksdbLedger::open(folder.path());
    if (const auto* error = std::get_if<StoreOpenError>(&opened)) FAIL(error->message);
    auto& store = *std::get<std::unique_ptr<RocksdbLedger>>(opened);
    CHECK(store.last_error().empty());
    std::uint64_t total = 0;
    for (const auto& [allocation, bytes] : acknowledged) {
      const auto account = store.find_account(7, make.allocation(allocation).id).value();
      REQUIRE(account.has_value());
      REQUIRE(account->cum_bytes >= bytes);
      // What was not acknowledged may be there, but as one receipt that was really given.
      REQUIRE(account->cum_bytes % 100 == 0);
      total += account->cum_bytes;
    }
    const auto accounts = store.accounts(make.sender.node_id(), 100'000).value();
    std::uint64_t stored = 0;
    for (const Account& account : accounts) stored += account.cum_bytes;
    CHECK(store.totals().value().bytes == stored);
    CHECK(store.balances().value().at(0).sent_bytes + store.balances().value().at(1).sent_bytes ==
          stored);
    CHECK(stored >= total);
  }
  CHECK(acknowledged.size() >= 8 * kKills / 2);
}

}  // namespace
}  // namespace tayga::orch
