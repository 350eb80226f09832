#pragma once

#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/media/allocation_term.hpp"
#include "common/wire/allocation.hpp"
#include "common/wire/receipt.hpp"
#include "daemon/core/now.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <vector>

namespace tayga::relay {

inline constexpr Duration kReceiptInterval = 1s;
/// How far the clocks of two honest nodes may differ: an allocation counts this long around its
/// term.
inline constexpr Duration kClockSkewMax = media::kAllocationSkewMax;

/// W: what a sender serves at most beyond the last acknowledged total, in bytes.
[[nodiscard]] std::uint64_t credit_window(const wire::Allocation& allocation) noexcept;

/// Receiver's side: counts what was verified under each allocation and signs the growing total.
///
/// A receipt is due kReceiptInterval after the first unacknowledged byte, or at once when a quarter
/// of the credit window W = max(256 KiB, 2 s of max_kbps) is unacknowledged; when an allocation is
/// replaced or the parent leaves, a final one is due. What was delivered is signed for also past
/// the term, as long as a sender may have gone on without the orchestrator (kOutageGrace). It never
/// signs for more than max_bytes: the orchestrator would refuse the whole receipt. Sans-IO; the key
/// must outlive it.
class ReceiptIssuer {
 public:
  static constexpr std::size_t kAccountsMax = 4096;  ///< beyond it new allocations are ignored

  struct Issued {
    NodeId sender;  ///< to whom it goes
    wire::ReceiptBlob blob;
  };

  explicit ReceiptIssuer(const crypto::SigningKey& receiver);

  /// Takes an allocation that was verified before. A newer one (later not_after) for the same
  /// sender and stream handle replaces the older once the sender was shown it: before that it
  /// could do nothing with receipts under it.
  void on_allocation(const wire::Allocation& allocation, const wire::AllocationBlob& blob, Now now);
  /// The blob goes to `sender` now; of one that it replaces the final receipt is issued.
  void on_presented(const NodeId& sender, StreamHandle stream, const wire::AllocationBlob& blob);
  struct Delivered {
    NodeId sender;
    StreamHandle stream;
    ObjectId object;
    std::uint32_t bytes;  ///< payload of one verified chunk, not a duplicate
    bool in_time;
  };
  /// No allocation from that sender: not counted (the sender works for free).
  void on_delivered(const Delivered& delivered, Now now);
  /// The session to `sender` ended or is about to: issues final receipts for what is
  /// unacknowledged.
  void on_sender_gone(const NodeId& sender, Now now);
  void on_timeout(Now now);

  [[nodiscard]] bool has_receipt() const noexcept { return !ready_.empty(); }
  [[nodiscard]] std::optional<Issued> poll_receipt();
  /// Cost: none, but for the first call after a receipt was issued.
  [[nodiscard]] std::optional<TimePoint> next_timeout() const;
  /// The blob to present in a Subscribe: the newest from `sender` for the stream that is valid at
  /// `now`, or ended no longer than `past_end` ago; nullptr when there is none.
  [[nodiscard]] const wire::AllocationBlob* allocation_for(const NodeId& sender,
                                                           std::span<const StreamHandle> handles,
                                                           WallTime now, Duration past_end) const;

 private:
  struct Link {
    NodeId sender;
    StreamHandle stream;
    friend auto operator<=>(const Link&, const Link&) = default;
  };
  struct Account {
    wire::Allocation allocation;
    wire::AllocationBlob blob;
    wire::Receipt total;
    std::uint64_t unacknowledged = 0;
    std::optional<TimePoint> due;
    bool is_presented = false;
    struct Next {
      wire::Allocation allocation;
      wire::AllocationBlob blob;
    };
    std::optional<Next> next;  ///< newer, and not presented so far
  };
  static Account make_account(const wire::Allocation& allocation, const wire::AllocationBlob& blob);
  void replace(Account& account);
  void issue(Account& account, bool is_final);
  void drop_expired(WallTime now);

