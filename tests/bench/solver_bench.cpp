#include "common/base/check.hpp"
#include "orchestrator/solver/solver.hpp"
#include "tests/bench/bench.hpp"

#include <cstdio>
#include <random>
#include <stdexcept>

namespace tayga::bench {

boost::json::object bench_solver(const Args& args);

namespace {

NodeId random_id(std::mt19937_64& random) {
  NodeId id;
  for (std::byte& byte : id.bytes) byte = static_cast<std::byte>(random() & 0xffU);
  return id;
}

/// A stream of 4 Mbit/s; households with 0 to 12 Mbit/s of uplink, one relay to 20 viewers.
orch::SolverInput make_network(std::uint64_t viewers, unsigned stripes, std::uint64_t seed) {
  std::mt19937_64 random{seed};
  orch::SolverInput input;
  input.demand.stripe_count = stripes;
  input.demand.tracks = {orch::TrackRecord{kPresentationTrack, "", 0},
                         orch::TrackRecord{TrackId{1}, "v.m3u8", 4'000'000}};
  const auto add = [&](bool can_relay, std::uint64_t uplink_mbit) {
    input.nodes.push_back(
        orch::NodeView{random_id(random), can_relay, uplink_mbit * 1'000'000, 200});
    return input.nodes.back().id;
  };
  input.demand.gateways = {add(false, 1000)};
  for (std::uint64_t n = 0; n < viewers / 20; ++n) add(true, 60);
  for (std::uint64_t n = 0; n < viewers; ++n) {
    input.demand.viewers[add(false, random() % 13)] = {kPresentationTrack, TrackId{1}};
  }
  return input;
}

double solve_ms(const orch::SolverInput& input, orch::SolverPlan& plan) {
  const double begin = thread_cpu_seconds();
  plan = orch::solve(input);
  return (thread_cpu_seconds() - begin) * 1e3;
}

}  // namespace

boost::json::object bench_solver(const Args& args) {
  const std::uint64_t viewers = args.count("viewers", 2000);
  const std::uint64_t stripes = args.count("stripes", 4);
  const std::uint64_t seed = args.count("seed", 1);
  if (viewers == 0 || stripes == 0 || stripes > kStripeCountMax) {
    throw std::invalid_argument{"--viewers must be above 0 and --stripes 1 to 32"};
  }
  orch::SolverInput input = make_network(viewers, static_cast<unsigned>(stripes), seed);
  orch::SolverPlan plan;
  const double cold_ms = solve_ms(input, plan);
  const std::size_t unserved = plan.unserved.size();
  const unsigned depth = plan.depth;

  input.current.upstream = plan.upstream;
  const NodeId leaver = input.demand.viewers.begin()->first;
  input.demand.viewers.erase(leaver);
  const double leave_ms = solve_ms(input, plan);
  std::size_t moved = 0;
  for (const auto& [node, links] : plan.upstream) {
    const auto before = input.current.upstream.find(node);
    moved += before == input.current.upstream.end() || before->second != links ? 1U : 0U;
  }
  std::printf(
      "%llu viewers, %llu stripes: cold %.1f ms, after a leave %.1f ms (%zu nodes moved), "
      "depth %u, %zu unserved\n",
      static_cast<unsigned long long>(viewers), static_cast<unsigned long long>(stripes), cold_ms,
      leave_ms, moved, depth, unserved);
  return {{"viewers", viewers}, {"stripes", stripes}, {"cold_ms", cold_ms},  {"leave_ms", leave_ms},
          {"moved", moved},     {"depth", depth},     {"unserved", unserved}};
}

}  // namespace tayga::bench
