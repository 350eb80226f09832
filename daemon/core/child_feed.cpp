#include "daemon/core/child_feed.hpp"

#include "common/base/check.hpp"
#include "daemon/core/relay_state.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace tayga::relay {
namespace {

constexpr std::size_t kKeyFramePriority = 2;  // from here on objects are dropped first

std::size_t to_priority(const CachedSlice& slice) noexcept {
  return std::min<std::size_t>(static_cast<std::size_t>(slice.header.priority), kPriorities - 1);
}

bool is_in(const CachedSlice& slice, StripeMask stripes, std::size_t stripe_count) noexcept {
  return (stripes >> (slice.header.seq.value() % stripe_count) & 1U) != 0;
}

}  // namespace

bool ChildSubscription::is_dropped(ObjectId object) const noexcept {
  return std::find(dropped.begin(), dropped.end(), object) != dropped.end();
}

bool ChildSubscription::has(SliceSeq seq) const noexcept {
  return !not_again.empty() && seq <= not_again_last &&
         std::find(not_again.begin(), not_again.end(), seq) != not_again.end();
}

bool ChildSubscription::waits_for(const CachedSlice& slice) const noexcept {
  if (is_dropped(slice.header.object)) return false;
  const bool may_be_left_out = some_forgotten || has(slice.header.seq);
  return !may_be_left_out || queues[to_priority(slice)].contains(slice);
}

ChildSubscription& ChildFeed::add(TrackState& track, const StreamState& stream,
                                  std::size_t stripe_count) {
  auto subscription = std::make_unique<ChildSubscription>();
  subscription->track = &track;
  subscription->stream = &stream;
  subscription->stripes.resize(stripe_count);
  subscriptions_.push_back(std::move(subscription));
  if (std::find(served_.begin(), served_.end(), &stream) == served_.end()) {
    served_.insert(served_.begin(), &stream);
  }
  return *subscriptions_.back();
}

ChildSubscription* ChildFeed::find(const TrackState& track) {
  for (const auto& subscription : subscriptions_) {
    if (subscription->track == &track) return subscription.get();
  }
  return nullptr;
}

void ChildFeed::remove(ChildSubscription& subscription, StripeMask stripes) {
  const std::size_t stripe_count = subscription.stripes.size();
  for (SliceQueue& queue : subscription.queues) {
    queue.remove_if([&](const QueuedSlice& entry) {
      if (!entry.slice || !is_in(*entry.slice, stripes, stripe_count)) return false;
      forget(entry);
      return true;
    });
  }
  subscription.active &= ~stripes;
  subscription.standby &= ~stripes;
  if (subscription.all() != 0) return;
  const StreamState* stream = subscription.stream;
  std::erase_if(subscriptions_, [&](const auto& other) { return other.get() == &subscription; });
  const bool used = std::any_of(subscriptions_.begin(), subscriptions_.end(),
                                [&](const auto& other) { return other->stream == stream; });
  if (!used) std::erase(served_, stream);
}

void ChildFeed::reset(ChildSubscription& subscription, PublisherEpoch begun) {
  for (SliceQueue& queue : subscription.queues) {
    queue.remove_if([&](const QueuedSlice& entry) {
      dropped_bytes_ += entry.unsent_bytes();
      forget(entry);
      return true;
    });
  }
  subscription.dropped.clear();
  subscription.some_forgotten = false;
  subscription.dropped_slices.clear();
  subscription.not_again.clear();
  subscription.not_again_last = SliceSeq{0};
  for (auto& stripe : subscription.stripes) {
    stripe.from = stripe.asked_epoch == begun ? stripe.asked_from : SliceSeq{0};
  }
}

