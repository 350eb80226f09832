#include "common/base/units.hpp"
#include "tests/bench/bench.hpp"
#include "tests/bench/live_run.hpp"

#include <cstdio>
#include <stdexcept>
#include <utility>

namespace tayga::bench {

boost::json::object bench_lossy(const Args& args);

namespace {

constexpr Duration kOneWay = 25ms;
constexpr double kWarmUpSeconds = 3;  // until the congestion control has found the rate

struct LossyRun {
  TransportSetup transport;
  std::uint64_t rate_bps;
  Duration warm_up;
  Duration duration;
  std::uint64_t seed;
};

test::EmulatedLink make_link(double loss, std::uint64_t seed) {
  test::EmulatedLink link;
  link.seed = seed;
  link.to_server.delay = kOneWay;
  link.to_server.loss = loss;
  link.to_client = link.to_server;
  return link;
}

/// One child behind the link, fed by a relay.
LiveFigures measure_over(const LossyRun& run, test::EmulatedLink link) {
  LivePlan plan;
  plan.transport = run.transport;
  plan.rate_bps = static_cast<double>(run.rate_bps);
  plan.groups = make_groups(1, Purpose::counted);
  LiveRun live{plan};
  link.server = {boost::asio::ip::address_v4::loopback(), live.relay_port()};
  const auto emulator = start_emulator(run.transport.kind, link, cpu_for(1));
  live.dial(0, emulator->receive().at("port").to_number<std::uint16_t>());
  emulator->ask("shape");
  live.publish();
  sleep_until_wall(wall_us() + run.warm_up.count());
  return live.measure(run.duration);
}

boost::json::object to_json(const LiveFigures& live, const char* what) {
  const boost::json::object all = live.received.at("latency_ms").as_object();
  const boost::json::object first = live.received.at("latency_first_ms").as_object();
  const boost::json::object last = live.received.at("latency_last_ms").as_object();
  const double missing = number(live.sent, "chunks") - number(live.received, "chunks");
  std::printf(
      "%-11s p50 %6.1f ms, p99 %6.1f ms; p99 of the first fifth %6.1f, of the last "
      "%6.1f; %.0f late objects, %.0f chunks missing\n",
      what, number(all, "p50"), number(all, "p99"), number(first, "p99"), number(last, "p99"),
      number(live.received, "late_objects"), missing);
  return {{"p50", all.at("p50")},
          {"p99", all.at("p99")},
          {"p50_first", first.at("p50")},
          {"p50_last", last.at("p50")},
          {"p99_first", first.at("p99")},
          {"p99_last", last.at("p99")},
          {"late_objects", live.received.at("late_objects")},
          {"chunks_missing", missing}};
}

}  // namespace

/// A live stream to one child over links that households have: RTT 50 ms with 1 % loss each way,
/// and a 10 Mbit/s line with 300 ms of buffer, without and with that loss. Drift is seen between
/// the first and the last fifth of the time. A TCP proxy cannot lose packets: there only the delay
/// and the slow line are made.
boost::json::object bench_lossy(const Args& args) {
  LossyRun run{};
  run.transport = transport_from(args);
  const std::string bitrate = args.text("bitrate", "4mbit");
  const auto rate_bps = parse_rate_bps(bitrate);
  const double seconds = args.number("duration", 30);
  const double loss = args.number("loss", 0.01);
  run.seed = args.count("seed", 1);
  if (!rate_bps || *rate_bps < 8000 || seconds <= 0 || loss < 0 || loss >= 1) {
    throw std::invalid_argument{
        "--bitrate (from 8kbit) and --duration are above zero, --loss below 1"};
  }
  run.rate_bps = *rate_bps;
  const auto to_duration = [](double value) {
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(value));
  };
  run.warm_up = to_duration(args.number("warm-up", kWarmUpSeconds));
  run.duration = to_duration(seconds);

  const bool can_lose = run.transport.kind == transport::Kind::quic;
  std::printf("%s, %s live, RTT 50 ms%s\n", name_of(run.transport.kind), bitrate.c_str(),
              can_lose ? "" : "; no loss: this transport's link cannot lose packets");
  const double chosen_loss = can_lose ? loss : 0;
  boost::json::object figures{{"bench", "lossy"},
                              {"transport", name_of(run.transport.kind)},
                              {"loss", chosen_loss},
                              {"duration_s", seconds}};
  figures["lossy_live_ms"] = to_json(measure_over(run, make_link(chosen_loss, run.seed)), "loss");
  test::EmulatedLink bloated = make_link(0, run.seed);
  bloated.to_client.rate_bps = 10'000'000;
  bloated.to_client.queue = 300ms;
  figures["bloat_live_ms"] = to_json(measure_over(run, bloated), "bufferbloat");
  if (can_lose) {
    bloated.to_client.loss = bloated.to_server.loss = loss;
    figures["bloat_lossy_live_ms"] = to_json(measure_over(run, bloated), "both");
  }
  return figures;
}

}  // namespace tayga::bench
