#include "tests/sim/playout_meter.hpp"

#include <algorithm>

namespace tayga::sim {
namespace {

constexpr Duration kLookAgain = 20ms;

}  // namespace

PlayoutMeter::PlayoutMeter(const SimOptions& options, SimNet& net, const StreamId& stream)
    : options_{options}, net_{net}, stream_{stream}, viewers_(net.size()), misses_(net.size()) {}

void PlayoutMeter::on_viewer(NodeIndex index) {
  Viewer& viewer = viewers_[index];
  viewer.present = true;
  ++viewer.life;
  viewer.since = at(net_.now()).wall + kStartup;
}

void PlayoutMeter::on_viewer_gone(NodeIndex index) {
  viewers_[index].present = false;
  std::erase_if(waiting_, [index](const Waiting& one) { return one.viewer == index; });
}

void PlayoutMeter::excuse(NodeIndex index, Duration length) {
  Viewer& viewer = viewers_[index];
  viewer.since = std::max(viewer.since, at(net_.now()).wall + length);
  std::erase_if(waiting_, [index](const Waiting& one) { return one.viewer == index; });
}

void PlayoutMeter::on_publisher_lost() {
  const WallTime again = at(net_.now()).wall + kStartup;
  for (Viewer& viewer : viewers_) viewer.since = std::max(viewer.since, again);
}

void PlayoutMeter::on_published(const PublishedObject& object) {
  if (object.track != kSimTrack) return;
  const TimePoint due = net_.now() + options_.window;
  net_.at(due, [this, object, due] { play(object, due); });
}

void PlayoutMeter::play(const PublishedObject& object, TimePoint due) {
  const bool is_segment = object.kind == media::ObjectKind::segment;
  for (NodeIndex index = 0; index < viewers_.size(); ++index) {
    const Viewer& viewer = viewers_[index];
    if (!viewer.present || object.begun < viewer.since || !net_.is_running(index)) continue;
    totals_.bytes += object.size;
    if (is_segment) totals_.played += options_.segment;
    if (plays(index, object)) {
      ++totals_.complete;
    } else {
      waiting_.push_back({index, viewer.life, object, due});
    }
  }
  arm();
}

/// Whole, and its turn has come: all before it were played or given up.
bool PlayoutMeter::plays(NodeIndex viewer, const PublishedObject& object) const {
  const relay::Relay& relay = net_.relay(viewer);
  const relay::ObjectStore* store = relay.objects(stream_, object.track);
  const relay::Playout* playout = relay.playout(stream_, object.track);
  if (store == nullptr || playout == nullptr) return false;
  const auto info = store->get(object.epoch, object.id);
  return info && info->complete() && playout->is_released({object.epoch, object.id});
}

void PlayoutMeter::arm() {
  if (armed_ || waiting_.empty()) return;
  armed_ = true;
  net_.at(net_.now() + kLookAgain, [this] {
    armed_ = false;
    look_again();
    arm();
  });
}

void PlayoutMeter::look_again() {
  std::erase_if(waiting_, [this](const Waiting& one) {
    const Viewer& viewer = viewers_[one.viewer];
    if (!viewer.present || viewer.life != one.life || !net_.is_running(one.viewer)) return true;
    if (one.object.begun < viewer.since) return true;  // excused since
    const relay::ObjectStore* store = net_.relay(one.viewer).objects(stream_, one.object.track);
    const auto info = store == nullptr ? std::nullopt : store->get(one.object.epoch, one.object.id);
    if (info && info->complete()) {
      const Duration gap = *info->completed_at - (one.object.ended + options_.window);
      note_miss(one, std::max(gap, Duration{1}), false);
      return true;
    }
    if (net_.now() < one.due + kLostAfter) return false;
    note_miss(one, options_.segment, true);
    return true;
  });
}

void PlayoutMeter::note_miss(const Waiting& waiting, Duration gap, bool lost) {
  misses_[waiting.viewer].push_back({waiting.due, gap, lost});
  ++(lost ? totals_.lost : totals_.late);
}

PlayoutMeter::Totals PlayoutMeter::totals() const {
  Totals sum = totals_;
  for (std::vector<Miss> misses : misses_) {
    std::sort(misses.begin(), misses.end(),
              [](const Miss& a, const Miss& b) { return a.due < b.due; });
    for (std::size_t i = 0; i < misses.size();) {
      Duration stall{0};
      TimePoint last = misses[i].due;
      for (; i < misses.size() && misses[i].due - last < 2 * options_.segment; ++i) {
        last = misses[i].due;
        // A lost one is skipped: each costs its own length, a late one only what is not made up.
        stall = misses[i].lost ? stall + misses[i].gap : std::max(stall, misses[i].gap);
      }
      sum.stalled += stall;
      sum.stalls.add(stall);
    }
  }
  return sum;
}

}  // namespace tayga::sim