void ChildFeed::catch_up(ChildSubscription& subscription, StripeIndex stripe,
                         const SliceWindow& window, std::optional<SliceSeq> start,
                         std::uint64_t live_from, TimePoint now) {
  const std::size_t stripe_count = subscription.stripes.size();
  ChildSubscription::Stripe& place = subscription.stripes[stripe.value()];
  const SliceSeq from = start.value_or(window.late_join_start());
  place.live_from = live_from;
  place.catch_up_until = now + kCatchUpMax;
  catch_up_until_ = std::min(catch_up_until_, now + kCatchUpMax);
  SliceSeq arrived{0};  // one past the last of this stripe that is here
  for (const auto& [seq, slice] : window.slices()) {
    if (seq.value() % stripe_count != stripe.value()) continue;
    arrived = seq.next();
    const bool sticky_start = !start && window.is_sticky(slice->header.object);
    if (seq < from && !sticky_start) continue;
    if (start && subscription.has(seq)) continue;
    std::erase(subscription.not_again, seq);
    subscription.queues[to_priority(*slice)].push(QueuedSlice{slice, 0, 0, false, {}});
  }
  // The other stripes may have run ahead of this one: what it brings next is live all the same.
  place.from = start ? from : std::min(from, arrived);
}

bool ChildFeed::resend(ChildSubscription& subscription, const SlicePtr& slice, FrameMask have,
                       TimePoint now) {
  TAYGA_CHECK(slice->complete());
  SliceQueue& queue = subscription.queues[to_priority(*slice)];
  if (queue.contains(*slice)) return false;
  // The header always goes first: only who announced a slice answers for its chunks.
  const FrameMask known = (have & kHeaderBit) == 0 ? 0 : have & slice->full & ~kHeaderBit;
  QueuedSlice entry{slice, known, 0, true, now};
  for (std::size_t i = 0; i < slice->frames.size(); ++i) {
    if ((entry.sent >> i & 1U) != 0) entry.sent_bytes += slice->frames[i]->size();
  }
  queued_bytes_ += entry.unsent_bytes();
  queue.push_front(std::move(entry));
  keep_back(subscription, slice->header.seq);
  return true;
}

void ChildFeed::keep_back(ChildSubscription& subscription, SliceSeq seq) {
  if (subscription.not_again.size() >= kNotAgainMax) subscription.not_again.pop_front();
  subscription.not_again.push_back(seq);
  subscription.not_again_last = std::max(subscription.not_again_last, seq);
}

void ChildFeed::skip(ChildSubscription& subscription, std::span<const SeqRange> ranges) {
  for (SliceQueue& queue : subscription.queues) {
    queue.remove_if([&](const QueuedSlice& entry) {
      if (!entry.slice) return false;
      const SliceSeq seq = entry.slice->header.seq;
      const bool has = std::ranges::any_of(
          ranges, [&](const SeqRange& range) { return range.first <= seq && seq <= range.last; });
      if (!has) return false;
      // Its number may be forgotten before the rest of it is here.
      if (!entry.slice->complete()) subscription.some_forgotten = true;
      forget(entry);
      return true;
    });
  }
  std::size_t left = kNotAgainMax;
  for (const SeqRange& range : ranges) {
    for (SliceSeq seq = range.first; seq <= range.last && left > 0; seq = seq.next(), --left) {
      if (!subscription.has(seq)) keep_back(subscription, seq);
    }
  }
}

std::vector<SliceSeq> ChildFeed::take_dropped(ChildSubscription& subscription) {
  return std::exchange(subscription.dropped_slices, {});
}

void ChildFeed::on_header(ChildSubscription& subscription, StripeIndex stripe,
                          const SlicePtr& slice) {
  if (slice->header.seq < subscription.stripes[stripe.value()].from) return;
  if (subscription.is_dropped(slice->header.object)) return;
  if (subscription.has(slice->header.seq)) return;
  ChildSubscription::Stripe& place = subscription.stripes[stripe.value()];
  if (place.catch_up_until) place.live_from = slice->arrival_no + 1;
  subscription.queues[to_priority(*slice)].push(
      QueuedSlice{slice, 0, 0, !place.catch_up_until.has_value(), {}});
}

