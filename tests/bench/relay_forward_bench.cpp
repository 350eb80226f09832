#include "common/base/check.hpp"
#include "daemon/core/relay.hpp"
#include "tests/bench/bench.hpp"
#include "tests/sim/relay_world.hpp"

#include <cstdio>
#include <vector>

namespace tayga::bench {

boost::json::object bench_relay_forward(const Args& args);

/// What the relay's core alone costs to take a publisher's chunk and give it to every child: no
/// sockets, no encryption, no signatures of parents.
boost::json::object bench_relay_forward(const Args& args) {
  const double seconds = args.number("seconds", 2);
  const auto children = static_cast<unsigned>(args.count("children", 400));
  constexpr TrackId kTrack{1};
  constexpr std::size_t kSegmentSize = 64 * 1024 - 1;

  sim::RelayWorld world;
  const crypto::SigningKey self = sim::make_key(1);
  relay::RelayLimits limits;
  limits.children_max = children;
  limits.cache_age = 1s;
  relay::Relay relay{self, limits, 10s};
  world.introduce(relay);
  TimePoint now = sim::kStart;
  relay.on_publish_started(world.descriptor(1), sim::at(now));
  std::vector<NodeId> peers;
  for (unsigned i = 0; i < children; ++i) {
    peers.push_back(sim::make_key(10 + i).node_id());
    relay.on_peer_up(peers.back(), sim::at(now));
    relay::Subscribe subscribe;
    subscribe.stream = world.stream();
    subscribe.track = kTrack;
    subscribe.stripes = 1;
    subscribe.allocation =
        world.allocate(self.node_id(), peers.back(), {.not_after = Duration{24h * 365}});
    relay.on_message(peers.back(), subscribe, sim::at(now));
  }

  sim::TestPublisher publisher{world, kTrack};
  std::uint64_t chunks = 0;
  std::uint64_t frames = 0;
  double spent = 0;
  unsigned number = 0;
  while (spent < seconds) {
    now += 64ms;  // 8 Mbit/s
    const auto slices = publisher.segment(++number, kSegmentSize, sim::at(now));
    const double begin = thread_cpu_seconds();
    for (const auto& slice : slices) {
      chunks += slice.chunk_frames.size();
      relay.on_published(slice, sim::at(now));
    }
    while (const auto action = relay.poll_action()) {
      const auto* ready = std::get_if<relay::Relay::MediaReady>(&*action);
      if (ready == nullptr) continue;
      while (relay.next_media(ready->peer, sim::at(now))) ++frames;
    }
    relay.on_timeout(sim::at(now));
    spent += thread_cpu_seconds() - begin;
  }
  TAYGA_CHECK(frames >= chunks * children);
  const double ns = spent * 1e9 / (static_cast<double>(chunks) * children);
  const double streams_per_core = 8e6 / 8 / 4096 * children * ns / 1e9;
  std::printf("%u children, %.0f ns per chunk and child, %.2f %% of a core for 8 Mbit/s each\n",
              children, ns, streams_per_core * 100);
  return {{"children", children},
          {"chunk_child_ns", ns},
          {"core_share_8mbit", streams_per_core},
          {"chunks", chunks}};
}

}  // namespace tayga::bench
