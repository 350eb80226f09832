#include "common/async/clock.hpp"
#include "common/base/check.hpp"
#include "tests/bench/bench.hpp"
#include "tests/bench/initial_forge.hpp"
#include "tests/bench/live_run.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

namespace tayga::bench {

boost::json::object bench_flood(const Args& args);

namespace {

constexpr std::size_t kSockets = 64;  // as many source ports
constexpr std::size_t kBatch = 50;
constexpr Duration kWarmUp = 1s;
constexpr Duration kBefore = 3s;

struct FloodRun {
  std::uint64_t rate;  // packets per second
  std::size_t pool;
  Duration duration;
};

/// Sends packets of a pool from made-up loopback addresses: each packet names its own source.
class Flooder {
 public:
  explicit Flooder(std::size_t pool_size) {
    InitialForge forge{1};
    pool_.reserve(pool_size);
    for (std::size_t i = 0; i < pool_size; ++i) pool_.push_back(forge.make());
    for (int& fd : sockets_) {
      fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);  // open as long as the process
      const int small = 1;                                   // answers go nowhere
      (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    }
  }

  /// Blocks from `begin` to `end`; how many packets the kernel took.
  std::uint64_t run(std::uint16_t port, std::uint64_t rate, std::int64_t begin, std::int64_t end) {
    server_.sin_family = AF_INET;
    server_.sin_port = htons(port);
    server_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const double batch_us = 1e6 * static_cast<double>(kBatch) / static_cast<double>(rate);
    std::uint64_t sent = 0;
    std::uint64_t batches = 0;
    for (std::int64_t at = begin; at < end;
         at = begin + static_cast<std::int64_t>(static_cast<double>(++batches) * batch_us)) {
      sleep_until_wall(at);
      sent += send_batch();
    }
    return sent;
  }

 private:
  union Control {
    cmsghdr align;
    std::array<char, CMSG_SPACE(sizeof(in_pktinfo))> bytes;
  };

  void set_source(msghdr& head, Control& control) {
    control.bytes.fill(0);
    head.msg_control = control.bytes.data();
    head.msg_controllen = control.bytes.size();
    cmsghdr* entry = CMSG_FIRSTHDR(&head);
    entry->cmsg_level = IPPROTO_IP;
    entry->cmsg_type = IP_PKTINFO;
    entry->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
    in_pktinfo info{};
    const auto host = static_cast<std::uint32_t>(1 + random_() % 0xfffffdU);
    info.ipi_spec_dst.s_addr = htonl(0x7f000000U | host);
    std::memcpy(CMSG_DATA(entry), &info, sizeof info);
  }

  std::size_t send_batch() {
    for (std::size_t i = 0; i < kBatch; ++i) {
      Bytes& packet = pool_[next_++ % pool_.size()];
      parts_[i] = {packet.data(), packet.size()};
      msghdr& head = heads_[i].msg_hdr;
      head = {};
      head.msg_name = &server_;
      head.msg_namelen = sizeof server_;
      head.msg_iov = &parts_[i];
      head.msg_iovlen = 1;
      set_source(head, controls_[i]);
    }
    const int fd = sockets_[next_ / kBatch % kSockets];
    const int count = ::sendmmsg(fd, heads_.data(), kBatch, 0);
    return count > 0 ? static_cast<std::size_t>(count) : 0;
  }

  std::vector<Bytes> pool_;
  std::array<int, kSockets> sockets_{};
  sockaddr_in server_{};
  std::mt19937_64 random_{2};
  std::size_t next_ = 0;
  std::array<mmsghdr, kBatch> heads_{};
  std::array<iovec, kBatch> parts_{};
  std::array<Control, kBatch> controls_{};
};

std::unique_ptr<Role> start_flooder(const FloodRun& run, std::uint16_t port) {
  return std::make_unique<Role>("flooding", cpu_for(1), [run, port](Channel& channel) {
    Flooder flooder{run.pool};
    channel.send({});
    const boost::json::object window = channel.receive(60s);
    const std::uint64_t sent = flooder.run(port, run.rate, window.at("begin_us").as_int64(),
                                           window.at("end_us").as_int64());
    channel.send({{"sent", sent}});
  });
}

/// Of what the source published, how much the children got.
double received_share(const LiveFigures& live) {
  return number(live.received, "chunks") /
         (number(live.sent, "chunks") * number(live.received, "counted"));
}

}  // namespace

/// A flood of Initials from made-up sources at a relay that serves children over QUIC. What it may
/// cost: bounded memory, and no child its stream.
boost::json::object bench_flood(const Args& args) {
  FloodRun run{};
  const auto children = static_cast<std::size_t>(args.count("children", 20));
  run.rate = args.count("rate", 50'000);
  run.pool = static_cast<std::size_t>(args.count("pool", 50'000));
  const double seconds = args.number("duration", 10);
  if (children == 0 || run.rate == 0 || run.pool == 0 || seconds <= 0) {
    throw std::invalid_argument{"--children, --rate, --pool and --duration are above zero"};
  }
  run.duration = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  LivePlan plan;
  plan.transport.kind = transport::Kind::quic;
  plan.groups = make_groups(children, Purpose::counted);
  LiveRun live{plan};
  for (std::size_t i = 0; i < plan.groups.size(); ++i) live.dial(i, live.relay_port());
  live.publish();
  const auto flooder = start_flooder(run, live.relay_port());
  (void)flooder->receive();
  sleep_until_wall(wall_us() + kWarmUp.count());

  const LiveFigures before = live.measure(std::min(kBefore, run.duration));
  flooder->tell("flood", make_window(run.duration));
  const LiveFigures during = live.measure(run.duration);
  const double sent = number(flooder->receive(), "sent");
  const double share = received_share(during) / received_share(before);
  const double growth = number(during.relay, "rss_peak_bytes") - number(before.relay, "rss_bytes");
  const double cpu_share = number(during.relay, "cpu_s") / number(during.relay, "seconds");
  const boost::json::object latency = during.received.at("latency_ms").as_object();
  std::printf(
      "%.0f Initials/s for %.1f s: RSS +%.1f MB, relay at %.0f %%; %zu children kept %.4f "
      "of their rate, latency p99 %.1f ms, %.0f late objects\n",
      sent / seconds, seconds, growth / 1e6, cpu_share * 100, children, share,
      number(latency, "p99"), number(during.received, "late_objects"));
  return {{"bench", "flood"},
          {"cpus", usable_cpus().size()},
          {"initials_per_s", sent / seconds},
          {"duration_s", seconds},
          {"children", children},
          {"rss_growth_bytes", growth},
          {"relay_core_share", cpu_share},
          {"existing_rate_ratio", share},
          {"latency_ms", latency},
          {"late_objects", during.received.at("late_objects")}};
}

}  // namespace tayga::bench
