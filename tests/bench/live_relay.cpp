#include "common/async/clock.hpp"
#include "daemon/peers/relay_driver.hpp"
#include "tests/bench/commands.hpp"
#include "tests/bench/live.hpp"

#include <boost/asio/system_timer.hpp>

#include <stdexcept>
#include <utility>

namespace tayga::bench {
namespace {

using transport::Endpoint;

/// taygad's relay without a control session: the bench assigns.
class RelayNode final : public peers::RelayEvents {
 public:
  RelayNode(const LivePlan& plan, Channel& channel)
      : plan_{plan},
        commands_{io_, channel},
        relay_{plan.relay, limits_for(plan), 10s},
        transport_{make_transport(io_.get_executor(), plan.relay, setup_for(plan))},
        driver_{io_.get_executor(), relay_, transport_, *this, options_for(plan)},
        timer_{io_} {}

  void run() {
    driver_.set_network(plan_.network.network());
    driver_.input([&](relay::Relay& relay, relay::Now) {
      relay.on_online_keys({plan_.network.online_key()});
    });
    const auto bound = driver_.listen(*transport::parse_endpoint("127.0.0.1:0"));
    if (!bound) throw std::runtime_error{"cannot listen: " + bound.error().message()};
    commands_.on("follow", [this](const boost::json::object& args, const auto& reply) {
      follow(static_cast<std::uint16_t>(args.at("port").as_int64()));
      reply({});
    });
    commands_.on("measure", [this](const boost::json::object& window, const auto& reply) {
      measure(window, reply);
    });
    commands_.run({{"port", bound->port}});
    transport_.stop();
  }

  void on_parent_lost(const relay::Relay::ParentLost&) override {
    commands_.fail("lost the source");
  }
  void on_fetch_origin(const relay::Relay::FetchOrigin&) override {
    commands_.fail("the source does not keep up");
  }
  void on_tampered(const relay::Relay::Tampered&) override {
    commands_.fail("a chunk did not verify");
  }
  void on_progress(const StreamId&, TrackId) override {}

 private:
  struct Usage {
    double cpu_s;
    double wait_s;
    std::uint64_t wire_bytes;
    relay::RelayCounters counters;
  };

  static std::size_t sessions_of(const LivePlan& plan) {
    std::size_t sessions = 8;
    for (const ChildGroup& group : plan.groups) sessions += group.children;
    return sessions;
  }
  static TransportSetup setup_for(const LivePlan& plan) {
    TransportSetup setup = plan.transport;
    setup.sessions_max = sessions_of(plan);
    return setup;
  }
  static relay::RelayLimits limits_for(const LivePlan& plan) {
    relay::RelayLimits limits;
    limits.suspicion_min = 1s;  // a loaded machine delays the source, nothing stands by for it
    limits.children_max = sessions_of(plan);
    return limits;
  }
  static peers::RelayDriver::Options options_for(const LivePlan& plan) {
    peers::RelayDriver::Options options;
    options.self = plan.relay.node_id();
    options.software = "bench";
    return options;
  }

  void follow(std::uint16_t port) {
    const NodeId source = plan_.source.node_id();
    relay::Assignment assignment;
    assignment.incarnation = 1;
    assignment.revision = 1;
    assignment.stream = plan_.network.descriptor();
    relay::Upstream link;
    link.track = test::kTestTrack;
    link.parent = source;
    assignment.upstream.push_back(link);
    assignment.allocations.push_back(plan_.network.allocation(source, plan_.relay.node_id()));
    driver_.set_addresses(plan_.network.stream(),
                          {{source, {Endpoint{boost::asio::ip::address_v4::loopback(), port}}}});
    driver_.input(
        [&](relay::Relay& relay, relay::Now now) { relay.on_assignment(assignment, now); });
  }

  [[nodiscard]] Usage usage() const {
    return {process_cpu_seconds(), process_wait_seconds(), driver_.traffic().bytes_out,
            relay_.counters()};
  }

  void measure(const boost::json::object& window, const Commands::Reply& reply) {
    const std::int64_t begin = window.at("begin_us").as_int64();
    const std::int64_t end = window.at("end_us").as_int64();
    at_wall(begin, [this, end, reply] {
      begin_ = usage();
      began_us_ = wall_us();
      at_wall(end, [this, reply] { reply(figures()); });
    });
  }

  void at_wall(std::int64_t at_us, std::function<void()> then) {
    timer_.expires_at(std::chrono::system_clock::time_point{Duration{at_us}});
    timer_.async_wait([then = std::move(then)](const error_code& ec) {
      if (!ec) then();
    });
  }

  [[nodiscard]] boost::json::object figures() const {
    const Usage end = usage();
    return {
        {"cpu_s", end.cpu_s - begin_.cpu_s},
        {"wait_s", end.wait_s - begin_.wait_s},
        {"seconds", static_cast<double>(wall_us() - began_us_) / 1e6},
        {"media_bytes", end.counters.media_bytes_out - begin_.counters.media_bytes_out},
        {"wire_bytes", end.wire_bytes - begin_.wire_bytes},
        {"chunks_verified", end.counters.chunks_verified - begin_.counters.chunks_verified},
        {"dropped_bytes", end.counters.dropped_bytes - begin_.counters.dropped_bytes},
        {"rss_bytes", resident_bytes()},
        {"rss_peak_bytes", resident_peak_bytes()},
    };
  }

  const LivePlan& plan_;
  boost::asio::io_context io_{1};
  Commands commands_;
  relay::Relay relay_;
  AliasTransport transport_;
  peers::RelayDriver driver_;
  boost::asio::system_timer timer_;
  Usage begin_{};
  std::int64_t began_us_ = 0;
};

}  // namespace

std::unique_ptr<Role> start_relay(const LivePlan& plan, unsigned cpu) {
  return std::make_unique<Role>("relay", cpu, [&plan](Channel& channel) {
    RelayNode{plan, channel}.run();
  });
}

}  // namespace tayga::bench
