#include "common/base/units.hpp"
#include "tests/bench/bench.hpp"
#include "tests/bench/live_run.hpp"

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>

namespace tayga::bench {

boost::json::object bench_hop(const Args& args);

namespace {

constexpr std::size_t kRelayed = 0;
constexpr std::size_t kDirect = 1;
constexpr std::size_t kFirstLoad = 2;
constexpr std::size_t kSmallObject = 1200;
constexpr Duration kWarmUp = 500ms;
constexpr std::size_t kLoadStep = 4;
constexpr Duration kTrial = 1s;
constexpr double kNearEnough = 0.95;

std::vector<ChildGroup> make_pair() {
  std::vector<ChildGroup> groups(2);
  groups[kRelayed].children = 1;
  groups[kRelayed].purpose = Purpose::relayed;
  groups[kDirect].children = 1;
  groups[kDirect].purpose = Purpose::direct;
  return groups;
}

void dial_pair(LiveRun& live) {
  live.dial(kRelayed, live.relay_port());
  live.dial_direct(kDirect);
  live.publish();
  sleep_until_wall(wall_us() + kWarmUp.count());
}

double relay_share(const LiveFigures& figures) {
  return number(figures.relay, "cpu_s") / number(figures.relay, "seconds");
}

LiveFigures measure_idle(const TransportSetup& transport, Duration length) {
  LivePlan plan;
  plan.transport = transport;
  plan.object_size = kSmallObject;
  plan.groups = make_pair();
  LiveRun live{plan};
  dial_pair(live);
  return live.measure(length);
}

struct Loaded {
  LiveFigures figures;
  std::size_t children = 0;
};

/// Load comes from further children of the same stream; how many give the share asked for follows
/// from a first few.
Loaded measure_loaded(const TransportSetup& transport, Duration length, double share,
                      std::size_t children_max, double rate_bps) {
  LivePlan plan;
  plan.transport = transport;
  plan.object_size = wire::kChunkSize;
  plan.object_interval = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(static_cast<double>(plan.object_size) * 8 / rate_bps));
  plan.groups = make_pair();
  for (std::size_t left = children_max; left > 0; left -= std::min(left, kLoadStep)) {
    ChildGroup group;
    group.children = std::min(left, kLoadStep);
    group.purpose = Purpose::aside;
    plan.groups.push_back(std::move(group));
  }
  allow_files(2 * children_max + 64);
  LiveRun live{plan};
  dial_pair(live);
  Loaded loaded;
  double wanted = kLoadStep;
  for (std::size_t group = kFirstLoad; group < plan.groups.size(); ++group) {
    live.dial_as_load(group);
    loaded.children += plan.groups[group].children;
    const auto children = static_cast<double>(loaded.children);
    if (children < wanted) continue;
    sleep_until_wall(wall_us() + kWarmUp.count());
    const double found = relay_share(live.measure(kTrial));
    if (found >= share * kNearEnough) break;
    wanted = children * share / found * kNearEnough;  // many share a flush: they cost less each
  }
  loaded.figures = live.measure(length);
  return loaded;
}

}  // namespace

/// The time that one relay adds: each chunk that comes over it is compared with when the same chunk
/// came straight from the source to the same process. 1200 bytes at an idle relay; then single 4
/// KiB chunks at a relay that other children of the stream keep busy. A chunk waits there for those
/// to other children before it, so the fewer children make the load (--bitrate: of each), the
/// nearer this is to the relay's own delay.
boost::json::object bench_hop(const Args& args) {
  const TransportSetup transport = transport_from(args);
  const double seconds = args.number("seconds", 3);
  const double share = args.number("load", 0.5);
  const std::string bitrate = args.text("bitrate", "64mbit");
  const auto rate_bps = parse_rate_bps(bitrate);
  const auto children_max = static_cast<std::size_t>(args.count("children-max", 400));
  if (!rate_bps || *rate_bps == 0 || seconds <= 0 || share <= 0 || share >= 1 ||
      children_max == 0) {
    throw std::invalid_argument{
        "--seconds, --bitrate and --children-max are above zero, --load between 0 and 1"};
  }
  const auto length = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  const LiveFigures idle = measure_idle(transport, length);
  const Loaded loaded =
      measure_loaded(transport, length, share, children_max, static_cast<double>(*rate_bps));
  const boost::json::object idle_ms = idle.received.at("hop_ms").as_object();
  const boost::json::object loaded_ms = loaded.figures.received.at("hop_ms").as_object();
  if (number(idle.received, "hops") == 0 || number(loaded.figures.received, "hops") == 0) {
    throw std::runtime_error{"no chunk came both ways"};
  }
  std::printf("%s, 1200 B, one child: +%.3f ms p50, +%.3f ms p99 (%.0f chunks)\n",
              name_of(transport.kind), number(idle_ms, "p50"), number(idle_ms, "p99"),
              number(idle.received, "hops"));
  std::printf("4 KiB chunks, %zu more children, relay at %.0f %%: +%.3f ms p50, +%.3f ms p99\n",
              loaded.children, relay_share(loaded.figures) * 100, number(loaded_ms, "p50"),
              number(loaded_ms, "p99"));
  return {{"bench", "hop"},
          {"transport", name_of(transport.kind)},
          {"cpus", usable_cpus().size()},
          {"hop_ms", idle_ms},
          {"hop_loaded_ms", loaded_ms},
          {"loaded_children", loaded.children},
          {"loaded_bitrate_bps", *rate_bps},
          {"loaded_relay_core_share", relay_share(loaded.figures)},
          {"relay_wait_share",
           number(loaded.figures.relay, "wait_s") / number(loaded.figures.relay, "seconds")}};
}

}  // namespace tayga::bench
