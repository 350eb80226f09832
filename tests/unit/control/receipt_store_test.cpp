#include "daemon/control/receipt_store.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/temporary_folder.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace tayga::control {
namespace {

namespace fs = std::filesystem;

class Folder : public test::TemporaryFolder {
 public:
  fs::path log() const { return path() / "receipts.log"; }
};

/// Files can grow to `size` bytes and no further while this lives, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t size) {
    previous_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &previous_);
    rlimit limit = previous_;
    limit.rlim_cur = size;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &previous_);
    std::signal(SIGXFSZ, previous_handler_);
  }

 private:
  rlimit previous_{};
  void (*previous_handler_)(int) = nullptr;
};

AllocationId id_of(std::uint32_t number) {
  AllocationId id;
  for (unsigned i = 0; i < 4; ++i) id.bytes[i] = static_cast<std::byte>(number >> (24 - 8 * i));
  return id;
}

/// The store looks at layouts only: no signature is needed.
wire::SettlementItem item_of(std::uint32_t number, std::uint32_t seq, std::uint64_t bytes) {
  wire::Receipt receipt;
  receipt.allocation = id_of(number);
  receipt.seq = seq;
  receipt.cum_bytes = bytes;
  const auto body = wire::serialize_receipt_body(receipt);
  wire::SettlementItem item{};
  std::copy(body.begin(), body.end(), item.begin() + wire::kAllocationSize);
  return item;
}

ReceiptStore::Opened open_store(const fs::path& folder) {
  auto opened = ReceiptStore::open(folder);
  if (const auto* error = std::get_if<ReceiptStoreError>(&opened)) FAIL(error->message);
  return std::move(std::get<ReceiptStore::Opened>(opened));
}

using Items = std::vector<wire::SettlementItem>;

}  // namespace

TEST_CASE("receipts that were flushed are there after a restart, the newest of each allocation") {
  const Folder folder;
  {
    auto opened = open_store(folder.path());
    CHECK(opened.items.empty());
    opened.store->put(item_of(1, 1, 100));
    opened.store->put(item_of(2, 1, 700));
    REQUIRE_FALSE(opened.store->flush());
    opened.store->put(item_of(1, 2, 200));
    opened.store->put(item_of(1, 3, 300));
    REQUIRE_FALSE(opened.store->flush());
    CHECK(opened.store->file_records() == 3);
    opened.store->put(item_of(9, 1, 900));  // not flushed: a power cut takes it
  }
  CHECK(fs::file_size(folder.log()) == 3 * kReceiptRecordSize);
  CHECK((fs::status(folder.log()).permissions() & fs::perms::all) ==
        (fs::perms::owner_read | fs::perms::owner_write));
  const auto opened = open_store(folder.path());
  CHECK(opened.items == Items{item_of(1, 3, 300), item_of(2, 1, 700)});
  CHECK(opened.damaged == 0);
}

TEST_CASE("a torn tail is skipped, reported and overwritten by what comes next") {
  const Folder folder;
  {
    auto opened = open_store(folder.path());
    for (std::uint32_t i = 1; i <= 3; ++i) opened.store->put(item_of(i, 1, i));
    REQUIRE_FALSE(opened.store->flush());
  }
  const auto torn_at = GENERATE(std::size_t{1}, std::size_t{200}, kReceiptRecordSize - 1);
  fs::resize_file(folder.log(), 2 * kReceiptRecordSize + torn_at);
  {
    auto opened = open_store(folder.path());
    CHECK(opened.damaged == 1);
    CHECK(opened.items == Items{item_of(1, 1, 1), item_of(2, 1, 2)});
    opened.store->put(item_of(4, 1, 4));
    REQUIRE_FALSE(opened.store->flush());
  }
  const auto opened = open_store(folder.path());
  CHECK(opened.damaged == 0);
  CHECK(opened.items == Items{item_of(1, 1, 1), item_of(2, 1, 2), item_of(4, 1, 4)});
}

