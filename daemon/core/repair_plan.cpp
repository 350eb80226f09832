#include "daemon/core/repair_plan.hpp"

#include <algorithm>

namespace tayga::relay {
namespace {

constexpr std::size_t kDroppedMax = 512;
constexpr std::size_t kDroppedRangeMax = 64;  ///< of one range; a parent names single slices
/// A starving parent repairs for its children; who hears nothing this long acts itself.
constexpr Duration kHeldPatience = 500ms;

/// Before the deadline, as a part of the window: what a stage needs to be of use.
Duration lead_of(std::size_t stage, Duration window) noexcept {
  switch (static_cast<RepairStage>(stage)) {
    case RepairStage::standby:
      return Duration::zero();  // begins by its own patience
    case RepairStage::parents:
      return std::min<Duration>(window * 6 / 10, 1200ms);
    case RepairStage::gateway:
      return std::min<Duration>(window * 9 / 20, 900ms);
    case RepairStage::origin:
      return std::min<Duration>(window * 3 / 10, 600ms);
  }
  return Duration::zero();
}

}  // namespace

void RepairPlan::on_dropped(SliceSeq first, SliceSeq last) {
  std::size_t told = 0;
  for (SliceSeq seq = first; seq <= last && ++told <= kDroppedRangeMax; seq = seq.next()) {
    if (dropped_.size() < kDroppedMax) dropped_.insert(seq);
  }
}

void RepairPlan::clear() {
  entries_.clear();
  dropped_.clear();
  next_.reset();
}

bool RepairPlan::was_asked(SliceSeq seq) const {
  const auto entry = entries_.find(seq);
  return entry != entries_.end() && entry->second.asked_at.has_value();
}

TimePoint RepairPlan::due(const Entry& entry, const MissingSlice& slice, const Case& how) {
  if (entry.stage >= kRepairStages) return *entry.asked_at + kRepairRetry;
  const TimePoint lead = slice.deadline - lead_of(entry.stage, how.window);
  switch (static_cast<RepairStage>(entry.stage)) {
    case RepairStage::standby: {
      TimePoint at = std::max(entry.since, slice.touched) + how.patience;
      if (!slice.passed) at = std::max(at, slice.expected);
      // A standby may be a whole burst ahead of a parent that sends one slice after the other: what
      // is behind others on the same link is on its way until half of its time is gone.
      const TimePoint half = slice.deadline - how.window / 2;
      const Duration pause = std::max(how.patience, how.window / 6);  // a loss is sent again
      const TimePoint flows_until = how.may_speculate ? slice.flowing + pause : half;
      if (!slice.passed) at = std::max(at, std::min(flows_until, half));
      // What will be in time at the speed at which its parent goes on is left to it while it does:
      // to the last moment when more must not come twice.
      const TimePoint safe = slice.deadline - how.window * 3 / 10;
      const bool is_coming = slice.coming <= slice.deadline - how.window / 10;
      if (!slice.passed && (slice.coming <= safe || (is_coming && !how.may_speculate))) {
        const TimePoint latest = std::max(safe, slice.coming + how.window / 20);
        at = std::max(at, std::min(slice.progress + pause, latest));
      }
      return slice.held ? std::max(at, entry.since + kHeldPatience) : at;
    }
    case RepairStage::parents:
      // A slow answer that is coming in is still an answer.
      return std::min(std::max(*entry.asked_at, slice.touched) + kRepairAnswer,
                      std::max(lead, *entry.asked_at));
    case RepairStage::gateway:
      return std::max(lead, entry.since + how.patience);
    case RepairStage::origin:
      return std::max(lead + slice.origin_turn, entry.since + how.patience);
  }
  return lead;
}

void RepairPlan::plan_one(Entry& entry, const MissingSlice& slice, const Case& how, TimePoint now,
                          const TryAsk& try_ask) {
  while (entry.stage < kRepairStages) {
    const bool is_dropped = entry.stage == 0 && dropped_.contains(slice.seq);
    // Only among peers: the last resort has its time.
    const bool hedge = entry.stage == static_cast<std::size_t>(RepairStage::parents) &&
                       entry.asked_at && slice.closes_object && how.may_hedge &&
                       now < slice.deadline && slice.deadline - now <= how.window / 2;
    if (!is_dropped && !hedge && now < due(entry, slice, how)) return;
    const auto stage = static_cast<RepairStage>(entry.stage);
    ++entry.stage;
    // What is late is worth a peer's answer to our children, but nothing of the last resort.
    const bool is_useful = stage < RepairStage::gateway || now < slice.deadline;
    if (is_useful && try_ask(slice, Ask{slice.seq, stage, hedge})) {
      entry.asked_at = now;
      return;
    }
    // Nobody to wait for: the next stage may begin.
    if (!entry.asked_at) entry.asked_at = now - kRepairAnswer;
  }
  // What only a head told of is asked for once: a lie must not cost more than that.
  if (!slice.exists || now < due(entry, slice, how)) return;
  entry = Entry{now - how.patience, 0, std::nullopt};
}

void RepairPlan::plan(std::span<const MissingSlice> missing, const Case& how, TimePoint now,
                      const TryAsk& try_ask) {
  std::map<SliceSeq, Entry> kept;
  next_.reset();
  for (const MissingSlice& slice : missing) {
    if (kept.size() >= kMissingMax) break;
    const auto known = entries_.find(slice.seq);
    Entry entry = known == entries_.end() ? Entry{now, 0, std::nullopt} : known->second;
    plan_one(entry, slice, how, now, try_ask);
    const bool is_done = !slice.exists && entry.stage >= kRepairStages;
    const TimePoint at = std::max(due(entry, slice, how), now + 1ms);
    if (!is_done) next_ = next_ ? std::min(*next_, at) : at;
    kept.emplace(slice.seq, entry);
  }
  entries_ = std::move(kept);
  const SliceSeq oldest = missing.empty() ? SliceSeq{~std::uint64_t{0}} : missing.front().seq;
  dropped_.erase(dropped_.begin(), dropped_.lower_bound(oldest));
}

}  // namespace tayga::relay
