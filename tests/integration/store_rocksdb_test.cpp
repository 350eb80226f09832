#include "orchestrator/store/commit_witness.hpp"
#include "orchestrator/store/record_codec.hpp"
#include "orchestrator/store/rocksdb_ledger.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/ledger_store_conformance.hpp"
#include "tests/support/temporary_folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

namespace tayga::orch {
namespace {

namespace fs = std::filesystem;

RocksdbLedger::Options small() {
  RocksdbLedger::Options options;
  options.block_cache_bytes = std::size_t{8} * 1024 * 1024;
  return options;
}

std::unique_ptr<RocksdbLedger> open_store(const fs::path& folder) {
  auto opened = RocksdbLedger::open(folder, small());
  if (const auto* error = std::get_if<StoreOpenError>(&opened)) FAIL(error->message);
  return std::move(std::get<std::unique_ptr<RocksdbLedger>>(opened));
}

StoreOpenError open_fails(const fs::path& folder) {
  auto opened = RocksdbLedger::open(folder, small());
  REQUIRE(std::holds_alternative<StoreOpenError>(opened));
  return std::get<StoreOpenError>(opened);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

SettledReceipt receipt(std::uint64_t bytes) {
  SettledReceipt settled;
  settled.account.epoch = 1;
  settled.account.cum_bytes = bytes;
  return settled;
}

TEST_CASE("the store on RocksDB does what every store must do, also after it was reopened") {
  const test::TemporaryFolder folder;
  std::unique_ptr<RocksdbLedger> store;
  test::check_ledger_store([&]() -> LedgerStore& {
    store.reset();
    store = open_store(folder.path() / "store");
    return *store;
  });
}

TEST_CASE("a store is for its owner only") {
  const test::TemporaryFolder folder;
  const auto store = open_store(folder.path() / "store");
  CHECK(fs::status(folder.path() / "store").permissions() == fs::perms::owner_all);
}

TEST_CASE("a store that another holder has open is refused with what to do") {
  const test::TemporaryFolder folder;
  const auto store = open_store(folder.path());
  const StoreOpenError error = open_fails(folder.path());
  CHECK(error.code == StoreErrc::locked);
  CHECK(has(error.message, folder.path().string()));
  CHECK(has(error.message, "another process"));
}

TEST_CASE("a damaged store is refused with what to do") {
  const test::TemporaryFolder folder;
  open_store(folder.path())->commit({receipt(5)}).value();
  std::ofstream{folder.path() / "CURRENT"} << "nonsense\n";
  const StoreOpenError error = open_fails(folder.path());
  CHECK(error.code == StoreErrc::corrupt);
  CHECK(has(error.message, "backup"));
}

TEST_CASE("a folder that cannot be made or read is named") {
  const test::TemporaryFolder folder;
  std::ofstream{folder.path() / "file"} << "x";
  const StoreOpenError error = open_fails(folder.path() / "file" / "store");
  CHECK(has(error.message, (folder.path() / "file" / "store").string()));
  if (::geteuid() == 0) {
    WARN("runs as root: the case without permission cannot be tried");
    return;
  }
  fs::create_directory(folder.path() / "closed");
  fs::permissions(folder.path() / "closed", fs::perms::none);
  CHECK(open_fails(folder.path() / "closed" / "store").code == StoreErrc::no_permission);
}

TEST_CASE("a store that holds fewer commits than were acknowledged is read-only and says so") {
  const test::TemporaryFolder folder;
  open_store(folder.path())->commit({receipt(5)}).value();
  CommitWitness::open(folder.path() / "commits").value().record(2).value();
  {
    const auto store = open_store(folder.path());
    CHECK(has(store->last_error(), "holds 1 commits, but 2 were acknowledged"));
    CHECK(store->commit({receipt(6)}).error() == StoreErrc::lost_commits);
    CHECK(store->put_node(NodeRecord{}).error() == StoreErrc::lost_commits);
    CHECK(store->put_meta("k", {}).error() == StoreErrc::lost_commits);
    CHECK(store->find_account(1, AllocationId{}).value()->cum_bytes == 5);
    CHECK(store->totals().value().bytes == 5);
  }
  fs::remove(folder.path() / "commits");  // the operator accepts the loss
  const auto store = open_store(folder.path());
  CHECK(store->last_error().empty());
  CHECK(store->commit({receipt(6)}));
}

TEST_CASE("a write-ahead log that lost its end is found, not silently accepted") {
  const test::TemporaryFolder folder;
  {
    const auto store = open_store(folder.path());
    store->commit({receipt(5)}).value();
    store->commit({receipt(6)}).value();
  }
  for (const auto& entry : fs::directory_iterator{folder.path()}) {
    if (entry.path().extension() == ".log" && entry.file_size() > 300) {
      fs::resize_file(entry.path(), entry.file_size() - 300);
    }
  }
  const auto store = open_store(folder.path());
  CHECK(has(store->last_error(), "were acknowledged"));
  CHECK_FALSE(store->commit({receipt(7)}));
}

TEST_CASE("a witness survives a torn write of either slot, and is refused without any") {
  const test::TemporaryFolder folder;
  const fs::path file = folder.path() / "commits";
  const auto tear = [&](off_t at) {
    const int fd = ::open(file.c_str(), O_WRONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    CHECK(::pwrite(fd, "torn", 4, at + 6) == 4);
    ::close(fd);
  };
  {
    CommitWitness witness = CommitWitness::open(file).value();
    CHECK(witness.commits() == 0);
    for (std::uint64_t n = 1; n <= 8; ++n) witness.record(n).value();
  }
  CHECK(CommitWitness::open(file).value().commits() == 8);
  tear(0);  // the slot of even numbers
  CHECK(CommitWitness::open(file).value().commits() == 7);
  tear(512);
  CHECK(CommitWitness::open(file).error() == StoreErrc::corrupt);
  const StoreOpenError error = open_fails(folder.path());
  CHECK(has(error.message, file.string()));
}

TEST_CASE("records of a later release, or cut short, are told apart and never read as others") {
  NodeRecord node;
  node.name = "n";
  node.endpoints = {Endpoint{"192.0.2.1", 1}};
  StreamRecord stream;
  stream.name = "s";
  stream.tracks = {TrackRecord{TrackId{1}, "p", 2}};
  const std::string node_bytes = encode_node(node);
  const std::string stream_bytes = encode_stream(stream);
  const std::string key = encode_account_key(1, AllocationId{});
  const std::string account_bytes = encode_account(Account{});
  CHECK(decode_node(node_bytes).value() == node);
  CHECK(decode_stream(stream_bytes).value() == stream);
  for (std::size_t size = 0; size < node_bytes.size(); ++size) {
    CHECK(decode_node(node_bytes.substr(0, size)).error() == StoreErrc::corrupt);
  }
  for (std::size_t size = 0; size < stream_bytes.size(); ++size) {
    CHECK(decode_stream(stream_bytes.substr(0, size)).error() == StoreErrc::corrupt);
  }
  for (std::size_t size = 0; size < account_bytes.size(); ++size) {
    CHECK(decode_account(key, account_bytes.substr(0, size)).error() == StoreErrc::corrupt);
  }
  CHECK(decode_node(node_bytes + "x").error() == StoreErrc::corrupt);
  CHECK(decode_stream("\2" + stream_bytes.substr(1)).error() == StoreErrc::newer_version);
  CHECK(decode_state("").error() == StoreErrc::corrupt);
}

}  // namespace
}  // namespace tayga::orch
