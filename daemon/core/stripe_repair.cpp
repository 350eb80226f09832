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

void StripeRepair::on_turn(SliceSeq seq, media::Priority priority) noexcept {
  if (!passed_ || least_urgent_ < priority) {
    passed_ = seq;
    least_urgent_ = priority;
  } else if (priority == least_urgent_) {
    passed_ = std::max(*passed_, seq);
  }
}

void StripeRepair::on_complete(SliceSeq seq) noexcept {
  complete_next_ = std::max(complete_next_, seq.next());
}

void StripeRepair::on_head(SliceSeq next_seq) noexcept {
  head_next_ = std::max(head_next_, next_seq);
}

void StripeRepair::give_up(SliceSeq seq) {
  given_up_.insert(seq);
  if (given_up_.size() <= kGivenUpMax) return;
  // What is still open below the oldest of so many is too late as well.
  from_ = std::max(from_.value_or(SliceSeq{0}), following(*given_up_.begin()));
  given_up_.erase(given_up_.begin(), given_up_.lower_bound(*from_));
}

void StripeRepair::reset() {
  *this = StripeRepair{stripe_, stripe_count_};
}

std::optional<SliceSeq> StripeRepair::first_missing(const SliceWindow& window) const {
  if (!from_ || !highest_) return std::nullopt;
  SliceSeq seq = align(*from_);
  for (std::size_t i = 0; i < kRepairSpanMax && seq <= *highest_; ++i) {
    if (is_open(seq, window)) return seq;
    seq = following(seq);
  }
  return seq <= *highest_ ? align(highest_->next()) : seq;
}

std::optional<SliceSeq> StripeRepair::frontier() const {
  if (!from_ || !highest_) return std::nullopt;
  return align(highest_->next());
}

bool StripeRepair::is_caught_up(const SliceWindow& window) const {
  const auto missing = first_missing(window);
  return missing && head_next_ > SliceSeq{0} && *missing >= head_next_;
}

void StripeRepair::collect(const SliceWindow& window, TimePoint now, std::vector<Hole>& holes) {
  if (!from_ || !highest_ || now - *first_header_ < kJoinSettleTime) return;
  const SliceSeq told{
      std::min(head_next_.value(), highest_->value() + kHeadTrustMax * stripe_count_)};
  const SliceSeq end = std::max(highest_->next(), told);
  SliceSeq seq = align(*from_);
  bool whole = true;  // nothing is open so far
  for (std::size_t i = 0; i < kRepairSpanMax && seq < end; ++i) {
    if (is_open(seq, window)) {
      whole = false;
      holes.push_back({seq, seq < *highest_, passed_ && seq < *passed_});
    }
    if (whole) from_ = following(seq);
    seq = following(seq);
  }
  given_up_.erase(given_up_.begin(), given_up_.lower_bound(*from_));
}

}  // namespace tayga::relay
