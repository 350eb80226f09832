#include "orchestrator/solver/solver.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/solver/plan_check.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <random>

namespace tayga::orch {
namespace {

using test::check_plan;

/// uniform_int_distribution differs between standard libraries; seeds must replay everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_{seed} {}
  unsigned below(unsigned end) { return static_cast<unsigned>(engine_() % end); }
  bool one_in(unsigned n) { return below(n) == 0; }
  NodeId node_id() {
    NodeId id;
    for (std::byte& byte : id.bytes) byte = static_cast<std::byte>(below(256));
    return id;
  }

 private:
  std::mt19937_64 engine_;
};

struct Shape {
  unsigned nodes_max = 40;
  unsigned uplink_min_mbit = 0;
  unsigned uplink_max_mbit = 20;
  unsigned stripes[3] = {1, 2, 4};
};

SolverInput random_input(Random& random, const Shape& shape) {
  SolverInput input;
  input.demand.stripe_count = shape.stripes[random.below(3)];
  input.gateway_copies = 1 + random.below(2);
  input.depth_max = 3 + random.below(6);
  const unsigned tracks = 1 + random.below(3);
  for (unsigned t = 0; t < tracks; ++t) {
    input.demand.tracks.push_back(TrackRecord{TrackId{t}, "", random.below(5'000'000)});
  }
  const unsigned count = 2 + random.below(shape.nodes_max);
  for (unsigned n = 0; n < count; ++n) {
    const NodeView node{
        random.node_id(), random.one_in(4),
        shape.uplink_min_mbit * 1'000'000ULL + random.below(shape.uplink_max_mbit * 1'000'000),
        random.below(12)};
    input.nodes.push_back(node);
    if (n == 0 || random.one_in(25)) input.demand.gateways.push_back(node.id);
    if (random.one_in(5)) continue;
    std::vector<TrackId> wanted{kPresentationTrack};
    if (tracks > 1) wanted.push_back(TrackId{1 + random.below(tracks - 1)});
    input.demand.viewers[node.id] = wanted;
  }
  const auto any = [&] { return input.nodes[random.below(count)].id; };
  for (unsigned i = random.below(count); i > 0; --i) {
    input.rtt_us[{any(), any()}] = random.below(200'000);
  }
  for (unsigned i = random.below(4); i > 0; --i) input.current.avoid.emplace_back(any(), any());
  return input;
}

/// Links as a network might really have them, or as liars report them.
void add_random_links(Random& random, SolverInput& input) {
  const auto count = static_cast<unsigned>(input.nodes.size());
  for (const NodeView& node : input.nodes) {
    if (random.one_in(3)) continue;
    std::vector<UpstreamLink> links;
    for (const TrackRecord& track : input.demand.tracks) {
      for (unsigned s = 0; s < input.demand.stripe_count; ++s) {
        links.push_back(UpstreamLink{track.id, StripeIndex{static_cast<std::uint8_t>(s)},
                                     input.nodes[random.below(count)].id});
      }
    }
    input.current.upstream[node.id] = links;
  }
}

void require_valid(std::uint64_t seed, const SolverInput& input, const SolverPlan& plan) {
  const auto fault = check_plan(input, plan);
  INFO("seed " << seed << ": " << fault.value_or(""));
  REQUIRE_FALSE(fault.has_value());
}

TEST_CASE("every plan of thousands of random networks keeps every rule") {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    Random random{seed};
    const SolverInput input = random_input(random, Shape{});
    require_valid(seed, input, solve(input));
  }
}

TEST_CASE("whatever links nodes claim to hold, the plan keeps every rule") {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    Random random{seed};
    SolverInput input = random_input(random, Shape{});
    add_random_links(random, input);
    require_valid(seed, input, solve(input));
  }
}

