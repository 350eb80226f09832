#include "orchestrator/ledger/ledger.hpp"

#include <algorithm>
#include <map>
#include <utility>

namespace tayga::orch {
namespace {

using AccountKey = std::pair<std::uint32_t, AllocationId>;

/// An allocation may begin a little before it is signed: nodes' clocks differ.
constexpr std::int64_t kIssueSkewMs = 3600 * 1000;

struct ParsedItem {
  wire::Allocation allocation;
  wire::Receipt receipt;

  [[nodiscard]] AccountKey key() const { return {allocation.epoch, allocation.id}; }
  [[nodiscard]] Account account() const {
    return Account{
        allocation.epoch,         allocation.id,     allocation.sender,      allocation.receiver,
        allocation.stream_handle, receipt.cum_bytes, receipt.cum_late_bytes, receipt.seq};
  }
};

ByteView allocation_part(ByteView item) {
  return item.first(wire::kAllocationSize);
}
ByteView receipt_part(ByteView item) {
  return item.subspan(wire::kAllocationSize);
}

std::optional<ParsedItem> parse_item(ByteView item) {
  if (item.size() != wire::kSettlementItemSize) return std::nullopt;
  const auto allocation = wire::parse_allocation(allocation_part(item));
  if (!allocation) return std::nullopt;
  const auto receipt = wire::parse_receipt(receipt_part(item));
  if (!receipt) return std::nullopt;
  if (receipt->allocation != allocation->id || receipt->network != allocation->network) {
    return std::nullopt;
  }
  return ParsedItem{*allocation, *receipt};
}

bool is_same_link(const Account& account, const wire::Allocation& allocation) {
  return account.sender == allocation.sender && account.receiver == allocation.receiver &&
         account.stream == allocation.stream_handle;
}

}  // namespace

/// One call of settle(): answers by position, totals as they are in the store, and what waits for
/// the next commit.
class Ledger::Settlement {
 public:
  Settlement(Ledger& ledger, std::int64_t wall_ms) : ledger_{ledger}, wall_ms_{wall_ms} {}

  std::vector<std::vector<SettleAnswer>> run(const std::vector<Submission>& submissions) {
    answers_.resize(submissions.size());
    for (std::size_t s = 0; s < submissions.size(); ++s) {
      answers_[s].resize(submissions[s].items.size());
      for (std::size_t i = 0; i < submissions[s].items.size(); ++i) {
        settle_one(submissions[s].sender, submissions[s].items[i], answers_[s][i]);
        if (pending_.size() >= kCommitMax) commit();
      }
    }
    commit();
    return std::move(answers_);
  }

 private:
  struct Known {
    std::optional<Account> durable;  ///< as the store has it
    std::optional<Account> newest;   ///< the same, or larger and waiting for the commit
  };

  void settle_one(const NodeId& sender, const Bytes& item, SettleAnswer& answer) {
    const auto parsed = parse_item(item);
    if (!parsed) return refuse(answer, SettleStatus::malformed);
    answer.allocation = parsed->allocation.id;
    if (const auto status = refusal(sender, *parsed)) return refuse(answer, *status);

    Known* known = find(parsed->key());
    if (known == nullptr) return unavailable(answer, 0);
    if (known->newest) {
      // An allocation belongs to one link for ever: another claim to its id cannot be signed.
      if (!is_same_link(*known->newest, parsed->allocation)) {
        return refuse(answer, SettleStatus::bad_signature);
      }
      if (parsed->receipt.cum_bytes <= known->newest->cum_bytes) return stale(answer, *known);
    }
    if (!has_valid_signatures(*parsed, item)) return refuse(answer, SettleStatus::bad_signature);
    if (!store_works_) return unavailable(answer, durable_bytes(*known));
    accept(answer, *parsed, item, *known);
  }

  /// What needs neither the store nor a signature.
  [[nodiscard]] std::optional<SettleStatus> refusal(const NodeId& sender,
                                                    const ParsedItem& item) const {
    const LedgerTrust& trust = ledger_.trust_;
    const wire::Allocation& allocation = item.allocation;
    if (allocation.network != trust.network) return SettleStatus::wrong_network;
    if (allocation.sender != sender) return SettleStatus::wrong_sender;
    const std::int64_t grace_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(trust.expiry_grace).count();
    if (wall_ms_ - grace_ms > allocation.not_after_ms) return SettleStatus::expired;
    if (item.receipt.cum_bytes > allocation.max_bytes) return SettleStatus::over_limit;
    if (find_key(allocation) == nullptr) return SettleStatus::unknown_key;
    return std::nullopt;
  }

  [[nodiscard]] const media::OnlineKey* find_key(const wire::Allocation& allocation) const {
    for (const media::OnlineKey& key : ledger_.trust_.online_keys) {
      if (key.key_id != allocation.key_id || key.network != ledger_.trust_.network) continue;
      const bool in_term = allocation.not_before_ms >= key.not_before_ms - kIssueSkewMs &&
                           allocation.not_before_ms <= key.not_after_ms;
      if (in_term) return &key;
    }
    return nullptr;
  }