  const crypto::SigningKey& key_;
  std::map<Link, Account> accounts_;  // what each sender was shown last, and what it will be shown
  std::deque<Issued> ready_;
  // The earliest of the accounts' dues; nullopt while it has to be looked for again.
  mutable std::optional<TimePoint> next_due_ = TimePoint::max();
};

/// Sender's side: keeps, per allocation, the newest verified receipt until the orchestrator holds
/// it.
///
/// Sans-IO. `poll_record` hands what must reach the disk (one 408-byte record per allocation, the
/// newest wins); `take_batch` what is due to be submitted. Nothing is forgotten before an answer
/// said that it is durable, or refused it for good. Bounded: kRecordsMax allocations, the oldest
/// settled leave first, then new ones are refused.
class ReceiptBook {
 public:
  static constexpr std::size_t kRecordsMax = 100'000;
  static constexpr std::size_t kBatchItemsMax = 512;
  static constexpr Duration kAnswerTimeMax = 30s;  ///< then the batch counts as lost
  /// Beyond the term: receipts come as long as it is served, and late duplicates after that.
  static constexpr Duration kSettledRetention = media::kOutageGrace + 10min;

  ReceiptBook(NodeId self, Duration submit_interval);

  /// An allocation that a child presented and that was verified: receipts are accepted under it.
  void on_allocation(const wire::Allocation& allocation, const wire::AllocationBlob& blob);
  /// From a peer's frame. Errors: unknown allocation (bad_field), another receiver than `from`
  /// (bad_field), parse and signature errors. A total that does not grow is ignored without error.
  Result<void> on_receipt(const NodeId& from, ByteView blob, Now now);
  /// A record read back from disk at start; it is submitted again at once. Errors: truncated,
  /// trailing_bytes, those of on_receipt, bad_field when it is another node's.
  Result<void> on_restored(ByteView item, Now now);
  void set_submit_interval(Duration interval);

  struct Answer {
    AllocationId allocation;
    enum class Verdict : std::uint8_t { durable, refused, retry } verdict;
    std::uint64_t settled_bytes = 0;
  };
  void on_answer(std::uint64_t batch, std::span<const Answer> answers, Now now);
  /// The control session ended: what was in flight is due again.
  void on_submit_lost(Now now);

  struct Batch {
    std::uint64_t id;
    std::vector<wire::SettlementItem> items;
  };
  /// The next batch when one is due (the interval passed, or a receipt is final) and none in
  /// flight. Ask, and heed next_timeout(), only while there is a control session to send it on.
  [[nodiscard]] std::optional<Batch> take_batch(Now now);
  [[nodiscard]] std::optional<TimePoint> next_timeout() const;
  [[nodiscard]] std::optional<wire::SettlementItem> poll_record();

  struct Totals {
    std::uint64_t acknowledged_bytes = 0;  ///< by receivers
    std::uint64_t settled_bytes = 0;       ///< durable at the orchestrator
    std::uint64_t refused_bytes = 0;
    std::size_t open_records = 0;
  };
  [[nodiscard]] Totals totals() const;

 private:
  struct Record {
    wire::Allocation allocation;
    wire::AllocationBlob allocation_blob{};
    std::optional<wire::Receipt> receipt;
    wire::ReceiptBlob receipt_blob{};
    std::uint64_t settled_bytes = 0;
    bool dirty_disk = false;
    bool unsettled = false;
    bool refused = false;
  };
  using Records = std::map<AllocationId, Record>;  // ids begin with the expiry: oldest first
  struct InFlight {
    AllocationId allocation;
    std::uint32_t seq;
    std::uint64_t cum_bytes;
  };
  static bool is_news(const wire::Receipt& held, const wire::Receipt& offered) noexcept;
  Record* insert(const wire::Allocation& allocation, const wire::AllocationBlob& blob);
  void take_receipt(Record& record, const wire::Receipt& receipt, ByteView blob);
  void set_unsettled(Record& record, bool unsettled);
  void settle(Record& record, const InFlight& submitted, const Answer& answer);
  void drop_expired(WallTime now);

  NodeId self_;
  Duration submit_interval_;
  Records records_;
  std::deque<AllocationId> dirty_;          // to the disk, in order; each once
  std::optional<TimePoint> waiting_since_;  // of the first unsettled receipt since the last batch
  std::optional<TimePoint> urgent_at_;      // a batch is due now, not after the interval
  std::vector<InFlight> in_flight_;
  TimePoint sent_at_{};
  std::uint64_t next_batch_ = 1;
  AllocationId cursor_;  // batches go round the records, so refused retries starve nobody
  Totals totals_;
};

}  // namespace tayga::relay
