#pragma once

#include "orchestrator/ledger/ledger_store.hpp"
#include "orchestrator/store/store_error.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <variant>

namespace tayga::orch {

/// Why a store could not be opened, for the error code and for the operator.
struct StoreOpenError {
  error_code code;
  std::string message;  ///< what, where, and what to do
};

/// The embedded store. Column families:
///     log     epoch 4 | arrival 8    -> the 408 signed bytes, append only
///     acct    epoch 4 | alloc_id 16  -> running total: authority for idempotence
///     nodes   node id                -> NodeRecord
///     streams name                   -> StreamRecord
///     meta    "state" -> commits, log entries; "u/" + key -> put_meta
/// and the file `commits` beside them (CommitWitness).
///
/// Receipts, streams and meta are synced before the call returns; a node's record is not, it is
/// written again at its next hello. Balances and totals are kept in memory, read at open and moved
/// with each commit. Full disk: calls answer no_space and later
/// writes try again; it takes some seconds after space was freed. Any other
/// failed write or sync: io until restart, because nobody knows what the disk holds. Fewer commits
/// than were acknowledged: reads work, writes answer lost_commits. Not thread-safe.
class RocksdbLedger final : public LedgerStore {
 public:
  struct Options {
    std::size_t block_cache_bytes = std::size_t{256} * 1024 * 1024;
    std::size_t wal_bytes_max = std::size_t{96} * 1024 * 1024;  ///< bounds the time of a restart
  };
  using OpenResult = std::variant<std::unique_ptr<RocksdbLedger>, StoreOpenError>;

  /// Opens the store in `directory`, or makes it (0700).
  static OpenResult open(const std::filesystem::path& directory, const Options& options);
  static OpenResult open(const std::filesystem::path& directory) {
    return open(directory, Options{});
  }
  ~RocksdbLedger() override;

  Result<std::optional<Account>> find_account(std::uint32_t epoch, const AllocationId& id) override;
  Result<void> commit(const std::vector<SettledReceipt>& receipts) override;
  Result<Totals> totals() override;
  Result<std::vector<Balance>> balances() override;
  /// Reads all accounts: for operators.
  Result<std::vector<Account>> accounts(const NodeId& sender, std::size_t max) override;
  Result<void> put_node(const NodeRecord& node) override;
  Result<std::vector<NodeRecord>> load_nodes() override;
  Result<void> put_stream(const StreamRecord& stream) override;
  Result<void> erase_stream(const std::string& name) override;
  Result<std::vector<StreamRecord>> load_streams() override;
  Result<std::optional<Bytes>> get_meta(const std::string& key) override;
  Result<void> put_meta(const std::string& key, ByteView value) override;
  std::string last_error() const override;

 private:
  class Impl;
  explicit RocksdbLedger(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tayga::orch
