#pragma once

#include "common/base/result.hpp"
#include "orchestrator/ledger/ledger_store.hpp"

#include <string>
#include <string_view>

/// How records look on disk: fixed order, big-endian, a version byte first, texts and lists with
/// their size before them. Never protobuf: a record must read the same in every release. A new
/// field is a new version; older versions stay readable.
namespace tayga::orch {

std::string encode_node(const NodeRecord& node);
/// Errors of all: newer_version for a later version byte, corrupt for anything else.
Result<NodeRecord> decode_node(std::string_view bytes);

std::string encode_stream(const StreamRecord& stream);
Result<StreamRecord> decode_stream(std::string_view bytes);

//  key: epoch 4 | alloc_id 16: an epoch's accounts lie together
std::string encode_account_key(std::uint32_t epoch, const AllocationId& id);
std::string encode_account(const Account& account);
Result<Account> decode_account(std::string_view key, std::string_view value);

//  key: epoch 4 | arrival 8
std::string encode_log_key(std::uint32_t epoch, std::uint64_t arrival);

/// Written with every synced batch.
struct StoreState {
  std::uint64_t commits = 0;
  std::uint64_t log_entries = 0;
};
std::string encode_state(const StoreState& state);
Result<StoreState> decode_state(std::string_view bytes);

}  // namespace tayga::orch
