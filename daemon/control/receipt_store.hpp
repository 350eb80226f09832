#pragma once

#include "common/base/ids.hpp"
#include "common/wire/receipt.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace tayga::control {

//  | settlement item 408 | first 8 bytes of SHA-256 of it |     one record of receipts.log
inline constexpr std::size_t kReceiptRecordSize = wire::kSettlementItemSize + 8;

/// Worded for the node's owner: what failed, where, what to do.
struct ReceiptStoreError {
  std::string message;
};

/// The receipts that a sender has earned and not yet settled, on disk: `receipts.log` in the state
/// directory, append only, compacted when it is more than four times what is still open.
///
/// put() and settle() only remember and return at once, from any thread. flush() does all the disk
/// work, blocks for as long as the disk takes, and must not run twice at once; call it at least
/// every 5 s: that is how much a power cut can cost. A record is written before flush() returns
/// success.
class ReceiptStore {
 public:
  /// Below this many records a log is not worth compacting.
  static constexpr std::size_t kCompactRecordsMin = 256;
  static constexpr std::size_t kCompactFactor = 4;

  struct Opened;
  /// Opens or creates the log and reads it. Damaged records and a torn tail are skipped with a
  /// warning. Error: unreadable, not writable, or in use by another process.
  static std::variant<Opened, ReceiptStoreError> open(const std::filesystem::path& state_dir);
  ~ReceiptStore();
  ReceiptStore(const ReceiptStore&) = delete;
  ReceiptStore& operator=(const ReceiptStore&) = delete;

  /// The newest receipt of its allocation; replaces what was put before.
  void put(const wire::SettlementItem& item);
  /// The orchestrator holds `settled_bytes` durably: a receipt up to that total need not be kept.
  void settle(const AllocationId& allocation, std::uint64_t settled_bytes);
  /// The receipt was refused for good.
  void forget(const AllocationId& allocation);

  /// Writes and syncs what is new, compacts when due. On an error (a full disk) nothing is lost:
  /// what was not written stays in memory and is tried again with the next call.
  std::optional<ReceiptStoreError> flush();

  /// For status and tests; as of the last flush.
  [[nodiscard]] std::size_t live_records() const noexcept { return index_.size(); }
  [[nodiscard]] std::size_t file_records() const noexcept { return file_records_; }

 private:
  struct Place {
    std::size_t record;  // its number in the file
    std::uint32_t seq;
    std::uint64_t cum_bytes;
  };
  struct Changes {
    std::map<AllocationId, wire::SettlementItem> items;
    std::map<AllocationId, std::uint64_t> settled;
  };
  struct Loaded {
    std::vector<wire::SettlementItem> items;
    std::size_t damaged = 0;
  };

  explicit ReceiptStore(std::filesystem::path path);
  std::optional<ReceiptStoreError> open_file();
  std::optional<ReceiptStoreError> load(Loaded& out);
  std::optional<ReceiptStoreError> write_changes(const Changes& changes);
  std::optional<ReceiptStoreError> compact();
  [[nodiscard]] ReceiptStoreError make_error(const char* what) const;

  const std::filesystem::path path_;
  int fd_ = -1;
  std::size_t file_records_ = 0;
  std::map<AllocationId, Place> index_;  // of what is on disk and still open

  std::mutex mutex_;  // guards changes_
  Changes changes_;
};

struct ReceiptStore::Opened {
  std::unique_ptr<ReceiptStore> store;
  std::vector<wire::SettlementItem> items;  ///< one per allocation, for ReceiptBook::on_restored
  std::size_t damaged = 0;                  ///< records that were skipped
};

}  // namespace tayga::control
