#include "daemon/core/playout.hpp"

namespace tayga::relay {

void Playout::update(const ObjectStore& store, Now now) {
  due_.reset();
  store.for_each_after(past_, [&](const ObjectInfo& object) {
    // Of what came before the first whole object there may never have been a begin here.
    if (!past_ && !object.complete()) return true;
    if (!decide(object, now)) return false;
    past_ = Key{object.epoch, object.id};
    return true;
  });
}

/// False when `object`, or one before it of which nothing is here, is still waited for.
bool Playout::decide(const ObjectInfo& object, Now now) {
  const bool follows = !past_ || past_->first != object.epoch || past_->second.next() == object.id;
  const bool skips = !follows && object.publisher_time >= joined_;
  if (object.complete() && !skips) {
    ++counters_.released;
    return true;
  }
  const WallTime due = object.publisher_time + window_;
  if (now.wall < due) {
    due_ = due;
    return false;
  }
  if (skips) counters_.given_up += object.id.value() - past_->second.value() - 1;
  ++(object.complete() ? counters_.released : counters_.given_up);
  return true;
}

}  // namespace tayga::relay
