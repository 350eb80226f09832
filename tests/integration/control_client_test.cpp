#include "daemon/control/control_client.hpp"

#include "common/async/clock.hpp"
#include "common/async/task_group.hpp"
#include "common/crypto/certificate.hpp"
#include "daemon/control/network_trust.hpp"
#include "tests/integration/control_orchestrator.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary_folder.hpp"

#include <absl/synchronization/mutex.h>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace tayga::control {
namespace {

using async::Clock;
using test::TestCa;
using test::TestOrchestrator;

struct Events final : ControlEvents {
  void on_connected(const Welcome& welcome) override { welcomes.push_back(welcome); }
  void on_disconnected(const std::string& reason) override { disconnects.push_back(reason); }
  void on_assignment(const relay::Assignment& assignment,
                     const std::vector<PeerAddress>& addresses) override {
    assignments.push_back(assignment);
    peers = addresses;
  }
  void on_publish_offer(const PublishOffer& offer) override { offers.push_back(offer); }
  void on_publish_withdrawn(const std::string& name) override { withdrawn.push_back(name); }
  void on_receipt_answer(std::uint64_t batch,
                         const std::vector<relay::ReceiptBook::Answer>& answers) override {
    answered_batches.push_back(batch);
    answered_items += answers.size();
  }
  void on_join_refused(const std::string& name, JoinRefusal reason,
                       const std::string& message) override {
    CHECK(reason == JoinRefusal::not_live);
    refusals.push_back(name + ": " + message);
  }
  void on_drain(Duration grace) override { drain = grace; }
  void on_ban(const std::string& reason) override { ban = reason; }

  std::vector<Welcome> welcomes;
  std::vector<std::string> disconnects;
  std::vector<relay::Assignment> assignments;
  std::vector<PeerAddress> peers;
  std::vector<PublishOffer> offers;
  std::vector<std::string> withdrawn;
  std::vector<std::uint64_t> answered_batches;
  std::size_t answered_items = 0;
  std::vector<std::string> refusals;
  std::optional<Duration> drain;
  std::optional<std::string> ban;
};

/// A node: its loop, its identity and its state directory, around one client at a time.
class Node {
 public:
  explicit Node(const JoinUrl& url) : url_{url} {
    profile.software = "taygad/test";
    profile.roles = {Role::relay, Role::viewer};
    profile.endpoints = {*transport::parse_endpoint("192.0.2.1:7410")};
    profile.upload_bps = 20'000'000;
    profile.children_max = 32;
    profile.name = "attic";
  }
  ~Node() {
    if (client_) stop();
  }

  ControlClient& start() {
    ControlOptions options;
    options.join = url_;
    options.state_dir = folder.path();
    options.held_streams = [this] { return held; };
    options.reconnect_first = 50ms;
    options.reconnect_last = 200ms;
    options.welcome_max = welcome_max;
    client_ =
        std::make_unique<ControlClient>(io.get_executor(), identity, options, profile, events);
    client_->start();
    return *client_;
  }
  ControlClient& client() { return *client_; }

  /// Runs the loop until `condition` holds; false when it does not within `limit`.
  template <class Condition>
  bool run_until(Condition condition, Duration limit = 20s) {
    const TimePoint deadline = Clock::now() + limit;
    while (!condition()) {
      if (Clock::now() >= deadline) return false;
      io.restart();
      io.run_one_for(std::chrono::milliseconds{5});
    }
    return true;
  }
  bool run_until_connected() {
    return run_until([this] { return client_->connected(); });
  }

  /// Returns how long it took.
  Duration stop() {
    const TimePoint began = Clock::now();
    async::TaskGroup group{io.get_executor(), "stop", 1};
    REQUIRE(group.spawn(client_->stop()));
    REQUIRE(run_until([&group] { return group.size() == 0; }));
    client_.reset();
    return Clock::now() - began;
  }
  /// Without a goodbye, as by an exception on the way out of main.
  void drop() { client_.reset(); }

  boost::asio::io_context io;
  crypto::SigningKey identity = crypto::SigningKey::generate();
  test::TemporaryFolder folder;
  Events events;
  NodeProfile profile;
  std::vector<HeldStream> held;
  Duration welcome_max = 10s;

