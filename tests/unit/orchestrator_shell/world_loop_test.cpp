#include "orchestrator/app/world_loop.hpp"

#include "common/async/clock.hpp"
#include "common/crypto/hash.hpp"
#include "common/media/publish_claim.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/memory_ledger_store.hpp"

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <limits>
#include <mutex>

using namespace tayga;
using namespace tayga::orch;

namespace {

constexpr auto kPatience = std::chrono::seconds{20};
constexpr std::uint8_t kGateway = 1;
constexpr std::uint8_t kViewer = 2;

/// Keeps what each session was sent.
class RecordingGateway final : public NodeGateway {
 public:
  std::optional<std::string> accept(NodeSink&) override { return std::nullopt; }
  void push(SessionId session, OrchestratorEvent event) override {
    const std::scoped_lock lock{mutex_};
    sent_.emplace_back(session, std::move(event));
    changed_.notify_all();
  }
  void close(SessionId, CloseReason, const std::string&) override {}
  void drain(Duration) override {}
  [[nodiscard]] GatewayStats stats() const override { return {}; }
  [[nodiscard]] std::uint16_t port() const override { return 0; }

  /// The first event of type T to `session` that `fits`; waits for it.
  template <class T>
  T await(SessionId session, const std::function<bool(const T&)>& fits = {}) {
    const T* found = nullptr;
    std::unique_lock lock{mutex_};
    const bool came = changed_.wait_for(lock, kPatience, [&] {
      for (const auto& [to, event] : sent_) {
        const T* body = to == session ? std::get_if<T>(&event) : nullptr;
        if (body != nullptr && (!fits || fits(*body))) found = body;
        if (found != nullptr) return true;
      }
      return false;
    });
    REQUIRE(came);
    return *found;
  }
  std::size_t count(SessionId session) {
    const std::scoped_lock lock{mutex_};
    return static_cast<std::size_t>(std::count_if(
        sent_.begin(), sent_.end(), [&](const auto& entry) { return entry.first == session; }));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<SessionId, OrchestratorEvent>> sent_;
};

SessionInfo session(std::uint64_t id, std::uint8_t node) {
  SessionInfo info;
  info.id = SessionId{id};
  info.node.bytes.fill(static_cast<std::byte>(node));
  info.address = "192.0.2.1";
  return info;
}

Hello hello(std::uint8_t node, Role role, std::vector<World::Held> held = {}) {
  Hello out;
  out.node.id.bytes.fill(static_cast<std::byte>(node));
  out.node.roles = static_cast<Roles>(role);
  out.node.endpoints = {{"192.0.2.1", 7410}};
  out.node.declared_upload_bps = 100'000'000;
  out.node.children_max = 16;
  out.held = std::move(held);
  return out;
}

WorldLoopOptions loop_options() {
  WorldLoopOptions options;
  options.online_key_not_after_ms = std::numeric_limits<std::int64_t>::max();
  return options;
}

/// A stream "tv" of one stripe that the gateway offers, a viewer that joins it.
struct Fixture {
  test::MemoryLedgerStore ledger_store;
  Meters meters;
  RecordingGateway gateway;
  StoreThread store{ledger_store, LedgerTrust{}, meters};
  crypto::SigningKey key = make_key();
  crypto::SigningKey stream_key = make_key();
  EpochBook epochs;
  AssignmentIssuer issuer{{}, key, epochs, crypto::random_bytes};
  WorldLoop loop{loop_options(), {gateway, store, issuer, epochs, meters}};

  Fixture() {
    const auto wall = async::Clock::wall_now().time_since_epoch();
    const auto now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(wall).count();
    for (const std::uint32_t epoch : epochs.missing(now_ms)) epochs.add(epoch, EpochSecret{});
    StreamRecord tv;
    tv.name = "tv";
    loop.restore({}, {tv});
    store.start([](SessionId, const ReceiptAnswers&) {});
    loop.start();
  }
  ~Fixture() {
    loop.stop();
    store.stop();
  }
  static crypto::SigningKey make_key() {
    crypto::init();
    return crypto::SigningKey::generate();
  }

  World::Publish publish() const {
    World::Publish out;
    out.stream_name = "tv";
    out.id = stream_key.stream_id();
    out.claim = stream_key.sign(
        media::serialize_publish_claim(NetworkId{}, session(1, kGateway).node, "tv"));
    out.publisher_epoch = 1;
    out.tracks = {{TrackId{1}, "v.m3u8", 3'000'000}};
    return out;
  }
  void take(const SessionInfo& from, NodeEvent event) {
    REQUIRE(loop.on_event(from, std::move(event)) == NodeSink::Admission::taken);
  }
  void go_live() {
    take(session(1, kGateway), hello(kGateway, Role::gateway));
    take(session(1, kGateway), publish());
  }
  /// What the viewer's session is told once it has a parent.
  IssuedAssignment join(std::uint64_t id, std::vector<World::Held> held = {}) {
    take(session(id, kViewer), hello(kViewer, Role::viewer, std::move(held)));
    take(session(id, kViewer), JoinRequest{"tv", {TrackId{1}}});
    return gateway.await<IssuedAssignment>(
        SessionId{id}, [](const IssuedAssignment& a) { return !a.target.upstream.empty(); });
  }
};

}  // namespace

TEST_CASE_METHOD(Fixture,
                 "a receiver that restarted gets other allocations, one that resumes not") {
  go_live();
  const IssuedAssignment first = join(2);
  REQUIRE(first.allocations.size() == 1);

  World::Held held;
  held.stream = stream_key.stream_id();
  held.revision = first.target.revision;
  held.upstream = first.target.upstream;
  held.playing = {TrackId{1}};
  const IssuedAssignment resumed = join(3, {held});
  CHECK(resumed.allocations == first.allocations);

  const IssuedAssignment restarted = join(4);
  REQUIRE(restarted.allocations.size() == 1);
  CHECK(restarted.allocations != first.allocations);
}

TEST_CASE_METHOD(Fixture,
                 "of two sessions of a node the one with the higher number speaks for it") {
  take(session(7, kGateway), hello(kGateway, Role::gateway));
  take(session(6, kGateway), hello(kGateway, Role::gateway));
  take(session(7, kGateway), publish());
  CHECK(join(8).stream_name == "tv");  // so the claim of session 7 was heard
  CHECK(gateway.count(SessionId{6}) == 0);
}

TEST_CASE_METHOD(Fixture, "what nodes said before the stop is looked at and on disk after it") {
  go_live();
  for (std::uint64_t i = 0; i < 100; ++i) {
    const auto node = static_cast<std::uint8_t>(100 + i);
    take(session(100 + i, node), hello(node, Role::viewer));
  }
  loop.stop();
  store.stop();
  CHECK(ledger_store.load_nodes()->size() == 101);
  const auto streams = ledger_store.load_streams();
  REQUIRE(streams->size() == 1);
  CHECK(streams->front().id == stream_key.stream_id());
}

TEST_CASE("an expired online key is a trouble of the loop") {
  Fixture fixture;
  CHECK(fixture.loop.trouble().empty());
  WorldLoopOptions options;
  options.online_key_not_after_ms = 1;
  const WorldLoop loop{
      options, {fixture.gateway, fixture.store, fixture.issuer, fixture.epochs, fixture.meters}};
  CHECK(loop.trouble().find("online key") != std::string::npos);
}
