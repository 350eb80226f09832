#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/wire/receipt.hpp"
#include "orchestrator/model/records.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tayga::orch {

/// Durable running total of one allocation.
struct Account {
  std::uint32_t epoch = 0;
  AllocationId allocation;
  NodeId sender;
  NodeId receiver;
  StreamHandle stream;
  std::uint64_t cum_bytes = 0;
  std::uint64_t cum_late_bytes = 0;
  std::uint32_t seq = 0;
  friend bool operator==(const Account&, const Account&) = default;
};

struct Balance {
  NodeId node;
  std::uint64_t sent_bytes = 0;      ///< acknowledged by receivers, settled
  std::uint64_t received_bytes = 0;  ///< acknowledged by this node as receiver
  std::uint64_t allocations = 0;
};

struct SettledReceipt {
  Account account;
  wire::SettlementItem evidence{};
};

/// Where the ledger and the registry's records live. One conformance suite runs against every
/// implementation. Calls block; `commit` returns only when the data is durable.
class LedgerStore {
 public:
  virtual ~LedgerStore() = default;

  [[nodiscard]] virtual Result<std::optional<Account>> find_account(std::uint32_t epoch,
                                                                    const AllocationId& id) = 0;
  /// One atomic, synced batch: evidence appended to the log, running totals replaced by the larger
  /// one. An error means that nothing of the batch counts.
  [[nodiscard]] virtual Result<void> commit(const std::vector<SettledReceipt>& receipts) = 0;

  struct Totals {
    std::uint64_t receipts = 0;  ///< accounts with a settled receipt
    std::uint64_t bytes = 0;     ///< sum of running totals
    std::uint64_t log_entries = 0;
  };
  [[nodiscard]] virtual Result<Totals> totals() = 0;
  [[nodiscard]] virtual Result<std::vector<Balance>> balances() = 0;
  [[nodiscard]] virtual Result<std::vector<Account>> accounts(const NodeId& sender,
                                                              std::size_t max) = 0;

  [[nodiscard]] virtual Result<void> put_node(const NodeRecord& node) = 0;
  [[nodiscard]] virtual Result<std::vector<NodeRecord>> load_nodes() = 0;
  [[nodiscard]] virtual Result<void> put_stream(const StreamRecord& stream) = 0;
  [[nodiscard]] virtual Result<void> erase_stream(const std::string& name) = 0;
  [[nodiscard]] virtual Result<std::vector<StreamRecord>> load_streams() = 0;

  /// Small durable values: schema version, epoch secrets, counters.
  [[nodiscard]] virtual Result<std::optional<Bytes>> get_meta(const std::string& key) = 0;
  [[nodiscard]] virtual Result<void> put_meta(const std::string& key, ByteView value) = 0;
  /// The last error in words, for operators ("disk full: ... free space and restart").
  [[nodiscard]] virtual std::string last_error() const = 0;
};

}  // namespace tayga::orch
