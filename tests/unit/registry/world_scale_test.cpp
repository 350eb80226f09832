#include "tests/support/catch.hpp"
#include "tests/unit/registry/world_driver.hpp"

#include <set>

namespace tayga::orch {
namespace {

using test::node_id;
using test::WorldDriver;

/// Every stripe of every served node leads to the gateway, without a loop.
void check_paths(const WorldDriver& net) {
  const auto stream = net.world.snapshot(net.now)->streams.at(0);
  for (const auto& [node, links] : stream.upstream) {
    for (const UpstreamLink& first : links) {
      NodeId at = node;
      std::size_t hops = 0;
      while (at != node_id(1)) {
        REQUIRE(++hops <= stream.upstream.size());
        const auto it = stream.upstream.find(at);
        REQUIRE(it != stream.upstream.end());
        const auto next = std::find_if(it->second.begin(), it->second.end(), [&](const auto& l) {
          return l.track == first.track && l.stripe == first.stripe;
        });
        REQUIRE(next != it->second.end());
        at = next->parent;
      }
    }
  }
}

TEST_CASE("two thousand nodes join in bursts and leave at once; pushes stay in proportion") {
  WorldDriver net;
  net.go_live(4);
  for (unsigned r = 0; r < 60; ++r) net.relay(100 + r, 60);
  net.settle();
  constexpr unsigned kViewers = 2000;
  for (unsigned v = 0; v < kViewers; ++v) {
    net.viewer(1000 + v, v % 9);
    net.join(1000 + v);
    if (v % 500 == 499) net.settle();
  }
  net.settle();
  for (unsigned v = 0; v < kViewers; ++v) REQUIRE(net.is_served(1000 + v));
  check_paths(net);
  CHECK(net.world.snapshot(net.now)->streams[0].depth <= 7);

  net.clear();
  for (unsigned v = 0; v < kViewers; v += 2) {
    net.world.on_leave(node_id(1000 + v), "show", net.now);
  }
  net.settle();
  for (unsigned v = 1; v < kViewers; v += 2) REQUIRE(net.is_served(1000 + v));
  check_paths(net);
  // One push per node at most: the whole half left within one resolve delay.
  CHECK(net.pushed.size() <= kViewers + 61);

  net.clear();
  net.viewer(5000, 0);
  net.join(5000);
  net.settle();
  CHECK(net.is_served(5000));
  CHECK(net.pushed.size() <= 20);
}

}  // namespace
}  // namespace tayga::orch
