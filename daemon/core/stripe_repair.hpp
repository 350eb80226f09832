#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/media/slice.hpp"
#include "daemon/core/slice_window.hpp"

#include <cstddef>
#include <optional>
#include <vector>

namespace tayga::relay {

inline constexpr Duration kHoleOpenMax = 100ms;     ///< then it is fetched
inline constexpr Duration kJoinSettleTime = 300ms;  ///< catch-up comes by priority, not in sequence
inline constexpr Duration kFetchAnswerMax = 1s;     ///< then the next holes may be fetched
inline constexpr std::size_t kFetchOutstandingMax = 64;  ///< slices per stripe
inline constexpr std::size_t kRepairSpanMax = 4096;      ///< slices of a stripe looked at

/// Finds the slices of one stripe that should have come and did not.
///
/// A parent sends a stripe in order, so a sequence that is missing below one that came was dropped
/// on the way. Each hole is reported once, after it was open for kHoleOpenMax; what does not come
/// then is lost. Pure; the window says what is here.
class StripeRepair {
 public:
  StripeRepair(StripeIndex stripe, unsigned stripe_count) noexcept
      : stripe_{stripe}, stripe_count_{stripe_count} {}

  void on_header(SliceSeq seq, media::ObjectKind kind, TimePoint now);
  void on_complete(SliceSeq seq) noexcept;
  /// The parent says that it completed all below `next_seq`.
  void on_head(SliceSeq next_seq) noexcept;
  /// A new publisher epoch.
  void reset();

  /// Where a new parent shall start: the first slice that is missing; nullopt before the first
  /// join.
  [[nodiscard]] std::optional<SliceSeq> first_missing(const SliceWindow& window) const;
  /// Holes to fetch now, each once, at most kFetchOutstandingMax outstanding.
  [[nodiscard]] std::vector<SliceSeq> poll_holes(const SliceWindow& window, TimePoint now);
  /// When poll_holes() may have something; nullopt before anything came.
  [[nodiscard]] std::optional<TimePoint> next_timeout() const noexcept;

  /// One past the highest complete slice.
  [[nodiscard]] SliceSeq next_seq() const noexcept { return complete_next_; }

 private:
  [[nodiscard]] SliceSeq following(SliceSeq seq) const noexcept {
    return SliceSeq{seq.value() + stripe_count_};
  }
  [[nodiscard]] SliceSeq align(SliceSeq seq) const noexcept;

  StripeIndex stripe_;
  unsigned stripe_count_;
  std::optional<TimePoint> first_header_;
  std::optional<SliceSeq> from_;     // below it nothing is repaired
  std::optional<SliceSeq> highest_;  // header seen
  SliceSeq head_next_{0};
  SliceSeq complete_next_{0};
  SliceSeq mark_{0};  // holes below were open at mark_at_
  std::optional<TimePoint> mark_at_;
  std::vector<SliceSeq> outstanding_;
  TimePoint outstanding_since_{};
};

}  // namespace tayga::relay