bool ChildFeed::on_frame(ChildSubscription& subscription, StripeIndex stripe,
                         const CachedSlice& slice, std::size_t size, TimePoint now) {
  const ChildSubscription::Stripe& place = subscription.stripes[stripe.value()];
  if (slice.arrival_no >= place.live_from && slice.header.seq >= place.from) {
    if (!subscription.waits_for(slice)) {
      if (!subscription.has(slice.header.seq)) dropped_bytes_ += size;
      return false;
    }
    queued_bytes_ += size;
    if (queued_bytes_ > limits_.bytes) enforce(now);
  }
  return mark_ready();
}

bool ChildFeed::mark_ready() noexcept {
  return !std::exchange(ready_, true);
}

ChildFeed::Place ChildFeed::choose(std::size_t priority) {
  Place best;
  std::size_t best_turn = 0;
  for (const auto& subscription : subscriptions_) {
    QueuedSlice* entry = subscription->queues[priority].front_available(
        [this](const QueuedSlice& gone) { on_gone(gone); });
    if (entry == nullptr) continue;
    const auto turn = static_cast<std::size_t>(
        std::find(served_.begin(), served_.end(), subscription->stream) - served_.begin());
    const bool better = best.entry == nullptr || turn < best_turn ||
                        (turn == best_turn && entry->slice->header.publisher_time <
                                                  best.entry->slice->header.publisher_time);
    if (!better) continue;
    best = Place{subscription.get(), entry};
    best_turn = turn;
  }
  return best;
}

std::optional<ChildFeed::Next> ChildFeed::next(TimePoint now) {
  for (std::size_t priority = 0; priority < kPriorities; ++priority) {
    Place place = choose(priority);
    if (place.entry != nullptr && place.entry->live && priority >= kKeyFramePriority &&
        now - place.entry->waits_since() > age_limit(*place.subscription)) {
      enforce(now);
      place = choose(priority);
    }
    if (place.entry == nullptr) continue;
    QueuedSlice& entry = *place.entry;
    const FrameMask waiting = entry.slice->have & ~entry.sent;
    const auto index = static_cast<std::size_t>(std::countr_zero(waiting));
    const SharedBytes& frame = entry.slice->frames[index];
    entry.sent |= FrameMask{1} << index;
    entry.sent_bytes += frame->size();
    if (entry.live) queued_bytes_ -= frame->size();
    sent_bytes_ += frame->size();
    if (served_.size() > 1 && served_.back() != place.subscription->stream) {
      std::erase(served_, place.subscription->stream);
      served_.push_back(place.subscription->stream);
    }
    return Next{place.subscription, frame};
  }
  if (catch_up_until_ != TimePoint::max()) {
    for (const auto& subscription : subscriptions_) {
      for (auto& stripe : subscription->stripes) stripe.catch_up_until.reset();
    }
    catch_up_until_ = TimePoint::max();
  }
  ready_ = false;
  return std::nullopt;
}

/// From here on what is queued of this stripe counts against the limits.
void ChildFeed::end_catch_up(ChildSubscription& subscription, std::size_t stripe) {
  ChildSubscription::Stripe& place = subscription.stripes[stripe];
  place.catch_up_until.reset();
  place.live_from = 0;
  for (SliceQueue& queue : subscription.queues) {
    queue.for_each([&](QueuedSlice& entry) {
      const SliceSeq seq = entry.slice->header.seq;
      if (entry.live || entry.slice->evicted || seq < place.from ||
          seq.value() % subscription.stripes.size() != stripe) {
        return;
      }
      entry.live = true;
      queued_bytes_ += entry.unsent_bytes();
    });
  }
}

ChildFeed::LivePlace ChildFeed::oldest_live(std::size_t priority_first, std::size_t priority_last) {
  LivePlace oldest;
  for (const auto& subscription : subscriptions_) {
    for (std::size_t priority = priority_first; priority <= priority_last; ++priority) {
      const QueuedSlice* entry = subscription->queues[priority].front_live();
      if (entry == nullptr) continue;
      if (oldest.entry == nullptr || entry->waits_since() < oldest.entry->waits_since()) {
        oldest = LivePlace{subscription.get(), entry};
      }
    }
  }
  return oldest;
}