 private:
  JoinUrl url_;
  std::unique_ptr<ControlClient> client_;
};

/// Names of what the orchestrator heard in one session, in order.
std::vector<std::string> heard(const TestOrchestrator& orchestrator, unsigned session) {
  std::vector<std::string> out;
  for (const auto& one : orchestrator.received()) {
    if (one.session != session) continue;
    const v1::NodeMessage& m = one.message;
    if (m.has_hello()) out.push_back("hello");
    if (m.has_join()) out.push_back("join " + m.join().stream_name());
    if (m.has_leave()) out.push_back("leave " + m.leave().stream_name());
    if (m.has_publish()) out.push_back("publish " + m.publish().stream_name());
    if (m.has_goodbye()) out.push_back("goodbye");
    if (m.has_telemetry()) out.push_back("telemetry");
    if (m.has_receipts()) out.push_back("receipts");
    if (m.has_link_failure()) out.push_back("link failure");
    if (m.has_evidence()) out.push_back("evidence");
  }
  return out;
}

using Heard = std::vector<std::string>;

PublishAnnouncement announcement(const std::string& name) {
  PublishAnnouncement out;
  out.stream_name = name;
  out.epoch = PublisherEpoch{9};
  return out;
}

}  // namespace

TEST_CASE("a node joins with nothing but the join URL and both sides prove who they are") {
  const TestCa ca;
  const TestOrchestrator orchestrator{ca};
  Node node{ca.join_url(orchestrator.port())};
  HeldStream held;
  held.revision = 6;
  held.playing = {TrackId{1}};
  node.held = {held};
  node.start();
  REQUIRE(node.run_until_connected());

  REQUIRE(node.events.welcomes.size() == 1);
  const Welcome& welcome = node.events.welcomes[0];
  CHECK(welcome.network == ca.join_url(1).network_id());
  CHECK(welcome.incarnation == 42);
  CHECK(welcome.receipt_submit_interval == 10s);
  REQUIRE(welcome.online_keys.size() == 1);
  CHECK(welcome.online_keys[0].key == ca.online.public_key());
  REQUIRE(welcome.observed_address);
  CHECK(welcome.observed_address->is_loopback());
  CHECK(std::chrono::abs(welcome.clock_offset - 5s) < 2s);
  CHECK(node.client().clock_offset() == welcome.clock_offset);
  CHECK(node.client().session_count() == 1);
  CHECK(node.client().last_error().empty());

  const auto received = orchestrator.received();
  REQUIRE(received.size() == 1);
  CHECK(received[0].node == node.identity.node_id());
  const v1::NodeHello& hello = received[0].message.hello();
  CHECK(hello.protocol_version() == 1);
  CHECK(hello.software() == "taygad/test");
  CHECK(hello.roles_size() == 2);
  CHECK(hello.endpoints(0).address() == "192.0.2.1");
  CHECK(hello.endpoints(0).port() == 7410);
  CHECK(hello.upload_bps() == 20'000'000);
  CHECK(hello.children_max() == 32);
  CHECK(hello.name() == "attic");
  REQUIRE(hello.held_size() == 1);
  CHECK(hello.held(0).revision() == 6);
  CHECK(std::filesystem::exists(network_ca_path(node.folder.path())));

  // The second time the CA is known and nothing is fetched.
  node.stop();
  CHECK(heard(orchestrator, 1) == Heard{"hello", "goodbye"});
  node.start();
  CHECK(node.run_until_connected());
}

TEST_CASE("a server without the CA of the join URL is refused before anything is said to it") {
  const TestCa ca;
  const TestCa other;
  const TestOrchestrator impostor{other};
  Node node{ca.join_url(impostor.port())};
  node.start();
  REQUIRE(node.run_until([&] { return !node.client().last_error().empty(); }));
  CHECK_THAT(node.client().last_error(), test::contains("not this network's orchestrator"));
  CHECK_FALSE(std::filesystem::exists(network_ca_path(node.folder.path())));
  CHECK(impostor.sessions() == 0);
  node.stop();
  CHECK(node.events.disconnects.empty());
}