TEST_CASE("one flipped bit costs one record and no other") {
  const Folder folder;
  {
    auto opened = open_store(folder.path());
    for (std::uint32_t i = 1; i <= 3; ++i) opened.store->put(item_of(i, 1, i));
    REQUIRE_FALSE(opened.store->flush());
  }
  std::fstream file{folder.log(), std::ios::in | std::ios::out | std::ios::binary};
  file.seekp(static_cast<std::streamoff>(kReceiptRecordSize + 300));
  file.put('\x5a');
  file.close();
  const auto opened = open_store(folder.path());
  CHECK(opened.damaged == 1);
  CHECK(opened.items == Items{item_of(1, 1, 1), item_of(3, 1, 3)});
}

TEST_CASE("settled receipts leave at compaction, what grew meanwhile stays") {
  const Folder folder;
  auto opened = open_store(folder.path());
  ReceiptStore& store = *opened.store;
  store.put(item_of(1, 1, 100));
  store.put(item_of(2, 1, 100));
  store.put(item_of(3, 1, 100));
  REQUIRE_FALSE(store.flush());
  store.settle(id_of(1), 100);
  store.settle(id_of(2), 99);
  store.forget(id_of(3));
  REQUIRE_FALSE(store.flush());
  CHECK(store.live_records() == 1);
  CHECK(store.file_records() == 3);  // too small to be worth compacting

  for (std::uint32_t seq = 2; store.file_records() > 2; ++seq) {
    REQUIRE(seq < 2 * ReceiptStore::kCompactRecordsMin);
    store.put(item_of(2, seq, 100 + seq));
    store.put(item_of(4, seq, seq));
    REQUIRE_FALSE(store.flush());
  }
  CHECK(fs::file_size(folder.log()) == 2 * kReceiptRecordSize);
  CHECK(store.live_records() == 2);
  CHECK_FALSE(fs::exists(folder.path() / "receipts.log.new"));

  store.put(item_of(5, 1, 5));
  REQUIRE_FALSE(store.flush());
  opened.store.reset();
  const auto again = open_store(folder.path());
  REQUIRE(again.items.size() == 3);
  CHECK(again.items[2] == item_of(5, 1, 5));
}

TEST_CASE("a receipt that is settled before it reached the disk is never written") {
  const Folder folder;
  const auto opened = open_store(folder.path());
  opened.store->put(item_of(1, 1, 100));
  opened.store->settle(id_of(1), 100);
  REQUIRE_FALSE(opened.store->flush());
  CHECK(opened.store->file_records() == 0);
}

TEST_CASE("a full disk is an error that says so, and the receipt is written when there is room") {
  const Folder folder;
  auto opened = open_store(folder.path());
  opened.store->put(item_of(1, 1, 100));
  REQUIRE_FALSE(opened.store->flush());
  {
    const FileSizeLimit full{kReceiptRecordSize + 100};
    opened.store->put(item_of(2, 1, 200));
    const auto error = opened.store->flush();
    REQUIRE(error);
    CHECK_THAT(error->message, test::contains("receipts.log") && test::contains("free space"));
    opened.store->put(item_of(2, 2, 250));
    CHECK(opened.store->flush());
  }
  CHECK(fs::file_size(folder.log()) == kReceiptRecordSize);
  REQUIRE_FALSE(opened.store->flush());
  opened.store.reset();
  CHECK(open_store(folder.path()).items == Items{item_of(1, 1, 100), item_of(2, 2, 250)});
}

TEST_CASE("a state directory that is missing or in use is refused in words") {
  const Folder folder;
  const auto missing = ReceiptStore::open(folder.path() / "absent");
  REQUIRE(std::holds_alternative<ReceiptStoreError>(missing));
  CHECK_THAT(std::get<ReceiptStoreError>(missing).message,
             test::contains("state directory exists"));

  const auto opened = open_store(folder.path());
  const auto second = ReceiptStore::open(folder.path());
  REQUIRE(std::holds_alternative<ReceiptStoreError>(second));
  CHECK_THAT(std::get<ReceiptStoreError>(second).message, test::contains("another process"));
}

}  // namespace tayga::control