/// What waited longer than its stream's window is of no use to the child's player.
Duration ChildFeed::age_limit(const ChildSubscription& subscription) const {
  return std::min(limits_.age, subscription.stream->descriptor.playout_window);
}

/// Of segments only: an init segment or a playlist is of use however late.
ChildFeed::LivePlace ChildFeed::overdue(TimePoint now) {
  for (const auto& subscription : subscriptions_) {
    for (std::size_t priority = kKeyFramePriority; priority < kPriorities; ++priority) {
      const QueuedSlice* entry = subscription->queues[priority].front_live();
      if (entry == nullptr) continue;
      if (now - entry->waits_since() > age_limit(*subscription)) {
        return LivePlace{subscription.get(), entry};
      }
    }
  }
  return {};
}

/// Segments first, then playlists, init segments last.
ChildFeed::LivePlace ChildFeed::victim() {
  LivePlace place = oldest_live(kKeyFramePriority, kPriorities - 1);
  for (std::size_t priority = kKeyFramePriority; place.entry == nullptr && priority > 0;
       --priority) {
    place = oldest_live(priority - 1, priority - 1);
  }
  return place;
}

void ChildFeed::end_catch_ups(TimePoint now) {
  catch_up_until_ = TimePoint::max();
  for (const auto& subscription : subscriptions_) {
    for (std::size_t stripe = 0; stripe < subscription->stripes.size(); ++stripe) {
      const auto until = subscription->stripes[stripe].catch_up_until;
      if (!until) continue;
      if (*until <= now) {
        end_catch_up(*subscription, stripe);
      } else {
        catch_up_until_ = std::min(catch_up_until_, *until);
      }
    }
  }
}

void ChildFeed::drop_overdue(TimePoint now) {
  if (catch_up_until_ <= now) end_catch_ups(now);
  for (;;) {
    if (queued_bytes_ > limits_.bytes) {
      const LivePlace place = victim();
      if (place.entry == nullptr) return;
      drop_object(*place.subscription, place.entry->slice->header.object);
      continue;
    }
    const LivePlace place = overdue(now);
    if (place.entry == nullptr) return;
    drop_object(*place.subscription, place.entry->slice->header.object);
  }
}

void ChildFeed::drop_object(ChildSubscription& subscription, ObjectId object) {
  for (SliceQueue& queue : subscription.queues) {
    queue.remove_if([&](const QueuedSlice& entry) {
      if (!entry.slice || entry.slice->header.object != object) return false;
      dropped_bytes_ += entry.unsent_bytes();
      if (!entry.finished() && subscription.dropped_slices.size() < kDroppedSlicesMax) {
        subscription.dropped_slices.push_back(entry.slice->header.seq);
        has_dropped_ = true;
      }
      forget(entry);
      return true;
    });
  }
  if (subscription.is_dropped(object)) return;
  if (subscription.dropped.size() >= kDroppedObjectsMax) {
    subscription.dropped.erase(subscription.dropped.begin());
    subscription.some_forgotten = true;
  }
  subscription.dropped.push_back(object);
}

Duration ChildFeed::queued_age(TimePoint now) const {
  Duration age{0};
  for (const auto& subscription : subscriptions_) {
    for (const SliceQueue& queue : subscription->queues) {
      const QueuedSlice* front = queue.front_live();
      if (front == nullptr) continue;
      age = std::max(age, now - front->waits_since());
    }
  }
  return age;
}

void ChildFeed::on_gone(const QueuedSlice& entry) {
  dropped_bytes_ += entry.unsent_bytes();
  forget(entry);
}

void ChildFeed::forget(const QueuedSlice& entry) {
  if (!entry.live) return;
  TAYGA_CHECK(queued_bytes_ >= entry.unsent_bytes());
  queued_bytes_ -= entry.unsent_bytes();
}

}  // namespace tayga::relay