TEST_CASE("the order in which nodes are given does not matter") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Random random{seed};
    SolverInput input = random_input(random, Shape{});
    const SolverPlan plan = solve(input);
    std::reverse(input.nodes.begin(), input.nodes.end());
    std::reverse(input.demand.gateways.begin(), input.demand.gateways.end());
    const SolverPlan again = solve(input);
    INFO("seed " << seed);
    REQUIRE(again.upstream == plan.upstream);
    REQUIRE(again.unserved == plan.unserved);
  }
}

TEST_CASE("solving again and again with the plan in force comes to rest soon") {
  unsigned unchanged = 0;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    Random random{seed};
    SolverInput input = random_input(random, Shape{});
    input.current.upstream = solve(input).upstream;
    unsigned rounds = 0;
    for (bool at_rest = false; !at_rest; ++rounds) {
      INFO("seed " << seed);
      REQUIRE(rounds < 10);
      const SolverPlan plan = solve(input);
      at_rest = plan.upstream == input.current.upstream;
      input.current.upstream = plan.upstream;
    }
    unchanged += rounds == 1 ? 1U : 0U;
  }
  CHECK(unchanged > 900);
}

TEST_CASE("through thousands of joins and leaves every plan keeps every rule") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Random random{seed};
    SolverInput input = random_input(random, Shape{});
    const auto all = input.demand.viewers;
    for (unsigned step = 0; step < 30; ++step) {
      auto viewer = all.begin();
      std::advance(viewer, random.below(static_cast<unsigned>(all.size() + 1)));
      if (viewer == all.end()) continue;
      if (input.demand.viewers.erase(viewer->first) == 0) input.demand.viewers.insert(*viewer);
      const SolverPlan plan = solve(input);
      require_valid(seed * 1000 + step, input, plan);
      input.current.upstream = plan.upstream;
    }
  }
}

/// The best (gateway copies, depth) of one tree by trying every parent for every node.
class BruteForce {
 public:
  explicit BruteForce(const SolverInput& input) : input_{input} {
    const std::uint64_t rate = stripe_rate_bps(input.demand.tracks[0], 1);
    for (const NodeView& node : input.nodes) {
      slots_.push_back(static_cast<unsigned>(node.uplink_bps / rate));
    }
  }

  std::pair<unsigned, unsigned> best() {
    parents_.assign(input_.nodes.size(), 0);
    used_.assign(input_.nodes.size(), 0);
    choose(1);
    return best_;
  }

 private:
  static constexpr unsigned kUnused = 1000;

  [[nodiscard]] bool is_viewer(std::size_t node) const {
    return input_.demand.viewers.contains(input_.nodes[node].id);
  }

  void choose(std::size_t node) {
    if (node == input_.nodes.size()) {
      judge();
      return;
    }
    for (unsigned parent = 0; parent < input_.nodes.size(); ++parent) {
      if (parent == node || used_[parent] >= slots_[parent]) continue;
      parents_[node] = parent;
      ++used_[parent];
      choose(node + 1);
      --used_[parent];
    }
    if (is_viewer(node)) return;
    parents_[node] = kUnused;
    choose(node + 1);
  }

  void judge() {
    unsigned depth_max = 0;
    for (std::size_t node = 1; node < input_.nodes.size(); ++node) {
      if (parents_[node] == kUnused) continue;
      unsigned depth = 0;
      std::size_t at = node;
      while (at != 0) {
        if (parents_[at] == kUnused || ++depth > input_.nodes.size()) return;
        at = parents_[at];
      }
      depth_max = std::max(depth_max, depth);
    }
    if (depth_max > input_.depth_max) return;
    best_ = std::min(best_, {std::max(used_[0], input_.gateway_copies), depth_max});
  }

  const SolverInput& input_;
  std::vector<unsigned> slots_;
  std::vector<unsigned> parents_;
  std::vector<unsigned> used_;
  std::pair<unsigned, unsigned> best_{kUnused, kUnused};
};

