#pragma once

#include "tests/support/catch.hpp"
#include "tests/unit/registry/world_driver.hpp"

#include <cstdint>
#include <map>
#include <vector>

namespace tayga::orch::test {

/// Gateway 1 gives two copies: to relays 2 and 3, each with room for six children of one stripe.
/// Eight viewers without uplink: one relay is full, the other has two and stands by for four.
struct TwoBranches : WorldDriver {
  explicit TwoBranches(std::uint64_t gateway_mbit = 0) : WorldDriver{options_with(1000, 10, 2)} {
    world.add_stream(show(), now).value();
    gateway(1, gateway_mbit);
    world.on_publish(node_id(1), claim(1), now).value();
    settle();
    relay(2, 20);
    relay(3, 20);
    for (unsigned v = 10; v < 18; ++v) {
      viewer(v, 1);
      join(v);
    }
    settle();
    std::map<NodeId, unsigned> children;
    for (unsigned v = 10; v < 18; ++v) ++children[parent_of(v)];
    full = children[node_id(2)] > children[node_id(3)] ? 2 : 3;
    roomy = 5 - full;
    for (unsigned v = 10; v < 18; ++v) {
      (parent_of(v) == node_id(full) ? of_full : of_roomy).push_back(v);
    }
    REQUIRE(of_full.size() == 6);
    REQUIRE(of_roomy.size() == 2);
    for (const unsigned v : of_full) {
      if (standby_of(v) == node_id(roomy)) backed.push_back(v);
    }
  }
  [[nodiscard]] NodeId standby_of(unsigned node) const {
    for (const UpstreamLink& link : state.at(node_id(node)).standby) {
      if (link.track == TrackId{1}) return link.parent;
    }
    return NodeId{};
  }

  unsigned full = 0;
  unsigned roomy = 0;
  std::vector<unsigned> of_full;
  std::vector<unsigned> of_roomy;
  std::vector<unsigned> backed;  ///< of of_full: by the other relay
};

}  // namespace tayga::orch::test
