// Every scenario with few nodes: what must hold of each, and what no broken repair can reach.
#include "tests/sim/report.hpp"
#include "tests/sim/scenario.hpp"
#include "tests/sim/trial.hpp"
#include "tests/support/catch.hpp"

#include <string>

using namespace tayga;
using namespace tayga::sim;

namespace {

SimOptions small(std::string_view name, std::uint64_t seed = 1) {
  SimOptions options;
  find_scenario(name)->prepare(options);
  options.nodes = 16;
  options.seed = seed;
  options.duration = 45s;
  options.bitrate_bps = 300'000;
  return options;
}

TrialResult run(std::string_view name, const SimOptions& options) {
  Trial trial{options};
  find_scenario(name)->plan(trial);
  return trial.run();
}

double on_time(const TrialResult& result) {
  const auto all =
      static_cast<double>(result.playout.complete + result.playout.late + result.playout.lost);
  return static_cast<double>(result.playout.complete) / all;
}

TrialResult check(std::string_view name, double on_time_min) {
  const SimOptions options = small(name);
  INFO("replay: " << replay_command(
           std::string{name} + " --nodes 16 --duration 45s --bitrate 300kbit --synthetic",
           options.seed));
  const TrialResult result = run(name, options);
  for (const Auditor::Violation& violation : result.violations) {
    FAIL_CHECK(violation.rule << ": " << violation.detail);
  }
  CHECK(result.repairs.unrepaired == 0);
  CHECK(result.playout.complete + result.playout.late + result.playout.lost > 300);
  CHECK(on_time(result) >= on_time_min);
  return result;
}

}  // namespace

TEST_CASE("steady: everybody has everything in time, and the gateway gives little of it") {
  const TrialResult result = check("steady", 1.0);
  CHECK(result.suspicions == 0);
  CHECK(result.origin_side_bytes * 2 < result.playout.bytes);
  CHECK(result.settled_bytes == result.acknowledged_bytes);
  CHECK(result.settled_bytes > 0);
}

TEST_CASE("parent_kill: children know within 250 ms and miss less than a second") {
  const TrialResult result = check("parent_kill", 0.99);
  CHECK(result.repairs.repairs > 20);
  CHECK(result.repairs.silence.count() > 20);
  CHECK(result.repairs.silence.at(500) <= 100ms);
  CHECK(result.repairs.silence.at(950) <= 250ms);  // of so few the 99th is the last one
  CHECK(result.repairs.silence.max() <= 500ms);
  CHECK(result.repairs.gaps.at(500) == 0ms);
}

TEST_CASE("churn: who stays sees nothing of those who go") {
  check("churn", 0.99);
}

TEST_CASE("standby_join: nobody notices who comes") {
  check("standby_join", 1.0);
}

TEST_CASE("mass_leave: the rest is whole again within 5 s") {
  const TrialResult result = check("mass_leave", 0.99);
  CHECK(result.repairs.reattached.max() <= 5s);
}

TEST_CASE("regional_outage: the other regions go on, and the lost one comes back") {
  check("regional_outage", 0.99);
}

TEST_CASE("gateway_loss: all is well again when it is back") {
  check("gateway_loss", 0.95);
}

TEST_CASE("orchestrator_outage: parents are replaced without it") {
  const TrialResult result = check("orchestrator_outage", 0.99);
  CHECK(result.repairs.repairs > 0);
}

TEST_CASE("slow_poison: a parent that dribbles does not starve its children") {
  check("slow_poison", 0.98);
}

TEST_CASE("swizzle_clog: stalls of single directions do not add up") {
  check("swizzle_clog", 0.97);
}

TEST_CASE("slow_children: the others do not notice") {
  check("slow_children", 0.99);
}

TEST_CASE("the same seed is the same run, another one is not") {
  SimOptions options = small("churn");
  options.duration = 30s;
  options.spike_ppm = 2000;
  options.corruption_ppm = 20;
  const TrialResult first = run("churn", options);
  const TrialResult again = run("churn", options);
  CHECK(first.trace_hash == again.trace_hash);
  CHECK(first.events == again.events);
  options.seed = 2;
  CHECK(run("churn", options).trace_hash != first.trace_hash);
}

TEST_CASE("real proofs give the same run as their stand-ins") {
  SimOptions options = small("steady");
  options.nodes = 6;
  options.duration = 30s;
  const TrialResult cheap = run("steady", options);
  options.real_proofs = true;
  CHECK(run("steady", options).trace_hash == cheap.trace_hash);
}

TEST_CASE("a relay that flips bits is found out by whoever gets them, and nobody plays them") {
  SimOptions options = small("steady");
  Trial trial{options};
  trial.at(10s, [&trial] {
    const auto busy = trial.parents();
    REQUIRE(!busy.empty());
    trial.make_liar(busy.front(), 20);
  });
  const TrialResult result = trial.run();
  CHECK(result.tampered > 0);
  for (const Auditor::Violation& violation : result.violations) FAIL_CHECK(violation.rule);
  CHECK(on_time(result) > 0.99);
}
