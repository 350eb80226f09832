#pragma once

#include "common/base/time.hpp"
#include "orchestrator/app/epoch_book.hpp"
#include "orchestrator/app/meters.hpp"
#include "orchestrator/ledger/ledger.hpp"
#include "orchestrator/rpc/node_gateway.hpp"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace tayga::orch {

inline constexpr Duration kGroupCommitDelay = 10ms;
inline constexpr std::size_t kGroupCommitItems = 512;
inline constexpr std::size_t kReceiptQueueItemsMax = 65'536;  ///< more is answered `unavailable`
/// Per session; more is answered `unavailable`. A node submits its next batch after the answer.
inline constexpr std::size_t kReceiptBatchesInFlightMax = 2;
inline constexpr std::size_t kStoreJobsMax = 1'024;
inline constexpr Duration kStoreRetryDelay = 1s;

/// What the ledger holds, for people.
struct LedgerView {
  std::vector<Balance> balances;  ///< by node id
  LedgerStore::Totals totals;
};

/// The one thread that touches the store: settles receipts in groups, writes records, answers
/// reads.
///
/// All calls are thread-safe and do not block, except start() and stop(). Callbacks run on the
/// store's thread and must be quick. A record that cannot be written is kept and tried again each
/// second (the newest per node and stream); receipts that cannot are answered `unavailable`.
class StoreThread {
 public:
  using Answer = std::function<void(SessionId, ReceiptAnswers)>;

  /// The references outlive the thread.
  StoreThread(LedgerStore& store, LedgerTrust trust, Meters& meters);
  ~StoreThread();
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;

  void start(Answer answer);
  /// Does what is queued, then ends. Later calls are refused.
  void stop();

  /// False when the queue is full or the session has two batches unanswered: answer `unavailable`
  /// yourself.
  [[nodiscard]] bool submit(const SessionInfo& session, const ReceiptBatch& batch);

  void put_node(NodeRecord node);
  void put_stream(StreamRecord stream);
  void erase_stream(const std::string& name);
  /// Says whether the newest put_stream or erase_stream of that name is on disk; otherwise why not.
  [[nodiscard]] bool confirm_stream(const std::string& name,
                                    std::function<void(std::optional<std::string>)> done);
  /// Loads or makes the secret of each epoch; made ones are durable before they are given.
  [[nodiscard]] bool ensure_epochs(std::vector<std::uint32_t> epochs,
                                   std::function<void(std::uint32_t, const EpochSecret&)> done);
  [[nodiscard]] bool read_ledger(std::function<void(Result<LedgerView>)> done);
  [[nodiscard]] bool read_accounts(const NodeId& sender, std::size_t max,
                                   std::function<void(Result<std::vector<Account>>)> done);

  /// Empty while the last write succeeded (what wrote nothing proves nothing); otherwise what is
  /// wrong, in words.
  [[nodiscard]] std::string trouble() const;

 private:
  using Job = std::function<void()>;
  struct Work {
    std::vector<std::pair<SessionInfo, ReceiptBatch>> receipts;
    std::map<NodeId, NodeRecord> nodes;
    std::map<std::string, std::optional<StreamRecord>> streams;  // nullopt: erase
    std::deque<Job> jobs;
  };

  void run();
  bool wait_for_work(Work& work);
  void settle(std::vector<std::pair<SessionInfo, ReceiptBatch>> receipts);
  void write_records(Work& work);
  void keep_for_retry(Work& work);
  void note(const Result<void>& result, const std::string& what);
  void forget_in_flight(SessionId session);
  [[nodiscard]] bool is_troubled_by(const std::string& what) const;
  [[nodiscard]] bool enqueue(Job job);
  [[nodiscard]] bool has_work() const;

  LedgerStore& store_;
  Ledger ledger_;  // store thread only
  Meters& meters_;
  Answer answer_;

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable wake_;
  Work queued_;
  std::size_t queued_items_ = 0;  // an empty batch counts as one
  std::map<SessionId, std::size_t> in_flight_;
  std::map<NodeId, NodeRecord> retry_nodes_;
  std::map<std::string, std::optional<StreamRecord>> retry_streams_;
  TimePoint retry_at_ = TimePoint::max();
  TimePoint commit_at_ = TimePoint::max();
  std::string trouble_;
  std::string troubled_;  // what could not be written
  bool stopping_ = false;
  std::thread thread_;
};

/// Secret of `epoch` in `store`, made and made durable when there is none.
Result<EpochSecret> load_or_make_epoch_secret(LedgerStore& store, std::uint32_t epoch);

}  // namespace tayga::orch