TEST_CASE("an impostor on the orchestrator's port is refused by a node that knows its network") {
  const TestCa ca;
  const TestCa other;
  std::uint16_t port = 0;
  std::optional<Node> node;
  {
    const TestOrchestrator orchestrator{ca};
    port = orchestrator.port();
    node.emplace(ca.join_url(port));
    node->start();
    REQUIRE(node->run_until_connected());
  }
  REQUIRE(node->run_until([&] { return !node->client().connected(); }));
  const TestOrchestrator impostor{other, port};
  REQUIRE(node->run_until([&] {
    return node->client().last_error().find("ertificate") != std::string::npos ||
           node->client().last_error().find("CERTIFICATE") != std::string::npos ||
           node->client().last_error().find("andshake") != std::string::npos;
  }));
  CHECK(impostor.sessions() == 0);
  CHECK(node->client().session_count() == 1);
}

TEST_CASE("a state directory of another network is an error that names both") {
  const TestCa ca;
  const TestCa other;
  const TestOrchestrator orchestrator{ca};
  Node node{ca.join_url(orchestrator.port())};
  const std::vector<Bytes> chain{crypto::certificate_der(other.pem)};
  REQUIRE(std::holds_alternative<NetworkTrust>(
      adopt_network_ca(node.folder.path(), other.fingerprint, chain)));
  node.start();
  REQUIRE(node.run_until([&] { return !node.client().last_error().empty(); }));
  CHECK_THAT(node.client().last_error(), test::contains("remove the file"));
  CHECK(orchestrator.sessions() == 0);
}

TEST_CASE(
    "an orchestrator with a forged online key or another network is refused, and asked again") {
  const TestCa ca;
  TestOrchestrator orchestrator{ca};
  const auto [conduct, reason] = GENERATE(table<TestOrchestrator::Conduct, std::string>(
      {{TestOrchestrator::Conduct::presents_forged_key, "does not chain"},
       {TestOrchestrator::Conduct::serves_other_network, "another network"}}));
  orchestrator.set_conduct(conduct);
  Node node{ca.join_url(orchestrator.port())};
  node.start();
  REQUIRE(node.run_until([&] { return orchestrator.sessions() >= 2; }));
  CHECK_FALSE(node.client().connected());
  CHECK_THAT(node.client().last_error(), test::contains(reason));
  orchestrator.set_conduct(TestOrchestrator::Conduct::welcomes);
  CHECK(node.run_until_connected());
  CHECK(node.events.welcomes.size() == 1);
}

TEST_CASE("an orchestrator that sends no welcome is given up and dialled again") {
  const TestCa ca;
  TestOrchestrator orchestrator{ca};
  orchestrator.set_conduct(TestOrchestrator::Conduct::stays_silent);
  Node node{ca.join_url(orchestrator.port())};
  node.welcome_max = 300ms;
  node.start();
  REQUIRE(node.run_until([&] { return orchestrator.sessions() >= 2; }));
  CHECK_THAT(node.client().last_error(), test::contains("no welcome"));
}

TEST_CASE(
    "joins and announcements are said again to an orchestrator that was killed and came back") {
  const TestCa ca;
  auto orchestrator = std::make_unique<TestOrchestrator>(ca);
  const std::uint16_t port = orchestrator->port();
  Node node{ca.join_url(port)};
  ControlClient& client = node.start();
  REQUIRE(client.join("news", {TrackId{1}}));  // before there is a session
  REQUIRE(node.run_until([&] { return heard(*orchestrator, 1).size() == 2; }));
  REQUIRE(client.join("music", {}));
  REQUIRE(node.run_until([&] { return heard(*orchestrator, 1).size() == 3; }));
  REQUIRE(client.publish(announcement("sports")));
  REQUIRE(node.run_until([&] { return heard(*orchestrator, 1).size() == 4; }));
  CHECK(heard(*orchestrator, 1) == Heard{"hello", "join news", "join music", "publish sports"});

  orchestrator.reset();
  REQUIRE(node.run_until([&] { return node.events.disconnects.size() == 1; }));
  CHECK_FALSE(client.connected());
  CHECK_FALSE(client.send_receipts({1, {}}));
  client.send_telemetry({});
  client.leave("music");
  client.report_link_failure({});
  orchestrator = std::make_unique<TestOrchestrator>(ca, port);
  REQUIRE(node.run_until([&] { return heard(*orchestrator, 1).size() == 5; }));
  CHECK(heard(*orchestrator, 1) ==
        Heard{"hello", "link failure", "publish sports", "leave music", "join news"});
  CHECK(client.session_count() == 2);
}

