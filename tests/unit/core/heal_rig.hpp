#pragma once

#include "tests/unit/core/relay_rig.hpp"

#include <vector>

namespace tayga::test {

/// A relay with a parent and a ready standby for every stripe, both known to it for a second.
struct HealRig : Rig {
  explicit HealRig(unsigned stripe_count = 1) : Rig{stripe_count} {
    relay.on_assignment(with_standby(), at(now));
    drain();
    up(parent.node_id());
    up(parent2.node_id());
    confirm(parent.node_id());
    confirm(parent2.node_id());
    beat(1s);
    log.clear();
  }
  relay::Assignment with_standby() {
    relay::Assignment target = assignment({parent.node_id()});
    for (unsigned i = 0; i < stripes; ++i) {
      target.upstream.push_back({kTrack, StripeIndex{static_cast<std::uint8_t>(i)},
                                 parent2.node_id(), relay::UpstreamRole::standby});
    }
    target.allocations.push_back(world.allocate(parent2.node_id(), self_id()));
    return target;
  }
  /// Both are heard, the parent every 30 ms.
  void beat(Duration duration, bool parent_too = true) {
    for (Duration passed{0}; passed < duration; passed += 30ms) {
      pass(30ms);
      if (parent_too) hear(parent.node_id(), relay::Head{});
      if (passed % 180ms == 0ms) hear(parent2.node_id(), relay::Head{});
    }
  }
  std::vector<media::SignedSlice> slices(unsigned count) {
    std::vector<media::SignedSlice> all;
    for (unsigned i = 0; i < count; ++i) {
      for (auto& slice : publisher.segment(next_++, 1'000, at(now))) all.push_back(slice);
    }
    return all;
  }

 private:
  unsigned next_ = 1;
};

}  // namespace tayga::test