/// Node 0 is the gateway, then viewers, then relays.
SolverInput tiny_input(Random& random) {
  SolverInput input;
  input.demand.tracks = {TrackRecord{TrackId{1}, "", 1'000'000}};
  input.gateway_copies = 1 + random.below(2);
  input.depth_max = 6;
  const std::uint64_t rate = stripe_rate_bps(input.demand.tracks[0], 1);
  const unsigned viewers = 1 + random.below(4);
  const unsigned relays = random.below(3);
  for (unsigned n = 0; n < 1 + viewers + relays; ++n) {
    const bool is_relay = n > viewers;
    const unsigned slots = n == 0 ? 1 + random.below(4) : random.below(4);
    input.nodes.push_back(NodeView{random.node_id(), is_relay, slots * rate, 10});
    if (n == 0) {
      input.demand.gateways = {input.nodes[0].id};
    } else if (!is_relay) {
      input.demand.viewers[input.nodes[n].id] = {TrackId{1}};
    }
  }
  return input;
}

TEST_CASE("on tiny networks no tree has fewer gateway copies or less depth than the plan") {
  unsigned served = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    Random random{seed};
    SolverInput input = tiny_input(random);
    BruteForce brute{input};
    const auto best = brute.best();
    const SolverPlan plan = solve(input);
    require_valid(seed, input, plan);
    INFO("seed " << seed);
    const bool everybody_fits = best.first < 1000;
    REQUIRE(plan.unserved.empty() == everybody_fits);
    if (!everybody_fits) continue;
    ++served;
    const auto copies = test::gateway_copies(input, plan, TrackId{1}, StripeIndex{0});
    REQUIRE(std::max<std::size_t>(copies, input.gateway_copies) == best.first);
    REQUIRE(plan.depth == best.second);
  }
  CHECK(served > 200);
}

TEST_CASE("on tiny networks whatever stands is led to the fewest copies and the least depth") {
  unsigned served = 0;
  unsigned best_reached = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    Random random{seed};
    SolverInput input = tiny_input(random);
    const auto best = BruteForce{input}.best();
    if (best.first >= 1000) continue;
    ++served;
    add_random_links(random, input);
    SolverPlan plan = solve(input);
    for (unsigned round = 0; round < 5; ++round) {
      require_valid(seed, input, plan);
      INFO("seed " << seed);
      REQUIRE(plan.unserved.empty());
      input.current.upstream = plan.upstream;
      plan = solve(input);
    }
    const auto copies = test::gateway_copies(input, plan, TrackId{1}, StripeIndex{0});
    const bool is_best = std::max<std::size_t>(copies, input.gateway_copies) == best.first &&
                         plan.depth == best.second;
    best_reached += is_best ? 1U : 0U;
  }
  INFO(best_reached << " of " << served);
  CHECK(served > 200);
  CHECK(best_reached == served);
}

TEST_CASE("two thousand viewers and a hundred relays stay within a shallow tree") {
  Random random{7};
  SolverInput input;
  input.demand.stripe_count = 4;
  input.demand.tracks = {TrackRecord{TrackId{0}, "", 0}, TrackRecord{TrackId{1}, "", 4'000'000}};
  for (unsigned n = 0; n < 2101; ++n) {
    const bool is_relay = n > 0 && n <= 100;
    const unsigned uplink_mbit = n == 0 ? 100 : is_relay ? 60 : random.below(12);
    input.nodes.push_back(NodeView{random.node_id(), is_relay, uplink_mbit * 1'000'000ULL, 200});
    if (n == 0) input.demand.gateways = {input.nodes[0].id};
    if (n > 100) input.demand.viewers[input.nodes[n].id] = {TrackId{0}, TrackId{1}};
  }
  const SolverPlan plan = solve(input);
  require_valid(7, input, plan);
  CHECK(plan.unserved.empty());
  CHECK(plan.depth <= 7);
}

}  // namespace
}  // namespace tayga::orch
