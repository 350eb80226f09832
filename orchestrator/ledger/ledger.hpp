#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/media/allocation_term.hpp"
#include "common/media/receipts.hpp"
#include "common/wire/allocation.hpp"
#include "common/wire/receipt.hpp"
#include "orchestrator/ledger/ledger_store.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tayga::orch {

enum class SettleStatus : std::uint8_t {
  accepted = 1,
  stale,
  malformed,
  bad_signature,
  wrong_network,
  wrong_sender,
  expired,
  over_limit,
  unknown_key,
  unavailable,
};

struct SettleAnswer {
  AllocationId allocation;
  SettleStatus status = SettleStatus::unavailable;
  std::uint64_t settled_bytes = 0;  ///< durable running total after this batch
};

/// Which online keys the network ever had: receipts are checked against the one that signed.
struct LedgerTrust {
  NetworkId network;
  std::vector<media::OnlineKey> online_keys;
  Duration expiry_grace = media::kSettleGrace;
};

/// Checks settlement items and settles them by max-merge: cheap checks first (layout, network,
/// sender, expiry + grace, limit, growth), then the two signatures, then one durable batch.
///
/// An allocation must name an online key within whose term it was issued, or a key that leaked
/// after its term could still sign. `settled_bytes` of an answer is 0 unless it is accepted, stale
/// or unavailable: who is refused learns nothing of an account.
///
/// Same input, same answer, in any order, any number of times, across any crash. Not thread-safe:
/// one ledger thread owns it. Blocking (the store syncs).
class Ledger {
 public:
  Ledger(LedgerTrust trust, LedgerStore& store);

  struct Submission {
    NodeId sender;  ///< proven by the session
    std::vector<Bytes> items;
  };
  /// Answers in the order of the submissions and their items; an answer `accepted` is durable.
  /// A store error answers `unavailable` for what was not durable before.
  std::vector<std::vector<SettleAnswer>> settle(const std::vector<Submission>& submissions,
                                                std::int64_t wall_ms);
  void on_online_key(const media::OnlineKey& key);

  /// Verified ones that wait for one commit: a bound of memory and of what one error costs.
  static constexpr std::size_t kCommitMax = 512;

  struct Counters {
    std::uint64_t accepted = 0;
    std::uint64_t accepted_bytes = 0;  ///< growth of running totals
    std::uint64_t stale = 0;
    std::uint64_t refused = 0;
    std::uint64_t unavailable = 0;  ///< not stored; they come again
    std::uint64_t batches = 0;      ///< commits that succeeded
    std::uint64_t signature_checks = 0;
  };
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

 private:
  class Settlement;

  LedgerTrust trust_;
  LedgerStore& store_;
  Counters counters_;
};

}  // namespace tayga::orch
