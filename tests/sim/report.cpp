#include "tests/sim/report.hpp"

#include "tests/sim/draws.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <array>
#include <cstdio>
#include <iomanip>
#include <sstream>

namespace tayga::sim {
namespace {

namespace json = boost::json;

double to_ms(Duration duration) {
  return static_cast<double>(duration.count()) / 1000.0;
}

double ratio(double part, double whole, double without) {
  return whole > 0 ? part / whole : without;
}

std::string hex(std::uint64_t value) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}

json::object percentiles(const Percentiles& values) {
  json::object made;
  made["p50"] = to_ms(values.at(500));
  made["p95"] = to_ms(values.at(950));
  made["p99"] = to_ms(values.at(990));
  made["max"] = to_ms(values.max());
  return made;
}

/// All runs as if they were one.
TrialResult sum_of(const std::vector<TrialResult>& runs) {
  TrialResult sum;
  for (const TrialResult& run : runs) {
    sum.trace_hash = runs.size() == 1 ? run.trace_hash : mix(sum.trace_hash ^ run.trace_hash);
    sum.simulated += run.simulated;
    sum.cpu_seconds += run.cpu_seconds;
    sum.brain_seconds += run.brain_seconds;
    sum.events += run.events;
    sum.frames += run.frames;
    sum.assignments += run.assignments;
    sum.repairs.repairs += run.repairs.repairs;
    sum.repairs.without_loss += run.repairs.without_loss;
    sum.repairs.unrepaired += run.repairs.unrepaired;
    sum.repairs.detection.add(run.repairs.detection);
    sum.repairs.silence.add(run.repairs.silence);
    sum.repairs.reattached.add(run.repairs.reattached);
    sum.repairs.gaps.add(run.repairs.gaps);
    sum.repairs.own_repairs.add(run.repairs.own_repairs);
    sum.repairs.kill_repairs.add(run.repairs.kill_repairs);
    sum.playout.complete += run.playout.complete;
    sum.playout.late += run.playout.late;
    sum.playout.lost += run.playout.lost;
    sum.playout.bytes += run.playout.bytes;
    sum.playout.played += run.playout.played;
    sum.playout.stalled += run.playout.stalled;
    sum.playout.stalls.add(run.playout.stalls);
    sum.node_time += run.node_time;
    sum.suspicions += run.suspicions;
    sum.false_suspicions += run.false_suspicions;
    sum.origin_side_bytes += run.origin_side_bytes;
    sum.payload_bytes += run.payload_bytes;
    sum.duplicate_bytes += run.duplicate_bytes;
    sum.rescued_bytes += run.rescued_bytes;
    sum.signed_bytes += run.signed_bytes;
    sum.acknowledged_bytes += run.acknowledged_bytes;
    sum.settled_bytes += run.settled_bytes;
    sum.tampered += run.tampered;
    sum.network = run.network;
  }
  return sum;
}

void add_repairs(json::object& out, const TrialResult& sum) {
  const RepairMeter::Totals& repairs = sum.repairs;
  out["repairs"] = repairs.repairs;
  out["repairs_without_loss"] =
      ratio(static_cast<double>(repairs.without_loss), static_cast<double>(repairs.repairs), 1.0);
  out["unrepaired"] = repairs.unrepaired;
  // What a child can hear: from the moment when the parent's next word is missing at its end.
  out["detection_ms"] = percentiles(repairs.silence);
  out["detection_from_fault_ms"] = percentiles(repairs.detection);
  out["gap_ms"] = percentiles(repairs.gaps);
  out["reattached_ms"] = percentiles(repairs.reattached);
  out["relay_repair_ms"] = percentiles(repairs.own_repairs);
  out["relay_repairs"] = repairs.own_repairs.count();
  out["relay_kill_repair_ms"] = percentiles(repairs.kill_repairs);
  out["relay_kill_repairs"] = repairs.kill_repairs.count();
  const double hours = static_cast<double>(sum.node_time.count()) / 3.6e9;
  out["suspicions_per_node_hour"] = ratio(static_cast<double>(sum.suspicions), hours, 0);
  out["false_suspicions_per_node_hour"] =
      ratio(static_cast<double>(sum.false_suspicions), hours, 0);
}

void add_playout(json::object& out, const TrialResult& sum) {
  const PlayoutMeter::Totals& playout = sum.playout;
  const double objects = static_cast<double>(playout.complete + playout.late + playout.lost);
  json::object counts;
  counts["complete"] = playout.complete + playout.late;
  counts["late"] = playout.late;
  counts["lost"] = playout.lost;
  out["objects"] = std::move(counts);
  out["on_time"] = ratio(static_cast<double>(playout.complete), objects, 0);
  const auto stalled = static_cast<double>(playout.stalled.count());
  out["rebuffer_ratio"] = ratio(stalled, stalled + static_cast<double>(playout.played.count()), 0);
  out["stalls"] = playout.stalls.count();
  out["stall_ms"] = percentiles(playout.stalls);
}

void add_bytes(json::object& out, const TrialResult& sum) {
  const auto played = static_cast<double>(sum.playout.bytes);
  out["offload"] = 1 - ratio(static_cast<double>(sum.origin_side_bytes), played, 1);
  const auto payload = static_cast<double>(sum.payload_bytes);
  const auto twice = static_cast<double>(sum.duplicate_bytes);
  out["duplicate_ratio"] = ratio(twice, payload + twice, 0);
  out["rescued_ratio"] = ratio(static_cast<double>(sum.rescued_bytes), payload, 0);
  out["receipted_ratio"] = ratio(static_cast<double>(sum.signed_bytes), payload, 1);
  const auto acknowledged = static_cast<double>(sum.acknowledged_bytes);
  out["settled_ratio"] = ratio(static_cast<double>(sum.settled_bytes), acknowledged, 1);
}

json::object figures(const Report& report) {
  const TrialResult sum = sum_of(report.runs);
  json::object out;
  out["scenario"] = report.scenario;
  out["network"] = sum.network;
  out["nodes"] = report.options.nodes;
  out["stripes"] = report.options.stripes;
  out["bitrate_bps"] = report.options.bitrate_bps;
  out["window_ms"] = to_ms(report.options.window);
  json::array seeds;
  json::array violations;
  for (const TrialResult& run : report.runs) {
    seeds.push_back(run.seed);
    for (const Auditor::Violation& violation : run.violations) {
      json::object told;
      told["seed"] = run.seed;
      told["rule"] = violation.rule;
      told["detail"] = violation.detail;
      told["at_s"] = to_ms(violation.at - kStart) / 1000;
      violations.push_back(std::move(told));
    }
  }
  out["seeds"] = std::move(seeds);
  out["trace_hash"] = hex(sum.trace_hash);
  out["simulated_s"] = to_ms(sum.simulated) / 1000;
  out["cpu_s"] = sum.cpu_seconds;
  out["brain_cpu_s"] = sum.brain_seconds;
  out["speedup"] = ratio(to_ms(sum.simulated) / 1000, sum.cpu_seconds, 0);
  out["events"] = sum.events;
  out["frames"] = sum.frames;
  out["assignments"] = sum.assignments;
  add_repairs(out, sum);
  add_playout(out, sum);
  add_bytes(out, sum);
  out["tampered"] = sum.tampered;
  out["violations"] = std::move(violations);
  return out;
}

}  // namespace

std::string to_json(const Report& report) {
  return json::serialize(figures(report));
}

std::string to_text(const Report& report) {
  std::ostringstream out;
  for (const auto& entry : figures(report)) {
    out << std::left << std::setw(32) << std::string{entry.key()} << json::serialize(entry.value())
        << '\n';
  }
  return out.str();
}

std::string replay_command(const std::string& arguments, std::uint64_t seed) {
  return "tayga-sim " + arguments + " --seed " + std::to_string(seed);
}

}  // namespace tayga::sim