TEST_CASE("the newest telemetry wins while the orchestrator does not read") {
  const TestCa ca;
  TestOrchestrator orchestrator{ca};
  Node node{ca.join_url(orchestrator.port())};
  ControlClient& client = node.start();
  REQUIRE(node.run_until_connected());
  orchestrator.hold_back_reads(true);

  // Large enough that HTTP/2's window holds only the first ones.
  constexpr std::uint64_t kSent = 60;
  for (std::uint64_t i = 1; i <= kSent; ++i) {
    TelemetrySnapshot snapshot;
    snapshot.links.resize(200);
    snapshot.streams.resize(1);
    snapshot.streams[0].stripes.resize(900);
    for (StripeReport& stripe : snapshot.streams[0].stripes) stripe.parent = NodeId{};
    snapshot.host.rss_bytes = i;
    client.send_telemetry(std::move(snapshot));
    const TimePoint turn = Clock::now() + 5ms;
    REQUIRE(node.run_until([&] { return Clock::now() >= turn; }));
  }
  orchestrator.hold_back_reads(false);
  const auto newest = [&] {
    const auto received = orchestrator.received();
    return received.back().message.telemetry().host().rss_bytes();
  };
  REQUIRE(node.run_until([&] { return newest() == kSent; }));
  std::vector<std::uint64_t> seen;
  std::vector<std::uint64_t> numbers;
  for (const auto& one : orchestrator.received()) {
    if (!one.message.has_telemetry()) continue;
    seen.push_back(one.message.telemetry().host().rss_bytes());
    numbers.push_back(one.message.telemetry().seq());
  }
  CHECK(seen.size() < kSent);
  CHECK(std::is_sorted(seen.begin(), seen.end()));
  for (std::size_t i = 0; i < numbers.size(); ++i) CHECK(numbers[i] == i + 1);
  CHECK(client.session_count() == 1);
}

TEST_CASE("receipts are submitted and answered, and what the orchestrator says arrives") {
  const TestCa ca;
  TestOrchestrator orchestrator{ca};
  Node node{ca.join_url(orchestrator.port())};
  ControlClient& client = node.start();
  REQUIRE(node.run_until_connected());
  relay::ReceiptBook::Batch batch{17, {}};
  batch.items.resize(relay::ReceiptBook::kBatchItemsMax);
  REQUIRE(client.send_receipts(batch));
  client.report_evidence({NodeId{}, Bytes(300), Bytes(4120)});
  REQUIRE(node.run_until([&] { return heard(orchestrator, 1).size() == 3; }));
  const auto received = orchestrator.received();
  CHECK(received[1].message.receipts().items_size() == 512);
  CHECK(received[2].message.evidence().chunk().size() == 4120);

  v1::OrchestratorMessage message;
  message.mutable_receipt_answer()->set_batch(17);
  message.mutable_receipt_answer()->add_items()->set_alloc_id(std::string(16, 'a'));
  REQUIRE(orchestrator.push(message));
  message.mutable_assignment()->mutable_stream()->set_stream_id("short");
  REQUIRE(orchestrator.push(message));  // useless: ignored, the session goes on
  auto& assignment = *message.mutable_assignment();
  assignment.set_revision(3);
  assignment.mutable_stream()->set_stream_id(std::string(32, 's'));
  assignment.mutable_stream()->set_stripe_count(1);
  assignment.add_peers()->set_node(std::string(32, 'p'));
  REQUIRE(orchestrator.push(message));
  message.mutable_publish_offer()->set_stream_name("sports");
  message.mutable_publish_offer()->set_stripe_count(4);
  REQUIRE(orchestrator.push(message));
  message.mutable_join_refused()->set_stream_name("news");
  message.mutable_join_refused()->set_reason(v1::JoinRefused::REASON_NOT_LIVE);
  message.mutable_join_refused()->set_message("nobody publishes it");
  REQUIRE(orchestrator.push(message));
  message.mutable_drain()->set_grace_ms(1500);
  REQUIRE(orchestrator.push(message));
  REQUIRE(node.run_until([&] { return node.events.drain.has_value(); }));

  CHECK(node.events.answered_batches == std::vector<std::uint64_t>{17});
  CHECK(node.events.answered_items == 1);
  REQUIRE(node.events.assignments.size() == 1);
  CHECK(node.events.assignments[0].revision == 3);
  CHECK(node.events.peers.size() == 1);
  REQUIRE(node.events.offers.size() == 1);
  CHECK(node.events.offers[0].stream_name == "sports");
  CHECK(node.events.refusals == std::vector<std::string>{"news: nobody publishes it"});
  CHECK(node.events.drain == Duration{1500ms});
  CHECK(client.connected());
}

