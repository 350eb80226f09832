#include "daemon/peers/relay_driver.hpp"

#include "common/transport/tls/tls_transport.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/test_network.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <stdexcept>

namespace tayga::test {
namespace {

using boost::asio::io_context;

/// A driver with its relay, whose owner may throw.
struct Rig final : peers::RelayEvents {
  Rig(io_context& context, const TestNetwork& net, peers::RelayDriver::Options options)
      : io{context},
        network{net},
        transport{transport::tls::make_tls_transport(context.get_executor(), identity, {})},
        driver{context.get_executor(), relay, *transport, *this, with_self(std::move(options))} {
    driver.set_network(network.network());
    driver.input([&](relay::Relay& r, relay::Now) { r.on_online_keys({network.online_key()}); });
  }
  ~Rig() override { transport->stop(); }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;

  peers::RelayDriver::Options with_self(peers::RelayDriver::Options options) const {
    options.self = identity.node_id();
    options.software = "test";
    return options;
  }

  /// Assigns one parent for everything.
  void follow(const NodeId& parent, std::vector<transport::Endpoint> addresses) {
    relay::Assignment assignment;
    assignment.incarnation = 1;
    assignment.revision = ++revision;
    assignment.stream = network.descriptor();
    relay::Upstream link;
    link.track = kTestTrack;
    link.parent = parent;
    assignment.upstream.push_back(link);
    assignment.allocations.push_back(network.allocation(parent, identity.node_id()));
    driver.set_addresses(network.stream(), {{parent, std::move(addresses)}});
    driver.input([&](relay::Relay& r, relay::Now now) { r.on_assignment(assignment, now); });
  }

  void on_parent_lost(const relay::Relay::ParentLost&) override {
    ++parents_lost;
    if (throws) throw std::runtime_error{"the owner's own trouble"};
  }
  void on_fetch_origin(const relay::Relay::FetchOrigin& fetch) override {
    driver.input(
        [&](relay::Relay& r, relay::Now now) { r.on_origin_done(fetch.request, {}, now); });
  }
  void on_tampered(const relay::Relay::Tampered&) override {}
  void on_progress(const StreamId&, TrackId) override {}

  io_context& io;
  const TestNetwork& network;
  crypto::SigningKey identity = crypto::SigningKey::generate();
  relay::Relay relay{identity, patient_limits(), Duration{10s}};
  std::unique_ptr<transport::Transport> transport;
  peers::RelayDriver driver;
  std::uint64_t revision = 0;
  int parents_lost = 0;
  bool throws = false;
};

struct Listener final : transport::SessionHandler {
  void on_frame(wire::FrameType, ByteView) override {}
  std::optional<transport::OutboundMedia> next_media() override { return std::nullopt; }
  void on_closed(const transport::CloseInfo& info) override { closed = info; }
  std::optional<transport::CloseInfo> closed;
};

transport::Endpoint loopback(std::uint16_t port = 0) {
  return {boost::asio::ip::address_v4::loopback(), port};
}

}  // namespace

TEST_CASE("dead addresses of a peer do not keep its living one waiting") {
  io_context io;
  const TestNetwork network{1};
  TestNode parent{io, network};
  // Takes connections into its backlog and says nothing, as a host behind a dead link does.
  boost::asio::ip::tcp::acceptor first_dead{io, {boost::asio::ip::address_v4::loopback(), 0}};
  boost::asio::ip::tcp::acceptor second_dead{io, {boost::asio::ip::address_v4::loopback(), 0}};
  Rig rig{io, network, {}};
  const TimePoint began = async::Clock::now();
  rig.follow(parent.id(), {loopback(first_dead.local_endpoint().port()),
                           loopback(second_dead.local_endpoint().port()), parent.endpoint()});
  REQUIRE(run_until(io, 10s, [&] { return !rig.driver.peers().empty(); }));
  CHECK(async::Clock::now() - began < 3s);  // each alone would have taken 5 s
  CHECK(rig.driver.peers().front().dial_time < 3s);
  CHECK(rig.parents_lost == 0);
}

TEST_CASE("a peer that says no hello is closed when its time is over, not at the next ping") {
  io_context io;
  const TestNetwork network{1};
  peers::RelayDriver::Options options;
  options.hello_timeout = 200ms;
  options.ping_interval = 1h;
  Rig rig{io, network, options};
  const auto bound = rig.driver.listen(loopback());
  REQUIRE(bound.has_value());

  const crypto::SigningKey key = crypto::SigningKey::generate();
  const auto stranger = transport::tls::make_tls_transport(io.get_executor(), key, {});
  std::unique_ptr<transport::Session> session;
  const auto dial = [](transport::Transport& transport, transport::Endpoint to, NodeId who,
                       std::unique_ptr<transport::Session>& out) -> async::Task<void> {
    auto dialed = co_await transport.connect(to, who, 5s);
    if (dialed) out = std::move(*dialed);
  };
  async::TaskGroup dials{io.get_executor(), "dials", 1};
  REQUIRE(dials.spawn(dial(*stranger, *bound, rig.identity.node_id(), session)));
  REQUIRE(run_until(io, 5s, [&] { return session != nullptr; }));
  Listener listener;
  session->start(listener);
  const TimePoint began = async::Clock::now();
  REQUIRE(run_until(io, 5s, [&] { return listener.closed.has_value(); }));
  CHECK(async::Clock::now() - began >= 150ms);
  CHECK(async::Clock::now() - began < 3s);
  CHECK(listener.closed->reason == transport::CloseInfo::Reason::remote);
}

TEST_CASE("an exception from what the relay asked for does not stop what it asks for next") {
  io_context io;
  const TestNetwork network{1};
  Rig rig{io, network, {}};
  rig.throws = true;
  rig.follow(crypto::SigningKey::generate().node_id(), {});  // no address: lost at once
  REQUIRE(run_until(io, 5s, [&] { return rig.parents_lost == 1; }));
  rig.throws = false;
  rig.follow(crypto::SigningKey::generate().node_id(), {});
  CHECK(run_until(io, 5s, [&] { return rig.parents_lost == 2; }));
}

}  // namespace tayga::test
