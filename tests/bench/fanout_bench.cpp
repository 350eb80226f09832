#include "common/base/units.hpp"
#include "tests/bench/bench.hpp"
#include "tests/bench/ceilings.hpp"
#include "tests/bench/live_run.hpp"

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <utility>

namespace tayga::bench {

boost::json::object bench_fanout(const Args& args);

namespace {

constexpr Duration kWarmUp = 1s;
constexpr std::size_t kGoodChildren = 7;

struct FanoutRun {
  TransportSetup transport;
  std::uint64_t children;
  std::uint64_t rate_bps;
  Duration duration;
  double ceiling_seconds;
  bool slow_child;
};

FanoutRun run_from(const Args& args) {
  const std::string bitrate = args.text("bitrate", "8mbit");
  const auto rate_bps = parse_rate_bps(bitrate);
  const double seconds = args.number("duration", 5);
  FanoutRun run{};
  run.transport = transport_from(args);
  run.slow_child = args.flag("slow-child");
  run.children = args.count("children", run.slow_child ? kGoodChildren : 100);
  run.ceiling_seconds = args.number("ceiling", 1);
  if (run.children == 0 || !rate_bps || *rate_bps < 8000 || seconds <= 0) {
    throw std::invalid_argument{"--children, --bitrate (from 8kbit) and --duration are above zero"};
  }
  run.rate_bps = *rate_bps;
  run.duration = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  return run;
}

/// --flush BYTES: a child is written to at so much, and waits for as long as that takes to gather
/// unless --flush-delay says otherwise.
void set_flush(LivePlan& plan, const Args& args) {
  const std::uint64_t bytes = args.count("flush", 0);
  const std::string delay = args.text("flush-delay", "");
  if (bytes != 0) {
    plan.transport.flush_bytes = static_cast<std::size_t>(bytes);
    const double seconds = static_cast<double>(bytes) * 8 / plan.rate_bps;
    plan.transport.flush_delay =
        std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  }
  if (delay.empty()) return;
  const auto parsed = parse_duration(delay);
  if (!parsed) throw std::invalid_argument{"--flush-delay '" + delay + "' is not like 5ms"};
  plan.transport.flush_delay = *parsed;
}

/// RTT 60 ms and 20 % loss. A TCP proxy can lose nothing, so there the link gets the rate that TCP
/// would be left with: far below the stream's.
test::EmulatedLink slow_link(transport::Kind kind, std::uint16_t relay_port) {
  test::EmulatedLink link;
  link.server = {boost::asio::ip::address_v4::loopback(), relay_port};
  for (test::LinkShape* shape : {&link.to_server, &link.to_client}) {
    shape->delay = 30ms;
    if (kind == transport::Kind::quic) {
      shape->loss = 0.2;
    } else {
      shape->rate_bps = 500'000;
    }
  }
  return link;
}

LiveFigures measure_live(const FanoutRun& run, const LivePlan& plan) {
  LiveRun live{plan};
  for (std::size_t i = 0; i < plan.groups.size(); ++i) {
    if (plan.groups[i].purpose == Purpose::counted) live.dial(i, live.relay_port());
  }
  std::unique_ptr<Role> emulator;
  if (run.slow_child) {
    emulator = start_emulator(run.transport.kind, slow_link(run.transport.kind, live.relay_port()),
                              cpu_for(1));
    live.dial(plan.groups.size() - 1, emulator->receive().at("port").to_number<std::uint16_t>());
    emulator->ask("shape");
  }
  live.publish();
  sleep_until_wall(wall_us() + kWarmUp.count());
  return live.measure(run.duration);
}

}  // namespace

/// One source, one relay of the product with verification on, alone on its core, and children that
/// take its stream. Egress counts media frames; what framing and encryption add is in wire_gbps.
boost::json::object bench_fanout(const Args& args) {
  const FanoutRun run = run_from(args);
  LivePlan plan;
  plan.transport = run.transport;
  plan.rate_bps = static_cast<double>(run.rate_bps);
  plan.groups = make_groups(run.children, Purpose::counted);
  if (run.slow_child) {
    ChildGroup slow;
    slow.children = 1;
    slow.purpose = Purpose::aside;
    plan.groups.push_back(std::move(slow));
  }
  set_flush(plan, args);
  allow_files(2 * run.children + 64);

  const LiveFigures live = measure_live(run, plan);
  const Way bare =
      run.transport.kind == transport::Kind::quic ? Way::udp_gso_cipher : Way::tls_memory_bio;
  const double ceiling = measure_way(bare, run.ceiling_seconds).sender_core_s_per_gbit;

  const double seconds = number(live.relay, "seconds");
  const double gbit = number(live.relay, "media_bytes") * 8 / 1e9;
  const double cpu_s = number(live.relay, "cpu_s");
  const auto expected = static_cast<std::uint64_t>(number(live.sent, "chunks")) * run.children;
  const auto chunks = static_cast<std::uint64_t>(number(live.received, "chunks"));
  const boost::json::object latency = live.received.at("latency_ms").as_object();
  std::printf(
      "%llu children over %s: %.3f Gbit/s out of the relay, %.0f %% of its core, load "
      "%.0f %% of the other\n",
      static_cast<unsigned long long>(run.children), name_of(run.transport.kind), gbit / seconds,
      cpu_s / seconds * 100, number(live.received, "cpu_s") / seconds * 100);
  std::printf(
      "%.3f core-s per Gbit (bare sender %.3f); latency p50 %.1f ms, p99 %.1f ms; "
      "%.0f late objects\n",
      cpu_s / gbit, ceiling, number(latency, "p50"), number(latency, "p99"),
      number(live.received, "late_objects"));
  boost::json::object figures{
      {"bench", "fanout"},
      {"transport", name_of(run.transport.kind)},
      {"verified", number(live.relay, "chunks_verified") > 0},
      {"cpus", usable_cpus().size()},
      {"children", run.children},
      {"bitrate_bps", run.rate_bps},
      {"egress_gbps", gbit / seconds},
      {"wire_gbps", number(live.relay, "wire_bytes") * 8 / 1e9 / seconds},
      {"relay_core_share", cpu_s / seconds},
      {"relay_wait_share", number(live.relay, "wait_s") / seconds},
      {"load_core_share", number(live.received, "cpu_s") / seconds},
      {"core_s_per_gbit", cpu_s / gbit},
      {"ceiling_core_s_per_gbit", ceiling},
      {"ceiling_ratio", cpu_s / gbit / ceiling},
      {"latency_ms", latency},
      {"late_objects", live.received.at("late_objects")},
      {"chunks_missing", expected - std::min(expected, chunks)},
      {"dropped_bytes", live.relay.at("dropped_bytes")},
      {"rss_bytes", live.relay.at("rss_bytes")},
  };
  if (run.slow_child) {
    const double ratio = static_cast<double>(chunks) / static_cast<double>(expected);
    const double slow = number(live.received, "aside_chunks") / number(live.sent, "chunks");
    std::printf("beside a slow child (%.2f of its rate) the good ones got %.4f of theirs\n", slow,
                ratio);
    figures["good_rate_ratio"] = ratio;
    figures["slow_rate_ratio"] = slow;
  }
  return figures;
}

}  // namespace tayga::bench