  /// nullptr: the store cannot be read.
  Known* find(const AccountKey& key) {
    const auto it = known_.find(key);
    if (it != known_.end()) return &it->second;
    const auto found = ledger_.store_.find_account(key.first, key.second);
    if (!found) return nullptr;
    return &known_.emplace(key, Known{*found, *found}).first->second;
  }

  bool has_valid_signatures(const ParsedItem& item, ByteView blob) {
    const media::OnlineKey* key = find_key(item.allocation);
    // A sender's receipts of one allocation carry the same blob: its signature is checked once.
    const Bytes allocation{allocation_part(blob).begin(), allocation_part(blob).end()};
    if (verified_ != allocation) {
      ++ledger_.counters_.signature_checks;
      if (!media::verify_allocation(allocation, key->key)) return false;
      verified_ = allocation;
    }
    ++ledger_.counters_.signature_checks;
    return media::verify_receipt(receipt_part(blob), item.allocation).has_value();
  }

  void accept(SettleAnswer& answer, const ParsedItem& item, const Bytes& blob, Known& known) {
    answer.status = SettleStatus::accepted;
    waiting_.emplace_back(&answer, item.key());
    SettledReceipt& settled = pending_[item.key()];
    settled.account = item.account();
    std::copy(blob.begin(), blob.end(), settled.evidence.begin());
    known.newest = settled.account;
  }

  void stale(SettleAnswer& answer, const Known& known) {
    answer.status = SettleStatus::stale;
    if (known.durable == known.newest) {
      answer.settled_bytes = known.durable->cum_bytes;
      ++ledger_.counters_.stale;
    } else {
      // Covered by a larger one that is not durable yet.
      waiting_.emplace_back(&answer, AccountKey{known.newest->epoch, known.newest->allocation});
    }
  }

  void refuse(SettleAnswer& answer, SettleStatus status) {
    answer.status = status;
    ++ledger_.counters_.refused;
  }

  void unavailable(SettleAnswer& answer, std::uint64_t settled_bytes) {
    answer.status = SettleStatus::unavailable;
    answer.settled_bytes = settled_bytes;
    ++ledger_.counters_.unavailable;
  }

  static std::uint64_t durable_bytes(const Known& known) {
    return known.durable ? known.durable->cum_bytes : 0;
  }

  /// Makes what is pending durable, and only then answers it.
  void commit() {
    if (pending_.empty()) return;
    std::vector<SettledReceipt> receipts;
    receipts.reserve(pending_.size());
    for (auto& [key, settled] : pending_) receipts.push_back(settled);
    pending_.clear();
    store_works_ = ledger_.store_.commit(receipts).has_value();
    if (store_works_) count_committed(receipts);
    for (const auto& [answer, key] : waiting_) {
      const Known& known = known_.at(key);
      if (!store_works_) {
        unavailable(*answer, durable_bytes(known));
        continue;
      }
      answer->settled_bytes = durable_bytes(known);
      Counters& counters = ledger_.counters_;
      ++(answer->status == SettleStatus::stale ? counters.stale : counters.accepted);
    }
    waiting_.clear();
    if (!store_works_) {
      for (const SettledReceipt& receipt : receipts) {
        Known& known = known_.at({receipt.account.epoch, receipt.account.allocation});
        known.newest = known.durable;
      }
    }
  }

  void count_committed(const std::vector<SettledReceipt>& receipts) {
    ++ledger_.counters_.batches;
    for (const SettledReceipt& receipt : receipts) {
      Known& known = known_.at({receipt.account.epoch, receipt.account.allocation});
      ledger_.counters_.accepted_bytes += receipt.account.cum_bytes - durable_bytes(known);
      known.durable = receipt.account;
    }
  }

  Ledger& ledger_;
  std::int64_t wall_ms_;
  std::vector<std::vector<SettleAnswer>> answers_;
  std::map<AccountKey, Known> known_;             ///< bounded by the items of the call
  std::map<AccountKey, SettledReceipt> pending_;  ///< the largest per account
  std::vector<std::pair<SettleAnswer*, AccountKey>> waiting_;
  Bytes verified_;           ///< the allocation whose signature was checked last
  bool store_works_ = true;  ///< after an error the rest of the call is answered `unavailable`
};

Ledger::Ledger(LedgerTrust trust, LedgerStore& store) : trust_{std::move(trust)}, store_{store} {}

std::vector<std::vector<SettleAnswer>> Ledger::settle(const std::vector<Submission>& submissions,
                                                      std::int64_t wall_ms) {
  return Settlement{*this, wall_ms}.run(submissions);
}

void Ledger::on_online_key(const media::OnlineKey& key) {
  const auto& keys = trust_.online_keys;
  if (std::find(keys.begin(), keys.end(), key) == keys.end()) trust_.online_keys.push_back(key);
}

}  // namespace tayga::orch
