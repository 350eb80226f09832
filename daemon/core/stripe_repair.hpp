#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/media/slice.hpp"
#include "daemon/core/slice_window.hpp"

#include <cstddef>
#include <optional>
#include <set>
#include <vector>

namespace tayga::relay {

inline constexpr Duration kJoinSettleTime = 300ms;  ///< catch-up comes by priority, not in sequence
/// Beyond the newest header a peer's head is believed this far, in slices of the stripe: a lie
/// costs a bounded number of fetches.
inline constexpr std::size_t kHeadTrustMax = 64;
inline constexpr std::size_t kRepairSpanMax = 4096;  ///< slices of a stripe looked at
inline constexpr std::size_t kGivenUpMax = 512;      ///< beyond it all below the oldest are

/// Knows which slices of one stripe should be here and are not.
///
/// A parent sends what has one priority in order, and what is urgent first: a sequence that is
/// missing below one of the least urgent kind was dropped on the way, others may be on their way.
/// Pure; the window says what is here.
class StripeRepair {
 public:
  StripeRepair(StripeIndex stripe, unsigned stripe_count) noexcept
      : stripe_{stripe}, stripe_count_{stripe_count} {}

  void on_header(SliceSeq seq, media::ObjectKind kind, TimePoint now);
  /// The parent sent this header in its turn, not because it was asked for the slice; also when it
  /// was here already.
  void on_turn(SliceSeq seq, media::Priority priority) noexcept;
  void on_complete(SliceSeq seq) noexcept;
  /// A parent or standby says that it completed all below `next_seq`.
  void on_head(SliceSeq next_seq) noexcept;
  /// It comes too late to be of use: neither asked for nor waited for any more.
  void give_up(SliceSeq seq);
  /// A new publisher epoch.
  void reset();

  /// Where a new parent shall start: the first slice that is missing; nullopt before the first
  /// join.
  [[nodiscard]] std::optional<SliceSeq> first_missing(const SliceWindow& window) const;
  /// One past what has begun to come; nullopt before the first join.
  [[nodiscard]] std::optional<SliceSeq> frontier() const;
  /// Nothing is missing of what peers are known to have; false before the first of them told.
  [[nodiscard]] bool is_caught_up(const SliceWindow& window) const;
  struct Hole {
    SliceSeq seq;
    bool exists = false;  ///< a later slice of the stripe came
    bool passed = false;  ///< that one would not have overtaken it: it was dropped
  };
  /// Adds what is missing, ascending; nothing while a join settles.
  void collect(const SliceWindow& window, TimePoint now, std::vector<Hole>& holes);

  /// One past the highest complete slice.
  [[nodiscard]] SliceSeq next_seq() const noexcept { return complete_next_; }
  /// What a peer is known to have.
  [[nodiscard]] SliceSeq head_next() const noexcept { return head_next_; }
  /// The next one of this stripe above `seq`, which is one of it.
  [[nodiscard]] SliceSeq following(SliceSeq seq) const noexcept {
    return SliceSeq{seq.value() + stripe_count_};
  }

 private:
  [[nodiscard]] SliceSeq align(SliceSeq seq) const noexcept;
  [[nodiscard]] bool is_open(SliceSeq seq, const SliceWindow& window) const {
    return !window.is_complete(seq) && !given_up_.contains(seq);
  }

  SliceSeq head_next_{0};
  SliceSeq complete_next_{0};
  StripeIndex stripe_;
  unsigned stripe_count_;
  std::optional<TimePoint> first_header_;
  std::optional<SliceSeq> from_;     // below it nothing is repaired
  std::optional<SliceSeq> highest_;  // header seen
  std::optional<SliceSeq> passed_;   // highest that came in its turn, of the least urgent priority
  media::Priority least_urgent_{};
  std::set<SliceSeq> given_up_;
};

}  // namespace tayga::relay
