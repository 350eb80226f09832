#pragma once

#include "orchestrator/ledger/ledger_store.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tayga::test {

/// A LedgerStore in memory, written as naively as possible: the model that others are held to. It
/// fails on demand.
class MemoryLedgerStore final : public orch::LedgerStore {
 public:
  bool fail_reads = false;
  bool fail_commits = false;
  std::atomic<bool> fail_records = false;  ///< any thread: nodes, streams and meta
  std::size_t commits = 0;

  Result<std::optional<orch::Account>> find_account(std::uint32_t epoch,
                                                    const AllocationId& id) override {
    if (fail_reads) return failure();
    const auto it = accounts_.find({epoch, id});
    if (it == accounts_.end()) return std::optional<orch::Account>{};
    return std::optional<orch::Account>{it->second};
  }
  Result<void> commit(const std::vector<orch::SettledReceipt>& receipts) override {
    if (fail_commits) return failure();
    if (!receipts.empty()) ++commits;
    for (const orch::SettledReceipt& receipt : receipts) {
      log_.push_back(receipt.evidence);
      const orch::Account& account = receipt.account;
      const auto [it, is_new] = accounts_.try_emplace({account.epoch, account.allocation}, account);
      if (!is_new && account.cum_bytes > it->second.cum_bytes) it->second = account;
    }
    return {};
  }
  Result<Totals> totals() override {
    Totals totals{accounts_.size(), 0, log_.size()};
    for (const auto& [key, account] : accounts_) totals.bytes += account.cum_bytes;
    return totals;
  }
  Result<std::vector<orch::Balance>> balances() override {
    std::map<NodeId, orch::Balance> by_node;
    for (const auto& [key, account] : accounts_) {
      orch::Balance& sender = by_node[account.sender];
      sender.sent_bytes += account.cum_bytes;
      ++sender.allocations;
      by_node[account.receiver].received_bytes += account.cum_bytes;
    }
    std::vector<orch::Balance> balances;
    for (auto& [node, balance] : by_node) {
      balance.node = node;
      balances.push_back(balance);
    }
    return balances;
  }
  Result<std::vector<orch::Account>> accounts(const NodeId& sender, std::size_t max) override {
    std::vector<orch::Account> found;
    for (const auto& [key, account] : accounts_) {
      if (found.size() < max && account.sender == sender) found.push_back(account);
    }
    return found;
  }
  Result<void> put_node(const orch::NodeRecord& node) override {
    if (fail_records) return failure();
    nodes_[node.id] = node;
    return {};
  }
  Result<std::vector<orch::NodeRecord>> load_nodes() override {
    std::vector<orch::NodeRecord> nodes;
    for (const auto& [id, node] : nodes_) nodes.push_back(node);
    return nodes;
  }
  Result<void> put_stream(const orch::StreamRecord& stream) override {
    if (fail_records) return failure();
    streams_[stream.name] = stream;
    return {};
  }
  Result<void> erase_stream(const std::string& name) override {
    if (fail_records) return failure();
    streams_.erase(name);
    return {};
  }
  Result<std::vector<orch::StreamRecord>> load_streams() override {
    std::vector<orch::StreamRecord> streams;
    for (const auto& [name, stream] : streams_) streams.push_back(stream);
    return streams;
  }
  Result<std::optional<Bytes>> get_meta(const std::string& key) override {
    const auto it = meta_.find(key);
    if (it == meta_.end()) return std::optional<Bytes>{};
    return std::optional<Bytes>{it->second};
  }
  Result<void> put_meta(const std::string& key, ByteView value) override {
    if (fail_records) return failure();
    meta_[key] = Bytes{value.begin(), value.end()};
    return {};
  }
  std::string last_error() const override {
    return fail_commits || fail_records ? "made to fail" : "";
  }

 private:
  static error_code failure() {
    return boost::system::errc::make_error_code(boost::system::errc::io_error);
  }

  std::map<std::pair<std::uint32_t, AllocationId>, orch::Account> accounts_;
  std::vector<wire::SettlementItem> log_;
  std::map<NodeId, orch::NodeRecord> nodes_;
  std::map<std::string, orch::StreamRecord> streams_;
  std::map<std::string, Bytes> meta_;
};

}  // namespace tayga::test
