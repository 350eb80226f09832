#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "daemon/core/now.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace tayga::relay {

/// Where a missing slice is asked for, in this order. What costs the origin comes last.
enum class RepairStage : std::uint8_t { standby, parents, gateway, origin };
inline constexpr std::size_t kRepairStages = 4;

/// Slices of one track that are remembered as missing; more are looked at when these are done.
inline constexpr std::size_t kMissingMax = 512;
/// An asked peer has this long before the next source is asked.
inline constexpr Duration kRepairAnswer = 200ms;
/// After the last stage the round begins again, for what is proven to exist.
inline constexpr Duration kRepairRetry = 500ms;
/// Of objects that lack no more than this many slices the rest is hedged.
inline constexpr std::size_t kHedgedSlicesMax = 2;

/// A slice that should be here: below one that came, or below what a peer says it has.
struct MissingSlice {
  SliceSeq seq;
  std::optional<ObjectId> object;  ///< known when its header is here
  bool exists = false;             ///< a later one of its stripe came; else only a head told of it
  bool passed = false;             ///< a later one overtook it; else it may simply be on its way
  TimePoint touched{};             ///< its newest frame; the begin of time when none came
  TimePoint flowing{};   ///< the parent's newest frame of the stripe, which it sends in order
  TimePoint progress{};  ///< the same, also while it sends a joiner the past
  TimePoint coming{TimePoint::max()};  ///< at the speed at which the parent goes on, while it does
  TimePoint expected{};                ///< not later than usual
  TimePoint deadline{};                ///< it is late from then on
  Duration origin_turn{0};             ///< after the origin's time: when this viewer may ask it
  bool closes_object = false;          ///< one of the last that its object lacks
  bool held = false;                   ///< the parent said that it starves too: it repairs, we wait
};

/// Decides from whom a missing slice is asked and when: each stage early enough for its deadline.
///
/// A stage begins when the one before did not answer in kRepairAnswer, or when the time that it
/// needs itself is all that is left, whichever is first. The first stage begins after `patience`
/// (longer the deeper a node sits, so that the top orphan acts and its children get what it
/// fetched), or at once for what the parent said that it dropped. Pure.
class RepairPlan {
 public:
  struct Case {
    Duration window;    ///< of playout
    Duration patience;  ///< of a hole
    bool may_hedge = false;
    bool may_speculate = true;  ///< else what may be on its way is left to its deadline
  };
  struct Ask {
    SliceSeq seq;
    RepairStage stage = RepairStage::standby;
    bool hedge = false;  ///< beside an ask that may still be answered
  };
  /// Asks one source. False: there is none at that stage, the next one follows at once.
  using TryAsk = std::function<bool(const MissingSlice&, const Ask&)>;

  /// The parent dropped these for us: no need to wait.
  void on_dropped(SliceSeq first, SliceSeq last);
  /// `missing` = all that is missing now, ascending; what is not in it is forgotten.
  void plan(std::span<const MissingSlice> missing, const Case& how, TimePoint now,
            const TryAsk& try_ask);
  void clear();
  /// Nothing was missing, and nothing was said to be dropped, when plan() was called last.
  [[nodiscard]] bool is_idle() const noexcept {
    return entries_.empty() && dropped_.empty() && !next_;
  }

  /// When plan() may ask something again; nullopt while nothing is missing.
  [[nodiscard]] std::optional<TimePoint> next_timeout() const noexcept { return next_; }
  /// What was asked for and did not come so far.
  [[nodiscard]] bool was_asked(SliceSeq seq) const;

 private:
  struct Entry {
    TimePoint since;
    std::size_t stage = 0;  // the next one
    std::optional<TimePoint> asked_at;
  };
  void plan_one(Entry& entry, const MissingSlice& slice, const Case& how, TimePoint now,
                const TryAsk& try_ask);
  [[nodiscard]] static TimePoint due(const Entry& entry, const MissingSlice& slice,
                                     const Case& how);

  std::map<SliceSeq, Entry> entries_;
  std::set<SliceSeq> dropped_;
  std::optional<TimePoint> next_;
};

}  // namespace tayga::relay
