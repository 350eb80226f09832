#include "orchestrator/store/rocksdb_database.hpp"

#include "orchestrator/store/rocksdb_logger.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace tayga::orch {
namespace {

constexpr std::array<const char*, kFamilies> kFamilyNames{"meta", "log", "acct", "nodes",
                                                          "streams"};
constexpr double kBloomBitsPerKey = 10;  // most receipts are the first of their account
/// Per family. After a full disk RocksDB goes on only when as much is free.
constexpr std::size_t kWriteBufferBytes = std::size_t{16} * 1024 * 1024;
constexpr int kFormatVersion = 5;  // the newest that RocksDB 7.8 reads

rocksdb::DBOptions to_db_options(const RocksdbLedger::Options& options) {
  rocksdb::DBOptions db;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  db.paranoid_checks = true;
  db.track_and_verify_wals_in_manifest = true;
  db.max_total_wal_size = options.wal_bytes_max;
  db.max_open_files = 256;
  db.info_log = std::make_shared<RocksdbLogger>();
  return db;
}

rocksdb::ColumnFamilyOptions to_family_options(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.format_version = kFormatVersion;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  rocksdb::ColumnFamilyOptions family;
  family.write_buffer_size = kWriteBufferBytes;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family.compression = rocksdb::kNoCompression;  // signatures and keys do not compress
  return family;
}

bool has_text(const rocksdb::Status& status, std::string_view text) {
  return status.ToString().find(text) != std::string::npos;
}

std::string advice(StoreErrc code) {
  switch (code) {
    case StoreErrc::locked:
      return "another process has it open; stop that one first";
    case StoreErrc::no_permission:
      return "no permission; give the folder to the user that runs the orchestrator";
    case StoreErrc::no_space:
      return "no space left on the device; free some and start again";
    case StoreErrc::corrupt:
      return "it is damaged; restore the folder from a backup";
    case StoreErrc::newer_version:
      return "it was written by a later release; run that release, or restore an older backup";
    case StoreErrc::lost_commits:
    case StoreErrc::io:
      break;
  }
  return "the disk failed; look at the system's log";
}

StoreOpenError to_open_error(const std::filesystem::path& directory, StoreErrc code,
                             const std::string& detail) {
  return {code, "the store in " + directory.string() + " cannot be opened: " + advice(code) + " (" +
                    detail + ")"};
}

/// A family that we do not know was made by a later release.
bool has_unknown_family(const std::filesystem::path& directory, const rocksdb::DBOptions& options) {
  std::vector<std::string> names;
  if (!rocksdb::DB::ListColumnFamilies(options, directory.string(), &names).ok()) return false;
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name != rocksdb::kDefaultColumnFamilyName &&
           std::find(kFamilyNames.begin(), kFamilyNames.end(), name) == kFamilyNames.end();
  });
}

}  // namespace

StoreErrc to_store_errc(const rocksdb::Status& status) {
  if (status.IsNoSpace() || has_text(status, "No space left")) return StoreErrc::no_space;
  if (status.IsCorruption()) return StoreErrc::corrupt;
  if (has_text(status, "Permission denied")) return StoreErrc::no_permission;
  if (has_text(status, "lock")) return StoreErrc::locked;
  return StoreErrc::io;
}

RocksdbDatabase::~RocksdbDatabase() {
  if (!db_) return;
  for (rocksdb::ColumnFamilyHandle* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
  db_->DestroyColumnFamilyHandle(default_handle_);
}

std::variant<std::unique_ptr<RocksdbDatabase>, StoreOpenError> RocksdbDatabase::open(
    const std::filesystem::path& directory, const RocksdbLedger::Options& options) {
  std::error_code ec;
  if (std::filesystem::create_directories(directory, ec)) {
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all, ec);
  }
  if (ec) {
    const bool denied = ec == std::errc::permission_denied;
    const bool full = ec == std::errc::no_space_on_device;
    const StoreErrc code = denied ? StoreErrc::no_permission
                           : full ? StoreErrc::no_space
                                  : StoreErrc::io;
    return to_open_error(directory, code, ec.message());
  }
  const rocksdb::DBOptions db_options = to_db_options(options);
  if (has_unknown_family(directory, db_options)) {
    return to_open_error(directory, StoreErrc::newer_version, "an unknown column family");
  }
  const auto family_options = to_family_options(rocksdb::NewLRUCache(options.block_cache_bytes));
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  families.emplace_back(rocksdb::kDefaultColumnFamilyName, family_options);
  for (const char* name : kFamilyNames) families.emplace_back(name, family_options);

  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const rocksdb::Status status =
      rocksdb::DB::Open(db_options, directory.string(), families, &handles, &db);
  if (!status.ok()) return to_open_error(directory, to_store_errc(status), status.ToString());

  std::unique_ptr<RocksdbDatabase> opened{new RocksdbDatabase};
  opened->db_.reset(db);
  opened->default_handle_ = handles.front();
  std::copy(handles.begin() + 1, handles.end(), opened->handles_.begin());
  return opened;
}

}  // namespace tayga::orch
