#include "orchestrator/app/store_thread.hpp"

#include "common/async/clock.hpp"
#include "common/base/check.hpp"
#include "common/base/encoding.hpp"
#include "common/crypto/hash.hpp"
#include "common/log/log.hpp"

#include <algorithm>
#include <chrono>

namespace tayga::orch {
namespace {

std::int64_t wall_ms_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             async::Clock::wall_now().time_since_epoch())
      .count();
}

}  // namespace

Result<EpochSecret> load_or_make_epoch_secret(LedgerStore& store, std::uint32_t epoch) {
  const std::string key = "epoch_secret/" + std::to_string(epoch);
  const Result<std::optional<Bytes>> known = store.get_meta(key);
  if (!known) return known.error();
  EpochSecret secret{};
  if (*known && (*known)->size() == secret.size()) {
    std::copy((*known)->begin(), (*known)->end(), secret.begin());
    return secret;
  }
  crypto::random_bytes(secret);
  const Result<void> saved = store.put_meta(key, secret);
  if (!saved) return saved.error();
  return secret;
}

StoreThread::StoreThread(LedgerStore& store, LedgerTrust trust, Meters& meters)
    : store_{store}, ledger_{std::move(trust), store}, meters_{meters} {}

StoreThread::~StoreThread() {
  stop();
}

void StoreThread::start(Answer answer) {
  TAYGA_CHECK(!thread_.joinable());
  answer_ = std::move(answer);
  thread_ = std::thread{[this] { run(); }};
}

