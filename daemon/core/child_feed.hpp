#pragma once

#include "common/base/ids.hpp"
#include "common/wire/allocation.hpp"
#include "daemon/core/peer_message.hpp"
#include "daemon/core/slice_queue.hpp"
#include "daemon/core/slice_window.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace tayga::relay {

struct TrackState;
struct StreamState;

inline constexpr std::size_t kPriorities = 4;
/// Objects whose rest is kept from a slow child; older ones are forgotten (and long gone).
inline constexpr std::size_t kDroppedObjectsMax = 64;
/// Slices that a slow child is told it lost; it finds out of more by itself.
inline constexpr std::size_t kDroppedSlicesMax = 64;
/// Slices that a child got out of turn, or has from others: they are not sent again in their turn.
inline constexpr std::size_t kNotAgainMax = 256;
/// Who has not caught up by then is a slow child like any other.
inline constexpr Duration kCatchUpMax = 10s;

/// A child's subscription to stripes of one track, and what of it the child still waits for.
struct ChildSubscription {
  struct Stripe {
    SliceSeq from{0};        ///< slices below are not for it, but for the sticky ones at its start
    SliceSeq asked_from{0};  ///< where it asked to start,
    PublisherEpoch asked_epoch{0};            ///< in this epoch
    std::uint64_t live_from = 0;              ///< slices with a lower arrival_no are its catch-up
    std::optional<TimePoint> catch_up_until;  ///< set while it catches up
    std::int64_t service_until_ms = 0;
  };
  TrackState* track = nullptr;
  const StreamState* stream = nullptr;
  StripeMask active = 0;
  StripeMask standby = 0;
  std::vector<Stripe> stripes;
  wire::AllocationBlob allocation{};  ///< the last one that verified
  std::array<SliceQueue, kPriorities> queues;
  std::vector<ObjectId> dropped;
  std::vector<SliceSeq> dropped_slices;  ///< not told yet, at most kDroppedSlicesMax
  std::deque<SliceSeq> not_again;        ///< not to be sent in their turn, at most kNotAgainMax
  SliceSeq not_again_last{0};            ///< none of them is above: what is live costs no search
  bool some_forgotten = false;           ///< `dropped`, `not_again` tell not all that is left out

  [[nodiscard]] StripeMask all() const noexcept { return active | standby; }
  [[nodiscard]] bool is_dropped(ObjectId object) const noexcept;
  [[nodiscard]] bool has(SliceSeq seq) const noexcept;
  /// Pre: the slice is live for it and not below `from`.
  [[nodiscard]] bool waits_for(const CachedSlice& slice) const noexcept;
};

/// What one child is owed, over all its subscriptions, and what it is given next.
///
/// Pure. Slices are shared with the cache; this holds places in them. A child that catches up after
/// it joined is bounded by the cache; a live one that lags more than its limits loses whole
/// objects, the oldest first, segments before playlists and init segments.
class ChildFeed {
 public:
  struct Limits {
    std::size_t bytes;
    Duration age;  ///< at most; a stream with a shorter playout window has less
  };
  struct Next {
    ChildSubscription* subscription;
    SharedBytes frame;
  };

  explicit ChildFeed(const Limits& limits) : limits_{limits} {}

  ChildSubscription& add(TrackState& track, const StreamState& stream, std::size_t stripe_count);
  [[nodiscard]] ChildSubscription* find(const TrackState& track);
  /// Forgets what is queued of these stripes; an empty subscription goes away: do not use it then.
  void remove(ChildSubscription& subscription, StripeMask stripes);
  /// The track starts over with epoch `begun`: nothing that is queued of it may follow. Each stripe
  /// starts where the child asked for it in that epoch, else at the begin.
  void reset(ChildSubscription& subscription, PublisherEpoch begun);

  /// Queues what a new subscriber of these stripes starts with. `start` = the sequence it asked
  /// for; nullopt: the sticky objects and the newest segments.
  void catch_up(ChildSubscription& subscription, StripeIndex stripe, const SliceWindow& window,
                std::optional<SliceSeq> start, std::uint64_t live_from, TimePoint now);
  /// Queues again what the child does not `have` of a complete slice that it asked for; false when
  /// it still waits for it.
  bool resend(ChildSubscription& subscription, const SlicePtr& slice, FrameMask have,
              TimePoint now);
  /// The child has these slices: they are neither queued any more nor when they come.
  void skip(ChildSubscription& subscription, std::span<const SeqRange> ranges);
  /// Slices that were dropped for being late or too much, since the last call.
  [[nodiscard]] static std::vector<SliceSeq> take_dropped(ChildSubscription& subscription);
  /// True once after slices were dropped.
  [[nodiscard]] bool take_has_dropped() noexcept { return std::exchange(has_dropped_, false); }

  void on_header(ChildSubscription& subscription, StripeIndex stripe, const SlicePtr& slice);
  /// A frame of `slice` arrived. Returns true when the child must be told that there is media.
  bool on_frame(ChildSubscription& subscription, StripeIndex stripe, const CachedSlice& slice,
                std::size_t size, TimePoint now);
  /// Returns true when the child must be told that there is media.
  bool mark_ready() noexcept;

  /// The next frame: by priority, then fair over streams, then oldest first.
  [[nodiscard]] std::optional<Next> next(TimePoint now);
  /// Drops what is beyond the limits. Costs nothing while the child has all that arrived.
  void enforce(TimePoint now) {
    if (queued_bytes_ != 0 || catch_up_until_ <= now) drop_overdue(now);
  }

  [[nodiscard]] std::size_t queued_bytes() const noexcept { return queued_bytes_; }
  [[nodiscard]] Duration queued_age(TimePoint now) const;
  [[nodiscard]] std::uint64_t sent_bytes() const noexcept { return sent_bytes_; }
  [[nodiscard]] std::uint64_t dropped_bytes() const noexcept { return dropped_bytes_; }
  [[nodiscard]] const std::vector<std::unique_ptr<ChildSubscription>>& subscriptions()
      const noexcept {
    return subscriptions_;
  }

 private:
  struct Place {
    ChildSubscription* subscription = nullptr;
    QueuedSlice* entry = nullptr;
  };
  struct LivePlace {
    ChildSubscription* subscription = nullptr;
    const QueuedSlice* entry = nullptr;
  };
  static void keep_back(ChildSubscription& subscription, SliceSeq seq);
  void drop_overdue(TimePoint now);
  [[nodiscard]] Place choose(std::size_t priority);
  [[nodiscard]] LivePlace oldest_live(std::size_t priority_first, std::size_t priority_last);
  [[nodiscard]] LivePlace victim();
  [[nodiscard]] LivePlace overdue(TimePoint now);
  [[nodiscard]] Duration age_limit(const ChildSubscription& subscription) const;
  void end_catch_ups(TimePoint now);
  void end_catch_up(ChildSubscription& subscription, std::size_t stripe);
  void drop_object(ChildSubscription& subscription, ObjectId object);
  void on_gone(const QueuedSlice& entry);
  void forget(const QueuedSlice& entry);

  std::size_t queued_bytes_ = 0;                 // live, arrived, not sent
  TimePoint catch_up_until_ = TimePoint::max();  // no stripe's is earlier
  std::uint64_t dropped_bytes_ = 0;
  std::vector<std::unique_ptr<ChildSubscription>> subscriptions_;
  bool ready_ = false;
  bool has_dropped_ = false;
  std::uint64_t sent_bytes_ = 0;
  std::vector<const StreamState*> served_;  // least recently served first
  Limits limits_;
};

}  // namespace tayga::relay
