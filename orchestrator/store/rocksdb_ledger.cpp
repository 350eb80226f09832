#include "orchestrator/store/rocksdb_ledger.hpp"

#include "orchestrator/store/commit_witness.hpp"
#include "orchestrator/store/record_codec.hpp"
#include "orchestrator/store/rocksdb_database.hpp"

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <map>
#include <utility>

namespace tayga::orch {
namespace {

constexpr const char* kStateKey = "state";
constexpr const char* kUserKeyPrefix = "u/";
constexpr const char* kWitnessFile = "commits";

std::string_view view(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}
rocksdb::Slice slice(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

class RocksdbLedger::Impl {
 public:
  Impl(std::filesystem::path directory, std::unique_ptr<RocksdbDatabase> database,
       CommitWitness witness)
      : directory_{std::move(directory)},
        database_{std::move(database)},
        witness_{std::move(witness)} {}

  /// Reads state and balances, and compares the two commit counters.
  Result<void> load();

  Result<std::optional<std::string>> get(Family family, const rocksdb::Slice& key);
  /// Calls `take(key, value)` for each row; it returns false to end early.
  template <class Take>
  Result<void> scan(Family family, Take&& take);

  Result<std::optional<Account>> find_account(std::uint32_t epoch, const AllocationId& id);
  Result<void> commit(const std::vector<SettledReceipt>& receipts);
  /// One synced write with its commit number, then the witness.
  Result<void> write_durable(rocksdb::WriteBatch& batch, StoreState after);
  Result<void> write(rocksdb::WriteBatch& batch, bool sync);

  rocksdb::ColumnFamilyHandle* family(Family family) { return database_->family(family); }
  [[nodiscard]] const StoreState& state() const { return state_; }

  std::map<NodeId, Balance> balances;
  Totals totals;
  std::string trouble;

 private:
  Result<void> may_write();
  error_code failed(StoreErrc code, const std::string& detail);
  void apply(const std::optional<Account>& before, const Account& after);

  std::filesystem::path directory_;
  std::unique_ptr<RocksdbDatabase> database_;
  CommitWitness witness_;
  StoreState state_;
  std::optional<StoreErrc> blocked_;  ///< why nothing is written now
};

error_code RocksdbLedger::Impl::failed(StoreErrc code, const std::string& detail) {
  const std::string where = "the store in " + directory_.string() + ": ";
  if (code == StoreErrc::no_space) {
    trouble = where + "no space left on the device; free some, receipts are refused until then (" +
              detail + ")";
  } else if (code == StoreErrc::corrupt || code == StoreErrc::newer_version) {
    trouble = where + "a record cannot be read; restore the folder from a backup (" + detail + ")";
    return code;  // of one read; writes are not concerned
  } else {
    code = StoreErrc::io;
    trouble = where + "writing failed, so nothing more is stored; look at the disk and restart (" +
              detail + ")";
  }
  blocked_ = code;
  return code;
}

Result<void> RocksdbLedger::Impl::load() {
  const auto state = get(Family::meta, kStateKey);
  if (!state) return state.error();
  if (*state) {
    const auto decoded = decode_state(**state);
    if (!decoded) return failed(static_cast<StoreErrc>(decoded.error().value()), "state");
    state_ = *decoded;
  }
  totals.log_entries = state_.log_entries;
  error_code bad;
  const auto scanned = scan(Family::acct, [&](std::string_view key, std::string_view value) {
    const auto account = decode_account(key, value);
    if (!account) bad = failed(static_cast<StoreErrc>(account.error().value()), "an account");
    if (account) apply(std::nullopt, *account);
    return !bad;
  });
  if (bad) return bad;
  if (!scanned) return scanned.error();

  const std::uint64_t acknowledged = witness_.commits();
  if (state_.commits >= acknowledged) return {};
  blocked_ = StoreErrc::lost_commits;
  trouble = "the store in " + directory_.string() + " holds " + std::to_string(state_.commits) +
            " commits, but " + std::to_string(acknowledged) +
            " were acknowledged: its log lost its end, so nothing is written. Restore a backup, or "
            "accept the loss by removing " +
            (directory_ / kWitnessFile).string() + ", and restart";
  return {};
}

Result<std::optional<std::string>> RocksdbLedger::Impl::get(Family where,
                                                            const rocksdb::Slice& key) {
  std::string value;
  const rocksdb::Status status =
      database_->db().Get(rocksdb::ReadOptions{}, family(where), key, &value);
  if (status.IsNotFound()) return std::optional<std::string>{};
  if (!status.ok()) return failed(to_store_errc(status), status.ToString());
  return std::optional<std::string>{std::move(value)};
}

template <class Take>
Result<void> RocksdbLedger::Impl::scan(Family where, Take&& take) {
  const std::unique_ptr<rocksdb::Iterator> it{
      database_->db().NewIterator(rocksdb::ReadOptions{}, family(where))};
  for (it->SeekToFirst(); it->Valid(); it->Next()) {
    if (!take(view(it->key()), view(it->value()))) return {};
  }
  if (!it->status().ok()) return failed(to_store_errc(it->status()), it->status().ToString());
  return {};
}

Result<std::optional<Account>> RocksdbLedger::Impl::find_account(std::uint32_t epoch,
                                                                 const AllocationId& id) {
  // What an uncertain write left behind must not look settled.
  if (blocked_ == StoreErrc::io) return StoreErrc::io;
  const std::string key = encode_account_key(epoch, id);
  const auto value = get(Family::acct, key);
  if (!value) return value.error();
  if (!*value) return std::optional<Account>{};
  const auto account = decode_account(key, **value);
  if (!account) return failed(static_cast<StoreErrc>(account.error().value()), "an account");
  return std::optional<Account>{*account};
}

Result<void> RocksdbLedger::Impl::may_write() {
  if (!blocked_) return {};
  if (*blocked_ != StoreErrc::no_space) return *blocked_;
  // Space may have been freed. Resume writes what memory holds to new files, so that no log with
  // a torn end is needed any more.
  const rocksdb::Status status = database_->db().Resume();
  if (status.IsBusy()) return StoreErrc::no_space;  // RocksDB's own recovery is at it, every 5 s
  if (!status.ok()) return failed(to_store_errc(status), status.ToString());
  blocked_.reset();
  trouble.clear();
  return {};
}

Result<void> RocksdbLedger::Impl::write(rocksdb::WriteBatch& batch, bool sync) {
  if (const auto allowed = may_write(); !allowed) return allowed.error();
  rocksdb::WriteOptions options;
  options.sync = sync;
  const rocksdb::Status status = database_->db().Write(options, &batch);
  if (!status.ok()) return failed(to_store_errc(status), status.ToString());
  return {};
}

Result<void> RocksdbLedger::Impl::write_durable(rocksdb::WriteBatch& batch, StoreState after) {
  after.commits = state_.commits + 1;
  batch.Put(family(Family::meta), kStateKey, encode_state(after));
  const auto written = write(batch, true);
  if (!written) return written.error();
  // The batch is in the database now. If only the witness fails, nothing more is written or read as
  // settled until a restart reads what the disk really holds: the caller's error stays true.
  const auto witnessed = witness_.record(after.commits);
  if (!witnessed) return failed(StoreErrc::io, witnessed.error().message());
  state_ = after;
  return {};
}

Result<void> RocksdbLedger::Impl::commit(const std::vector<SettledReceipt>& receipts) {
  if (receipts.empty()) return {};
  struct Change {
    std::optional<Account> before;
    Account after;
  };
  std::map<std::string, Change> changes;
  rocksdb::WriteBatch batch;
  StoreState after = state_;
  for (const SettledReceipt& receipt : receipts) {
    const Account& account = receipt.account;
    batch.Put(family(Family::log), encode_log_key(account.epoch, after.log_entries++),
              slice(receipt.evidence));
    const std::string key = encode_account_key(account.epoch, account.allocation);
    auto change = changes.find(key);
    if (change == changes.end()) {
      const auto before = find_account(account.epoch, account.allocation);
      if (!before) return before.error();
      const Account zero{};
      change = changes.emplace(key, Change{*before, before->value_or(zero)}).first;
      if (!*before) change->second.after = account;
    }
    if (account.cum_bytes > change->second.after.cum_bytes) change->second.after = account;
  }
  for (const auto& [key, change] : changes) {
    if (change.before == change.after) continue;
    batch.Put(family(Family::acct), key, encode_account(change.after));
  }
  const auto written = write_durable(batch, after);
  if (!written) return written.error();
  for (const auto& [key, change] : changes) apply(change.before, change.after);
  totals.log_entries = state_.log_entries;
  return {};
}

void RocksdbLedger::Impl::apply(const std::optional<Account>& before, const Account& after) {
  const std::uint64_t growth = after.cum_bytes - (before ? before->cum_bytes : 0);
  Balance& sender = balances[after.sender];
  sender.node = after.sender;
  sender.sent_bytes += growth;
  sender.allocations += before ? 0U : 1U;
  Balance& receiver = balances[after.receiver];
  receiver.node = after.receiver;
  receiver.received_bytes += growth;
  totals.bytes += growth;
  totals.receipts += before ? 0U : 1U;
}

RocksdbLedger::RocksdbLedger(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
RocksdbLedger::~RocksdbLedger() = default;

RocksdbLedger::OpenResult RocksdbLedger::open(const std::filesystem::path& directory,
                                              const Options& options) {
  auto database = RocksdbDatabase::open(directory, options);
  if (auto* error = std::get_if<StoreOpenError>(&database)) return std::move(*error);
  auto witness = CommitWitness::open(directory / kWitnessFile);
  if (!witness) {
    return StoreOpenError{witness.error(), "the file " + (directory / kWitnessFile).string() +
                                               " cannot be used: " + witness.error().message() +
                                               "; restore the folder from a backup"};
  }
  auto impl = std::make_unique<Impl>(
      directory, std::move(std::get<std::unique_ptr<RocksdbDatabase>>(database)),
      std::move(*witness));
  if (const auto loaded = impl->load(); !loaded) {
    return StoreOpenError{loaded.error(), impl->trouble};
  }
  return std::unique_ptr<RocksdbLedger>{new RocksdbLedger{std::move(impl)}};
}

Result<std::optional<Account>> RocksdbLedger::find_account(std::uint32_t epoch,
                                                           const AllocationId& id) {
  return impl_->find_account(epoch, id);
}

Result<void> RocksdbLedger::commit(const std::vector<SettledReceipt>& receipts) {
  return impl_->commit(receipts);
}

Result<LedgerStore::Totals> RocksdbLedger::totals() {
  return impl_->totals;
}

Result<std::vector<Balance>> RocksdbLedger::balances() {
  std::vector<Balance> balances;
  balances.reserve(impl_->balances.size());
  for (const auto& [node, balance] : impl_->balances) balances.push_back(balance);
  return balances;
}

Result<std::vector<Account>> RocksdbLedger::accounts(const NodeId& sender, std::size_t max) {
  std::vector<Account> accounts;
  error_code bad;
  const auto scanned = impl_->scan(Family::acct, [&](std::string_view key, std::string_view value) {
    if (accounts.size() >= max) return false;
    const auto account = decode_account(key, value);
    if (!account) bad = account.error();
    if (account && account->sender == sender) accounts.push_back(*account);
    return !bad;
  });
  if (bad) return bad;
  if (!scanned) return scanned.error();
  return accounts;
}

Result<void> RocksdbLedger::put_node(const NodeRecord& node) {
  rocksdb::WriteBatch batch;
  batch.Put(impl_->family(Family::nodes), slice(node.id.view()), encode_node(node));
  return impl_->write(batch, false);
}

Result<std::vector<NodeRecord>> RocksdbLedger::load_nodes() {
  std::vector<NodeRecord> nodes;
  error_code bad;
  const auto scanned = impl_->scan(Family::nodes, [&](std::string_view, std::string_view value) {
    auto node = decode_node(value);
    if (!node) bad = node.error();
    if (node) nodes.push_back(std::move(*node));
    return !bad;
  });
  if (bad) return bad;
  if (!scanned) return scanned.error();
  return nodes;
}

Result<void> RocksdbLedger::put_stream(const StreamRecord& stream) {
  rocksdb::WriteBatch batch;
  batch.Put(impl_->family(Family::streams), stream.name, encode_stream(stream));
  return impl_->write_durable(batch, impl_->state());
}

Result<void> RocksdbLedger::erase_stream(const std::string& name) {
  rocksdb::WriteBatch batch;
  batch.Delete(impl_->family(Family::streams), name);
  return impl_->write_durable(batch, impl_->state());
}

Result<std::vector<StreamRecord>> RocksdbLedger::load_streams() {
  std::vector<StreamRecord> streams;
  error_code bad;
  const auto scanned = impl_->scan(Family::streams, [&](std::string_view, std::string_view value) {
    auto stream = decode_stream(value);
    if (!stream) bad = stream.error();
    if (stream) streams.push_back(std::move(*stream));
    return !bad;
  });
  if (bad) return bad;
  if (!scanned) return scanned.error();
  return streams;
}

Result<std::optional<Bytes>> RocksdbLedger::get_meta(const std::string& key) {
  const auto value = impl_->get(Family::meta, kUserKeyPrefix + key);
  if (!value) return value.error();
  if (!*value) return std::optional<Bytes>{};
  const ByteView bytes = as_bytes(**value);
  return std::optional<Bytes>{Bytes{bytes.begin(), bytes.end()}};
}

Result<void> RocksdbLedger::put_meta(const std::string& key, ByteView value) {
  rocksdb::WriteBatch batch;
  batch.Put(impl_->family(Family::meta), kUserKeyPrefix + key, slice(value));
  return impl_->write_durable(batch, impl_->state());
}

std::string RocksdbLedger::last_error() const {
  return impl_->trouble;
}

}  // namespace tayga::orch
