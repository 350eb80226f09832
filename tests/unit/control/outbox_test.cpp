#include "daemon/control/outbox.hpp"

#include "tests/support/catch.hpp"

namespace tayga::control {
namespace {

constexpr WallTime kNow{std::chrono::seconds{1'800'000'000}};

PublishAnnouncement announcement(const std::string& name, std::uint32_t epoch = 1) {
  PublishAnnouncement out;
  out.stream_name = name;
  out.epoch = PublisherEpoch{epoch};
  return out;
}

relay::Relay::ParentLost failure(std::uint64_t revision) {
  relay::Relay::ParentLost out{};
  out.revision = revision;
  return out;
}

TelemetrySnapshot snapshot(std::uint64_t rss) {
  TelemetrySnapshot out;
  out.host.rss_bytes = rss;
  return out;
}

/// What poll() gives next, in a form to compare: kind and its telling part.
std::string next(Outbox& outbox) {
  const auto message = outbox.poll(kNow);
  if (!message) return "nothing";
  if (const auto* m = std::get_if<JoinStream>(&*message)) {
    return "join " + m->name + " " + std::to_string(m->tracks.size());
  }
  if (const auto* m = std::get_if<LeaveStream>(&*message)) return "leave " + m->name;
  if (const auto* m = std::get_if<PublishAnnouncement>(&*message)) {
    return "publish " + m->stream_name + " " + std::to_string(m->epoch.value());
  }
  if (const auto* m = std::get_if<Telemetry>(&*message)) {
    return "telemetry " + std::to_string(m->seq) + " " + std::to_string(m->snapshot.host.rss_bytes);
  }
  if (const auto* m = std::get_if<relay::ReceiptBook::Batch>(&*message)) {
    return "receipts " + std::to_string(m->id);
  }
  if (const auto* m = std::get_if<relay::Relay::ParentLost>(&*message)) {
    return "failure " + std::to_string(m->revision);
  }
  if (const auto* m = std::get_if<relay::Relay::Tampered>(&*message)) {
    return "evidence " + std::to_string(m->chunk.size());
  }
  return "unexpected";
}

std::vector<std::string> all(Outbox& outbox) {
  std::vector<std::string> out;
  for (std::string one = next(outbox); one != "nothing"; one = next(outbox)) out.push_back(one);
  return out;
}

using Said = std::vector<std::string>;

}  // namespace

TEST_CASE("what is urgent is said first") {
  Outbox outbox;
  outbox.put_telemetry(snapshot(7));
  outbox.put_receipts({3, {}});
  outbox.add_evidence({NodeId{}, {}, Bytes(9)});
  REQUIRE(outbox.join("news", {TrackId{1}, TrackId{2}}));
  REQUIRE(outbox.publish(announcement("sports")));
  outbox.add_link_failure(failure(5));
  CHECK(all(outbox) == Said{"failure 5", "publish sports 1", "join news 2", "evidence 9",
                            "receipts 3", "telemetry 1 7"});
}

TEST_CASE("the newest join, announcement, batch and telemetry win while they wait") {
  Outbox outbox;
  REQUIRE(outbox.join("news", {TrackId{1}}));
  REQUIRE(outbox.join("news", {TrackId{1}, TrackId{2}, TrackId{3}}));
  REQUIRE(outbox.publish(announcement("sports", 1)));
  REQUIRE(outbox.publish(announcement("sports", 2)));
  outbox.put_receipts({1, {}});
  outbox.put_receipts({2, {}});
  outbox.put_telemetry(snapshot(1));
  outbox.put_telemetry(snapshot(2));
  CHECK(all(outbox) == Said{"publish sports 2", "join news 3", "receipts 2", "telemetry 1 2"});
}

TEST_CASE("a stream that is left is said to be left, once") {
  Outbox outbox;
  REQUIRE(outbox.join("news", {}));
  outbox.leave("news");
  outbox.leave("news");
  outbox.leave("never joined");
  CHECK(all(outbox) == Said{"leave news"});
  outbox.on_session_up();
  CHECK(all(outbox).empty());
}

TEST_CASE("a new session hears all that is wanted again, and nothing that is stale") {
  Outbox outbox;
  REQUIRE(outbox.join("news", {TrackId{1}}));
  REQUIRE(outbox.join("music", {}));
  REQUIRE(outbox.publish(announcement("sports")));
  REQUIRE(outbox.publish(announcement("withdrawn")));
  outbox.on_session_up();
  CHECK(all(outbox).size() == 4);

  outbox.put_telemetry(snapshot(1));
  outbox.put_receipts({1, {}});
  outbox.add_link_failure(failure(8));
  outbox.unpublish("withdrawn");
  outbox.leave("music");
  outbox.on_session_down();
  outbox.on_session_up();
  CHECK(all(outbox) == Said{"failure 8", "publish sports 1", "leave music", "join news 1"});
}

TEST_CASE("every queue of the outbox is bounded") {
  Outbox outbox;
  for (std::size_t i = 0; i < Outbox::kStreamsMax; ++i) {
    REQUIRE(outbox.join("s" + std::to_string(i), {}));
    REQUIRE(outbox.publish(announcement("p" + std::to_string(i))));
  }
  CHECK_FALSE(outbox.join("one more", {}));
  CHECK(outbox.join("s0", {TrackId{4}}));
  CHECK_FALSE(outbox.publish(announcement("one more")));
  CHECK(outbox.publish(announcement("p0", 2)));
  while (outbox.poll(kNow)) {
  }

  for (std::size_t i = 0; i < 10 * Outbox::kStreamsMax; ++i) {
    outbox.leave("s" + std::to_string(i % Outbox::kStreamsMax));
    outbox.leave("t" + std::to_string(i));
    (void)outbox.join("t" + std::to_string(i), {});
  }
  for (std::uint64_t i = 0; i < Outbox::kLinkFailuresMax + 10; ++i)
    outbox.add_link_failure(failure(i));
  for (std::size_t i = 0; i < Outbox::kEvidenceMax + 10; ++i)
    outbox.add_evidence({{}, {}, Bytes(i)});
  CHECK(next(outbox) == "failure 10");
  const Said rest = all(outbox);
  CHECK(rest.size() <= Outbox::kLinkFailuresMax + 3 * Outbox::kStreamsMax + Outbox::kEvidenceMax);
  CHECK(rest.back() == "evidence " + std::to_string(Outbox::kEvidenceMax - 1));
  CHECK(outbox.dropped() >= 20);
}

}  // namespace tayga::control