void StoreThread::stop() {
  {
    const std::scoped_lock lock{mutex_};
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

bool StoreThread::submit(const SessionInfo& session, const ReceiptBatch& batch) {
  const std::scoped_lock lock{mutex_};
  const std::size_t items = std::max<std::size_t>(1, batch.items.size());
  if (stopping_ || queued_items_ + items > kReceiptQueueItemsMax) return false;
  std::size_t& in_flight = in_flight_[session.id];
  if (in_flight >= kReceiptBatchesInFlightMax) return false;
  ++in_flight;
  if (queued_.receipts.empty()) commit_at_ = async::Clock::now() + kGroupCommitDelay;
  queued_items_ += items;
  queued_.receipts.emplace_back(session, batch);
  wake_.notify_one();
  return true;
}

void StoreThread::put_node(NodeRecord node) {
  const std::scoped_lock lock{mutex_};
  retry_nodes_.erase(node.id);
  const NodeId id = node.id;
  queued_.nodes.insert_or_assign(id, std::move(node));
  wake_.notify_one();
}

void StoreThread::put_stream(StreamRecord stream) {
  const std::scoped_lock lock{mutex_};
  retry_streams_.erase(stream.name);
  std::string name = stream.name;
  queued_.streams.insert_or_assign(std::move(name), std::move(stream));
  wake_.notify_one();
}

void StoreThread::erase_stream(const std::string& name) {
  const std::scoped_lock lock{mutex_};
  retry_streams_.erase(name);
  queued_.streams.insert_or_assign(name, std::nullopt);
  wake_.notify_one();
}

bool StoreThread::enqueue(Job job) {
  const std::scoped_lock lock{mutex_};
  if (stopping_ || queued_.jobs.size() >= kStoreJobsMax) return false;
  queued_.jobs.push_back(std::move(job));
  wake_.notify_one();
  return true;
}

bool StoreThread::confirm_stream(const std::string& name,
                                 std::function<void(std::optional<std::string>)> done) {
  // Records are written before jobs run, so what is not waiting for a retry is on disk.
  return enqueue([this, name, done = std::move(done)] {
    std::optional<std::string> error;
    {
      const std::scoped_lock lock{mutex_};
      if (retry_streams_.count(name) != 0) error = trouble_;
    }
    done(std::move(error));
  });
}

bool StoreThread::ensure_epochs(std::vector<std::uint32_t> epochs,
                                std::function<void(std::uint32_t, const EpochSecret&)> done) {
  return enqueue([this, epochs = std::move(epochs), done = std::move(done)] {
    for (const std::uint32_t epoch : epochs) {
      const Result<EpochSecret> secret = load_or_make_epoch_secret(store_, epoch);
      const std::string what = "the secret of epoch " + std::to_string(epoch);
      if (!secret) {
        note(secret.error(), what);
        continue;
      }
      if (is_troubled_by(what)) note(Result<void>{}, what);
      done(epoch, *secret);
    }
  });
}

bool StoreThread::read_ledger(std::function<void(Result<LedgerView>)> done) {
  return enqueue([this, done = std::move(done)] {
    Result<std::vector<Balance>> balances = store_.balances();
    if (!balances) return done(balances.error());
    const Result<LedgerStore::Totals> totals = store_.totals();
    if (!totals) return done(totals.error());
    std::sort(balances->begin(), balances->end(),
              [](const Balance& a, const Balance& b) { return a.node < b.node; });
    done(LedgerView{std::move(*balances), *totals});
  });
}

bool StoreThread::read_accounts(const NodeId& sender, std::size_t max,
                                std::function<void(Result<std::vector<Account>>)> done) {
  return enqueue(
      [this, sender, max, done = std::move(done)] { done(store_.accounts(sender, max)); });
}

std::string StoreThread::trouble() const {
  const std::scoped_lock lock{mutex_};
  return trouble_;
}

bool StoreThread::has_work() const {
  return !queued_.receipts.empty() || !queued_.nodes.empty() || !queued_.streams.empty() ||
         !queued_.jobs.empty();
}

/// Takes all records and jobs, and the receipts when their group is full or old enough. False: end.
bool StoreThread::wait_for_work(Work& work) {
  std::unique_lock lock{mutex_};
  for (;;) {
    const TimePoint now = async::Clock::now();
    const bool group_ready = queued_items_ >= kGroupCommitItems || now >= commit_at_ || stopping_;
    const bool retry = now >= retry_at_;
    if (retry) {
      queued_.nodes.merge(retry_nodes_);
      queued_.streams.merge(retry_streams_);
      retry_nodes_.clear();
      retry_streams_.clear();
      retry_at_ = TimePoint::max();
    }
    const bool has_records =
        !queued_.nodes.empty() || !queued_.streams.empty() || !queued_.jobs.empty();
    const bool has_group = group_ready && !queued_.receipts.empty();
    if (has_records || has_group) {
      work.nodes.swap(queued_.nodes);
      work.streams.swap(queued_.streams);
      work.jobs.swap(queued_.jobs);
      if (has_group) {
        work.receipts.swap(queued_.receipts);
        queued_items_ = 0;
        commit_at_ = TimePoint::max();
      }
      return true;
    }
    if (stopping_ && !has_work()) return false;
    const TimePoint until = std::min(retry_at_, commit_at_);
    if (until == TimePoint::max()) {
      wake_.wait(lock);
    } else {
      wake_.wait_until(lock, async::Clock::to_steady(until));
    }
  }
}

void StoreThread::run() {
  for (;;) {
    Work work;
    if (!wait_for_work(work)) return;
    write_records(work);
    for (const Job& job : work.jobs) job();
    if (!work.receipts.empty()) settle(std::move(work.receipts));
  }
}

bool StoreThread::is_troubled_by(const std::string& what) const {
  const std::scoped_lock lock{mutex_};
  return troubled_ == what;
}

void StoreThread::note(const Result<void>& result, const std::string& what) {
  std::string trouble;
  if (!result) {
    meters_.on_store_error();
    trouble = "cannot write " + what + ": " + store_.last_error();
    static log::SiteLimit limit{3, 60s};
    log::at(limit, log::Level::warn, "the store refuses writes", log::field("detail", trouble));
  }
  const std::scoped_lock lock{mutex_};
  troubled_ = trouble.empty() ? std::string{} : what;
  trouble_ = std::move(trouble);
}

void StoreThread::write_records(Work& work) {
  for (auto at = work.nodes.begin(); at != work.nodes.end();) {
    const Result<void> result = store_.put_node(at->second);
    note(result, "a node's record");
    if (!result) break;
    at = work.nodes.erase(at);
  }
  for (auto at = work.streams.begin(); at != work.streams.end();) {
    const Result<void> result =
        at->second ? store_.put_stream(*at->second) : store_.erase_stream(at->first);
    note(result, "a stream's record");
    if (!result) break;
    at = work.streams.erase(at);
  }
  keep_for_retry(work);
}

void StoreThread::keep_for_retry(Work& work) {
  if (work.nodes.empty() && work.streams.empty()) return;
  const std::scoped_lock lock{mutex_};
  if (stopping_) return;  // said in the log; the node says it again at its next hello
  for (auto& [id, node] : work.nodes) {
    if (queued_.nodes.count(id) == 0) retry_nodes_.insert_or_assign(id, std::move(node));
  }
  for (auto& [name, stream] : work.streams) {
    if (queued_.streams.count(name) == 0) retry_streams_.insert_or_assign(name, std::move(stream));
  }
  retry_at_ = async::Clock::now() + kStoreRetryDelay;
}

void StoreThread::forget_in_flight(SessionId session) {
  const std::scoped_lock lock{mutex_};
  const auto at = in_flight_.find(session);
  TAYGA_CHECK(at != in_flight_.end());
  if (--at->second == 0) in_flight_.erase(at);
}

void StoreThread::settle(std::vector<std::pair<SessionInfo, ReceiptBatch>> receipts) {
  std::vector<Ledger::Submission> submissions;
  submissions.reserve(receipts.size());
  for (auto& [session, batch] : receipts) {
    submissions.push_back({session.node, std::move(batch.items)});
  }
  const TimePoint began = async::Clock::now();
  const auto answers = ledger_.settle(submissions, wall_ms_now());
  meters_.observe_commit(async::Clock::now() - began);
  TAYGA_CHECK(answers.size() == receipts.size());
  bool unavailable = false;
  bool committed = false;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    for (const SettleAnswer& answer : answers[i]) {
      meters_.on_answer(answer.status);
      unavailable = unavailable || answer.status == SettleStatus::unavailable;
      committed = committed || answer.status == SettleStatus::accepted;
    }
    forget_in_flight(receipts[i].first.id);
    answer_(receipts[i].first.id, ReceiptAnswers{receipts[i].second.batch, answers[i]});
  }
  if (unavailable) {
    note(Result<void>{boost::system::errc::make_error_code(boost::system::errc::io_error)},
         "receipts");
  } else if (committed) {
    note(Result<void>{}, "receipts");
    if (const auto totals = store_.totals()) meters_.set_settled(*totals);
  }
}

}  // namespace tayga::orch
