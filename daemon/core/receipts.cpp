#include "daemon/core/receipts.hpp"

#include "common/base/check.hpp"
#include "common/media/receipts.hpp"
#include "common/wire/wire_error.hpp"

#include <algorithm>
#include <utility>

namespace tayga::relay {

namespace {

constexpr std::uint64_t kCreditWindowMin = 256 * 1024;

WallTime to_wall(std::int64_t unix_ms) noexcept {
  // Saturates: a field near the end of its range must not overflow into the past.
  constexpr std::int64_t kLimit = WallTime::max().time_since_epoch().count() / 1000 - 1'000'000'000;
  return WallTime{std::chrono::milliseconds{std::clamp(unix_ms, -kLimit, kLimit)}};
}

/// No sender can have delivered anything under it any more.
bool is_over(const wire::Allocation& allocation, WallTime now) noexcept {
  return now > to_wall(allocation.not_after_ms) + media::kOutageGrace + kClockSkewMax;
}

}  // namespace

std::uint64_t credit_window(const wire::Allocation& allocation) noexcept {
  return std::max(kCreditWindowMin, std::uint64_t{allocation.max_kbps} * 2 * 1000 / 8);
}

// ---- receiver ----

ReceiptIssuer::ReceiptIssuer(const crypto::SigningKey& receiver) : key_{receiver} {}

ReceiptIssuer::Account ReceiptIssuer::make_account(const wire::Allocation& allocation,
                                                   const wire::AllocationBlob& blob) {
  Account account;
  account.allocation = allocation;
  account.blob = blob;
  account.total.allocation = allocation.id;
  account.total.network = allocation.network;
  return account;
}

void ReceiptIssuer::on_allocation(const wire::Allocation& allocation,
                                  const wire::AllocationBlob& blob, Now now) {
  const Link link{allocation.sender, allocation.stream_handle};
  const auto found = accounts_.find(link);
  if (found != accounts_.end()) {
    Account& account = found->second;
    const wire::Allocation& held = account.next ? account.next->allocation : account.allocation;
    if (held.id == allocation.id || allocation.not_after_ms <= held.not_after_ms) return;
    account.next = Account::Next{allocation, blob};
    if (!account.is_presented) replace(account);
    return;
  }
  if (accounts_.size() >= kAccountsMax) drop_expired(now.wall);
  if (accounts_.size() >= kAccountsMax) return;
  accounts_.emplace(link, make_account(allocation, blob));
}

void ReceiptIssuer::on_presented(const NodeId& sender, StreamHandle stream,
                                 const wire::AllocationBlob& blob) {
  const auto found = accounts_.find(Link{sender, stream});
  if (found == accounts_.end()) return;
  Account& account = found->second;
  if (account.next && account.next->blob == blob) replace(account);
  account.is_presented = account.is_presented || account.blob == blob;
}

/// Pre: account.next.
void ReceiptIssuer::replace(Account& account) {
  if (account.total.seq > 0 || account.unacknowledged > 0) issue(account, true);
  const Account::Next next = *account.next;
  account = make_account(next.allocation, next.blob);
}

void ReceiptIssuer::on_delivered(const Delivered& delivered, Now now) {
  const auto found = accounts_.find(Link{delivered.sender, delivered.stream});
  if (found == accounts_.end()) return;
  Account& account = found->second;
  if (is_over(account.allocation, now.wall)) return;

  wire::Receipt& total = account.total;
  if (delivered.in_time) {
    if (delivered.bytes > account.allocation.max_bytes - total.cum_bytes) return;
    total.cum_bytes += delivered.bytes;
    total.cum_chunks += 1;
  } else {
    total.cum_late_bytes += delivered.bytes;
  }
  total.highest_object = std::max(total.highest_object, delivered.object);
  account.unacknowledged += delivered.bytes;
  if (!account.due) {
    account.due = now.mono + kReceiptInterval;
    if (next_due_) next_due_ = std::min(*next_due_, *account.due);
  }
  if (account.unacknowledged >= credit_window(account.allocation) / 4) issue(account, false);
}

void ReceiptIssuer::on_sender_gone(const NodeId& sender, Now /*now*/) {
  // The accounts stay: when the sender comes back under the same allocation, the total goes on.
  for (auto it = accounts_.lower_bound(Link{sender, StreamHandle{}});
       it != accounts_.end() && it->first.sender == sender; ++it) {
    if (it->second.unacknowledged > 0) issue(it->second, true);
  }
}

void ReceiptIssuer::on_timeout(Now now) {
  for (auto& [link, account] : accounts_) {
    if (account.due && *account.due <= now.mono) issue(account, false);
  }
  drop_expired(now.wall);
}

std::optional<ReceiptIssuer::Issued> ReceiptIssuer::poll_receipt() {
  if (ready_.empty()) return std::nullopt;
  Issued issued = ready_.front();
  ready_.pop_front();
  return issued;
}

std::optional<TimePoint> ReceiptIssuer::next_timeout() const {
  if (!next_due_) {
    next_due_ = TimePoint::max();
    for (const auto& [link, account] : accounts_) {
      if (account.due) next_due_ = std::min(*next_due_, *account.due);
    }
  }
  return *next_due_ == TimePoint::max() ? std::nullopt : next_due_;
}

const wire::AllocationBlob* ReceiptIssuer::allocation_for(const NodeId& sender,
                                                          std::span<const StreamHandle> handles,
                                                          WallTime now, Duration past_end) const {
  const wire::AllocationBlob* newest = nullptr;
  std::int64_t newest_end_ms = 0;
  const auto consider = [&](const wire::Allocation& allocation, const wire::AllocationBlob& blob) {
    if (now + kClockSkewMax < to_wall(allocation.not_before_ms)) return;
    if (now > to_wall(allocation.not_after_ms) + past_end) return;
    if (newest != nullptr && newest_end_ms >= allocation.not_after_ms) return;
    newest = &blob;
    newest_end_ms = allocation.not_after_ms;
  };
  for (const StreamHandle& handle : handles) {
    const auto found = accounts_.find(Link{sender, handle});
    if (found == accounts_.end()) continue;
    const Account& account = found->second;
    consider(account.allocation, account.blob);
    if (account.next) consider(account.next->allocation, account.next->blob);
  }
  return newest;
}

void ReceiptIssuer::issue(Account& account, bool is_final) {
  account.total.seq += 1;
  account.total.is_final = is_final;
  account.unacknowledged = 0;
  if (account.due == next_due_) next_due_.reset();
  account.due.reset();
  ready_.push_back({account.allocation.sender, media::sign_receipt(account.total, key_)});
}

void ReceiptIssuer::drop_expired(WallTime now) {
  for (auto it = accounts_.begin(); it != accounts_.end();) {
    if (!is_over(it->second.allocation, now)) {
      ++it;
      continue;
    }
    Account& account = it->second;
    if (account.next) {
      replace(account);
      continue;  // it may be over as well
    }
    if (account.unacknowledged > 0) issue(account, true);
    it = accounts_.erase(it);
    next_due_.reset();
  }
}

// ---- sender ----

ReceiptBook::ReceiptBook(NodeId self, Duration submit_interval)
    : self_{self}, submit_interval_{submit_interval} {}

void ReceiptBook::on_allocation(const wire::Allocation& allocation,
                                const wire::AllocationBlob& blob) {
  if (allocation.sender != self_) return;
  insert(allocation, blob);
}

ReceiptBook::Record* ReceiptBook::insert(const wire::Allocation& allocation,
                                         const wire::AllocationBlob& blob) {
  if (const auto found = records_.find(allocation.id); found != records_.end()) {
    return &found->second;
  }
  if (records_.size() >= kRecordsMax) {
    const auto settled = std::find_if(records_.begin(), records_.end(), [](const auto& entry) {
      return !entry.second.unsettled && !entry.second.dirty_disk;
    });
    if (settled == records_.end()) return nullptr;
    records_.erase(settled);
  }
  Record record;
  record.allocation = allocation;
  record.allocation_blob = blob;
  return &records_.emplace(allocation.id, std::move(record)).first->second;
}

Result<void> ReceiptBook::on_receipt(const NodeId& from, ByteView blob, Now now) {
  const Result<wire::Receipt> parsed = wire::parse_receipt(blob);
  if (!parsed) return parsed.error();
  const auto found = records_.find(parsed->allocation);
  if (found == records_.end()) return wire::WireErrc::bad_field;
  Record& record = found->second;
  if (record.allocation.receiver != from) return wire::WireErrc::bad_field;
  if (record.refused) return {};
  // What says nothing new is not worth a signature check: a peer can repeat itself for free.
  if (record.receipt && !is_news(*record.receipt, *parsed)) return {};
  const Result<wire::Receipt> verified = media::verify_receipt(blob, record.allocation);
  if (!verified) return verified.error();

  take_receipt(record, *verified, blob);
  if (!record.dirty_disk) {
    record.dirty_disk = true;
    dirty_.push_back(record.allocation.id);
  }
  if (!waiting_since_) waiting_since_ = now.mono;
  if (verified->is_final && !urgent_at_) urgent_at_ = now.mono;
  return {};
}

Result<void> ReceiptBook::on_restored(ByteView item, Now now) {
  if (item.size() < wire::kSettlementItemSize) return wire::WireErrc::truncated;
  if (item.size() > wire::kSettlementItemSize) return wire::WireErrc::trailing_bytes;
  const ByteView allocation_bytes = item.first(wire::kAllocationSize);
  const ByteView receipt_bytes = item.subspan(wire::kAllocationSize);
  const Result<wire::Allocation> allocation = wire::parse_allocation(allocation_bytes);
  if (!allocation) return allocation.error();
  if (allocation->sender != self_) return wire::WireErrc::bad_field;
  const Result<wire::Receipt> receipt = media::verify_receipt(receipt_bytes, *allocation);
  if (!receipt) return receipt.error();

  wire::AllocationBlob blob;
  std::copy(allocation_bytes.begin(), allocation_bytes.end(), blob.begin());
  Record* const record = insert(*allocation, blob);
  if (!record) return wire::WireErrc::bad_field;
  if (record->refused || (record->receipt && !is_news(*record->receipt, *receipt))) return {};
  take_receipt(*record, *receipt, receipt_bytes);
  if (!urgent_at_) urgent_at_ = now.mono;
  return {};
}

bool ReceiptBook::is_news(const wire::Receipt& held, const wire::Receipt& offered) noexcept {
  if (offered.seq <= held.seq) return false;
  if (offered.cum_bytes < held.cum_bytes || offered.cum_late_bytes < held.cum_late_bytes) {
    return false;
  }
  return offered.cum_bytes > held.cum_bytes || offered.cum_late_bytes > held.cum_late_bytes ||
         (offered.is_final && !held.is_final);
}

void ReceiptBook::take_receipt(Record& record, const wire::Receipt& receipt, ByteView blob) {
  totals_.acknowledged_bytes +=
      receipt.cum_bytes - (record.receipt ? record.receipt->cum_bytes : 0);
  record.receipt = receipt;
  std::copy(blob.begin(), blob.end(), record.receipt_blob.begin());
  set_unsettled(record, true);
}

void ReceiptBook::set_unsettled(Record& record, bool unsettled) {
  if (record.unsettled == unsettled) return;
  record.unsettled = unsettled;
  if (unsettled) {
    totals_.open_records += 1;
  } else {
    totals_.open_records -= 1;
  }
}

void ReceiptBook::set_submit_interval(Duration interval) {
  submit_interval_ = interval;
}

void ReceiptBook::on_answer(std::uint64_t batch, std::span<const Answer> answers, Now now) {
  if (in_flight_.empty() || batch + 1 != next_batch_) return;  // of a batch that was given up
  for (const Answer& answer : answers) {
    const auto submitted = std::find_if(
        in_flight_.begin(), in_flight_.end(),
        [&answer](const InFlight& item) { return item.allocation == answer.allocation; });
    const auto found = records_.find(answer.allocation);
    if (submitted == in_flight_.end() || found == records_.end()) continue;
    settle(found->second, *submitted, answer);
  }
  in_flight_.clear();
  if (totals_.open_records > 0 && !waiting_since_) waiting_since_ = now.mono;
}

void ReceiptBook::settle(Record& record, const InFlight& submitted, const Answer& answer) {
  switch (answer.verdict) {
    case Answer::Verdict::durable:
      if (answer.settled_bytes > record.settled_bytes) {
        totals_.settled_bytes += answer.settled_bytes - record.settled_bytes;
        record.settled_bytes = answer.settled_bytes;
      }
      // A total below what we sent would mean that it is not durable after all: stays due.
      if (answer.settled_bytes >= submitted.cum_bytes && record.receipt->seq == submitted.seq) {
        set_unsettled(record, false);
      }
      return;
    case Answer::Verdict::refused:
      record.refused = true;
      if (record.receipt->cum_bytes > record.settled_bytes) {
        totals_.refused_bytes += record.receipt->cum_bytes - record.settled_bytes;
      }
      set_unsettled(record, false);
      return;
    case Answer::Verdict::retry:
      return;
  }
}

void ReceiptBook::on_submit_lost(Now now) {
  if (in_flight_.empty()) return;
  in_flight_.clear();
  urgent_at_ = now.mono;
}

std::optional<ReceiptBook::Batch> ReceiptBook::take_batch(Now now) {
  if (!in_flight_.empty() && now.mono >= sent_at_ + kAnswerTimeMax) on_submit_lost(now);
  const std::optional<TimePoint> due = next_timeout();
  if (!in_flight_.empty() || !due || *due > now.mono) return std::nullopt;
  waiting_since_.reset();
  urgent_at_.reset();
  drop_expired(now.wall);

  Batch batch{next_batch_, {}};
  auto it = records_.upper_bound(cursor_);
  for (std::size_t seen = 0; seen < records_.size(); ++seen, ++it) {
    if (it == records_.end()) it = records_.begin();
    const Record& record = it->second;
    if (!record.unsettled) continue;
    if (batch.items.size() == kBatchItemsMax) break;
    batch.items.push_back(media::make_settlement_item(record.allocation_blob, record.receipt_blob));
    in_flight_.push_back({it->first, record.receipt->seq, record.receipt->cum_bytes});
    cursor_ = it->first;
  }
  if (batch.items.empty()) return std::nullopt;
  if (batch.items.size() < totals_.open_records) urgent_at_ = now.mono;  // after the answer
  next_batch_ += 1;
  sent_at_ = now.mono;
  return batch;
}

std::optional<TimePoint> ReceiptBook::next_timeout() const {
  if (!in_flight_.empty()) return sent_at_ + kAnswerTimeMax;
  std::optional<TimePoint> due = urgent_at_;
  if (waiting_since_ && (!due || *waiting_since_ + submit_interval_ < *due)) {
    due = *waiting_since_ + submit_interval_;
  }
  return due;
}

std::optional<wire::SettlementItem> ReceiptBook::poll_record() {
  if (dirty_.empty()) return std::nullopt;
  Record& record = records_.at(dirty_.front());
  dirty_.pop_front();
  record.dirty_disk = false;
  return media::make_settlement_item(record.allocation_blob, record.receipt_blob);
}

ReceiptBook::Totals ReceiptBook::totals() const {
  return totals_;
}

void ReceiptBook::drop_expired(WallTime now) {
  for (auto it = records_.begin(); it != records_.end();) {
    const Record& record = it->second;
    const WallTime end = to_wall(record.allocation.not_after_ms) + kSettledRetention;
    const bool is_done = !record.unsettled && !record.dirty_disk;
    it = is_done && now > end ? records_.erase(it) : std::next(it);
  }
}

}  // namespace tayga::relay
