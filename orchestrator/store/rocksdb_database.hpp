#pragma once

#include "orchestrator/store/rocksdb_ledger.hpp"

#include <rocksdb/db.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <variant>

/// Private to orchestrator/store: the database itself, opened with our options.
namespace tayga::orch {

enum class Family : std::size_t { meta, log, acct, nodes, streams };
inline constexpr std::size_t kFamilies = 5;

/// An open database and its column families; closed when destroyed.
class RocksdbDatabase {
 public:
  ~RocksdbDatabase();
  RocksdbDatabase(const RocksdbDatabase&) = delete;
  RocksdbDatabase& operator=(const RocksdbDatabase&) = delete;

  static std::variant<std::unique_ptr<RocksdbDatabase>, StoreOpenError> open(
      const std::filesystem::path& directory, const RocksdbLedger::Options& options);

  [[nodiscard]] rocksdb::DB& db() { return *db_; }
  [[nodiscard]] rocksdb::ColumnFamilyHandle* family(Family family) {
    return handles_[static_cast<std::size_t>(family)];
  }

 private:
  RocksdbDatabase() = default;

  std::unique_ptr<rocksdb::DB> db_;
  std::array<rocksdb::ColumnFamilyHandle*, kFamilies> handles_{};
  rocksdb::ColumnFamilyHandle* default_handle_ = nullptr;
};

StoreErrc to_store_errc(const rocksdb::Status& status);

}  // namespace tayga::orch