TEST_CASE("a stream that was withdrawn is not announced again") {
  const TestCa ca;
  TestOrchestrator orchestrator{ca};
  Node node{ca.join_url(orchestrator.port())};
  ControlClient& client = node.start();
  REQUIRE(client.publish(announcement("sports")));
  REQUIRE(node.run_until([&] { return heard(orchestrator, 1).size() == 2; }));
  v1::OrchestratorMessage message;
  message.mutable_publish_withdrawn()->set_stream_name("sports");
  REQUIRE(orchestrator.push(message));
  REQUIRE(node.run_until([&] { return !node.events.withdrawn.empty(); }));
  orchestrator.cut_session();
  REQUIRE(node.run_until([&] { return client.session_count() == 2; }));
  node.stop();
  CHECK(heard(orchestrator, 2) == Heard{"hello", "goodbye"});
}

TEST_CASE("a changed profile is said at once in a new session") {
  const TestCa ca;
  const TestOrchestrator orchestrator{ca};
  Node node{ca.join_url(orchestrator.port())};
  ControlClient& client = node.start();
  REQUIRE(node.run_until_connected());
  client.set_profile(node.profile);  // the same: nothing happens
  NodeProfile changed = node.profile;
  changed.children_max = 0;
  client.set_profile(changed);
  REQUIRE(node.run_until([&] { return client.session_count() == 2; }));
  CHECK(orchestrator.received().back().message.hello().children_max() == 0);
  CHECK(node.events.disconnects.size() == 1);
}

TEST_CASE("a banned node hears why and does not come back at once") {
  const TestCa ca;
  TestOrchestrator orchestrator{ca};
  Node node{ca.join_url(orchestrator.port())};
  node.start();
  REQUIRE(node.run_until_connected());
  v1::OrchestratorMessage message;
  message.mutable_ban()->set_reason("cheating");
  REQUIRE(orchestrator.push(message));
  REQUIRE(node.run_until([&] { return !node.events.disconnects.empty(); }));
  CHECK(node.events.ban == "cheating");
  CHECK_FALSE(node.run_until([&] { return orchestrator.sessions() > 1; }, 500ms));
  CHECK(node.stop() < 5s);
}

TEST_CASE("stop says goodbye, and takes no longer than a second when nobody answers") {
  const TestCa ca;
  TestOrchestrator orchestrator{ca};
  Node node{ca.join_url(orchestrator.port())};
  node.start();
  REQUIRE(node.run_until_connected());
  orchestrator.set_conduct(TestOrchestrator::Conduct::hangs);
  const Duration took = node.stop();
  CHECK(took >= 900ms);
  CHECK(took < 5s);
  CHECK(heard(orchestrator, 1) == Heard{"hello", "goodbye"});
  CHECK(node.events.disconnects.size() == 1);
}

TEST_CASE("stop ends a client that never reached anybody") {
  const TestCa ca;
  std::uint16_t port = 0;
  { port = TestOrchestrator{ca}.port(); }
  Node node{ca.join_url(port)};
  node.start();
  REQUIRE(node.run_until([&] { return !node.client().last_error().empty(); }));
  CHECK_THAT(node.client().last_error(), test::contains("127.0.0.1:" + std::to_string(port)));
  CHECK(node.stop() < 5s);
  node.start();
  CHECK(node.stop() < 5s);  // in the middle of its first dial
}

TEST_CASE("a client that is destroyed without stop leaves nothing behind and says nothing more") {
  const TestCa ca;
  const TestOrchestrator orchestrator{ca};
  Node node{ca.join_url(orchestrator.port())};
  node.start();
  REQUIRE(node.run_until_connected());
  SECTION("while its loop goes on") {
    node.drop();
    const TimePoint later = Clock::now() + 200ms;
    REQUIRE(node.run_until([&] { return Clock::now() >= later; }));
    CHECK(node.events.disconnects.empty());
  }
  SECTION("while its loop has ended") {
    node.drop();
  }
}

}  // namespace tayga::control
