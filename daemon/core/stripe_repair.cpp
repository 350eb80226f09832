#include "daemon/core/stripe_repair.hpp"

#include <algorithm>

namespace tayga::relay {

SliceSeq StripeRepair::align(SliceSeq seq) const noexcept {
  const auto offset =
      (stripe_.value() + stripe_count_ - seq.value() % stripe_count_) % stripe_count_;
  return SliceSeq{seq.value() + offset};
}

void StripeRepair::on_header(SliceSeq seq, media::ObjectKind kind, TimePoint now) {
  if (!first_header_) first_header_ = now;
  // Sticky objects of a late join lie far below the segments: what is between was never asked for.
  const bool joining = now - *first_header_ < kJoinSettleTime;
  if (!is_sticky_kind(kind) && (!from_ || (joining && seq < *from_))) from_ = seq;
  if (!highest_ || *highest_ < seq) highest_ = seq;
}

void StripeRepair::on_complete(SliceSeq seq) noexcept {
  complete_next_ = std::max(complete_next_, seq.next());
  std::erase(outstanding_, seq);
}

void StripeRepair::on_head(SliceSeq next_seq) noexcept {
  // A lie costs us at most the bounded number of fetches.
  head_next_ = std::max(head_next_, next_seq);
}

void StripeRepair::reset() {
  *this = StripeRepair{stripe_, stripe_count_};
}

std::optional<SliceSeq> StripeRepair::first_missing(const SliceWindow& window) const {
  if (!from_ || !highest_) return std::nullopt;
  // What was fetched and may still come is asked of the new parent again.
  const auto fetched = std::min_element(outstanding_.begin(), outstanding_.end());
  if (fetched != outstanding_.end() && *fetched < *from_) return *fetched;
  SliceSeq seq = align(*from_);
  for (std::size_t i = 0; i < kRepairSpanMax && seq <= *highest_; ++i) {
    if (!window.is_complete(seq)) return seq;
    seq = following(seq);
  }
  return seq <= *highest_ ? align(highest_->next()) : seq;
}

std::vector<SliceSeq> StripeRepair::poll_holes(const SliceWindow& window, TimePoint now) {
  std::vector<SliceSeq> holes;
  if (!from_ || !highest_ || now - *first_header_ < kJoinSettleTime) return holes;
  if (mark_at_ && now - *mark_at_ < kHoleOpenMax) return holes;
  if (now - outstanding_since_ >= kFetchAnswerMax) outstanding_.clear();
  if (mark_at_) {
    SliceSeq seq = align(*from_);
    for (std::size_t i = 0; i < kRepairSpanMax && seq < mark_; ++i) {
      if (!window.is_complete(seq)) {
        if (outstanding_.size() >= kFetchOutstandingMax) break;
        holes.push_back(seq);
        outstanding_.push_back(seq);
      }
      seq = following(seq);
    }
    from_ = std::max(*from_, seq);
    if (!holes.empty()) outstanding_since_ = now;
  }
  // The highest itself may still be arriving; below a head all is complete at the parent. Bounded:
  // a head far above what came is not a reason to look at millions of sequences.
  const SliceSeq told{
      std::min(head_next_.value(), highest_->value() + kFetchOutstandingMax * stripe_count_)};
  mark_ = std::max({mark_, *highest_, told});
  mark_at_ = now;
  return holes;
}

std::optional<TimePoint> StripeRepair::next_timeout() const noexcept {
  if (!from_ || !highest_) return std::nullopt;
  const TimePoint settled = *first_header_ + kJoinSettleTime;
  return mark_at_ ? std::max(settled, *mark_at_ + kHoleOpenMax) : settled;
}

}  // namespace tayga::relay
