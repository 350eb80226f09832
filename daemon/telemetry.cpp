#include "daemon/telemetry.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

namespace tayga {
namespace {

Duration to_duration(const timeval& time) {
  return Duration{static_cast<Duration::rep>(time.tv_sec) * 1'000'000 + time.tv_usec};
}

std::uint64_t rate_bps(std::uint64_t bytes, Duration over) {
  if (over <= Duration::zero()) return 0;
  return bytes * 8 * 1'000'000 / static_cast<std::uint64_t>(over.count());
}

}  // namespace

ProcessLoad read_process_load() {
  ProcessLoad load;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    load.cpu_time = to_duration(usage.ru_utime) + to_duration(usage.ru_stime);
  }
  std::uint64_t total_pages = 0;
  std::uint64_t resident_pages = 0;
  if (std::ifstream{"/proc/self/statm"} >> total_pages >> resident_pages) {
    load.rss_bytes = resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  }
  return load;
}

control::TelemetrySnapshot TelemetrySampler::sample(const relay::Relay& relay,
                                                    const peers::RelayDriver& driver,
                                                    const std::map<StreamId, std::uint64_t>& served,
                                                    const ProcessLoad& load, TimePoint now) {
  control::TelemetrySnapshot out;
  const peers::PeerTraffic traffic = driver.traffic();
  const Duration interval = now - std::exchange(last_, now);
  const Duration cpu = load.cpu_time - std::exchange(last_cpu_, load.cpu_time);
  if (interval > Duration::zero()) {
    out.host.cpu_permille = static_cast<std::uint32_t>(
        std::max<Duration::rep>(0, cpu.count() * 1000 / interval.count()));
  }
  out.host.rss_bytes = load.rss_bytes;
  out.host.egress_bps = rate_bps(traffic.bytes_out - last_traffic_.bytes_out, interval);
  out.host.ingress_bps = rate_bps(traffic.bytes_in - last_traffic_.bytes_in, interval);
  last_traffic_ = traffic;

  std::map<NodeId, relay::ChildStatus> children;
  for (const relay::ChildStatus& child : relay.children(now)) children.emplace(child.child, child);
  for (const peers::PeerView& peer : driver.peers()) {
    control::LinkReport link;
    link.peer = peer.peer;
    link.rtt = peer.stats.smoothed_rtt;
    link.bytes_sent = peer.stats.bytes_out;
    link.bytes_received = peer.stats.bytes_in;
    link.dialed = peer.dialed;
    if (const auto child = children.find(peer.peer); child != children.end()) {
      link.queue_age = child->second.queued_age;
      link.dropped_bytes = child->second.dropped_bytes;
    }
    out.links.push_back(link);
  }
  std::map<StreamId, std::vector<control::StripeReport>> stripes;
  for (const relay::StripeStatus& stripe : relay.stripes()) {
    stripes[stripe.stream].push_back(
        {stripe.track, stripe.stripe, stripe.next_seq, stripe.lateness, stripe.parent});
  }
  for (const relay::StreamStatus& stream : relay.streams()) {
    control::StreamReport report;
    report.stream = stream.stream;
    report.stripes = std::move(stripes[stream.stream]);
    report.objects_complete = stream.objects_complete;
    report.objects_late = stream.objects_late;
    report.objects_lost = stream.objects_lost;
    report.origin_bytes = stream.origin_bytes;
    report.gateway_bytes = stream.gateway_bytes;
    report.repairs = stream.repairs;
    if (const auto bytes = served.find(stream.stream); bytes != served.end()) {
      report.played_bytes = bytes->second;
    }
    out.streams.push_back(std::move(report));
    if (!stream.publishing) out.applied.push_back({stream.stream, stream.revision});
  }
  out.suspicions = relay.counters().suspicions;
  out.false_suspicions = relay.counters().false_suspicions;
  return out;
}

std::vector<control::HeldStream> held_streams(const relay::Relay& relay) {
  std::map<StreamId, control::HeldStream> held;
  for (const relay::StreamStatus& stream : relay.streams()) {
    if (stream.publishing) continue;
    held[stream.stream] = {stream.stream, stream.revision, {}, stream.playing};
  }
  for (const relay::StripeStatus& stripe : relay.stripes()) {
    const auto stream = held.find(stripe.stream);
    if (stream == held.end()) continue;
    const auto add = [&](const std::optional<NodeId>& parent, relay::UpstreamRole role) {
      if (parent) stream->second.upstream.push_back({stripe.track, stripe.stripe, *parent, role});
    };
    add(stripe.parent, relay::UpstreamRole::primary);
    add(stripe.standby, relay::UpstreamRole::standby);
  }
  std::vector<control::HeldStream> out;
  for (auto& [id, stream] : held) out.push_back(std::move(stream));
  return out;
}

}  // namespace tayga
