#include "orchestrator/app/assignment_issuer.hpp"

#include "common/crypto/ed25519.hpp"
#include "common/media/receipts.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>

using namespace tayga;
using namespace tayga::orch;

namespace {

constexpr std::int64_t kMinute = 60'000;
constexpr std::int64_t kNow = 20'000LL * 24 * 60 * kMinute + 60 * kMinute;

constexpr std::int64_t kKeyEnd = kNow + 20LL * 24 * 60 * kMinute;

NodeId node(std::uint8_t fill) {
  NodeId id;
  id.bytes.fill(static_cast<std::byte>(fill));
  return id;
}

/// One stream of two tracks of 4 and 2 Mbit/s in four stripes.
struct Fixture {
  crypto::SigningKey key = [] {
    crypto::init();
    return crypto::SigningKey::generate();
  }();
  EpochBook epochs;
  StreamRecord stream;
  NodeRecord parent;
  std::uint8_t next_random = 0;
  AssignmentIssuer issuer{
      {NetworkId{}, 3, 77, kKeyEnd}, key, epochs, [this](std::span<std::byte> out) {
        std::fill(out.begin(), out.end(), std::byte{++next_random});
      }};

  Fixture() {
    for (std::uint32_t epoch = 19'999; epoch <= 20'001; ++epoch) epochs.add(epoch, EpochSecret{});
    stream.name = "tv";
    stream.stripe_count = 4;
    stream.id = StreamId{};
    stream.tracks = {{TrackId{1}, "v.m3u8", 4'000'000}, {TrackId{2}, "w.m3u8", 2'000'000}};
    parent.id = node(1);
    parent.endpoints = {{"192.0.2.1", 7410}};
  }

  NodeAssignment assignment(std::vector<UpstreamLink> upstream) const {
    NodeAssignment a;
    a.node = node(9);
    a.stream = *stream.id;
    a.revision = 5;
    a.upstream = std::move(upstream);
    return a;
  }
  static UpstreamLink link(std::uint32_t track, std::uint8_t stripe, std::uint8_t from = 1) {
    return {TrackId{track}, StripeIndex{stripe}, node(from)};
  }
  std::vector<wire::Allocation> issue(std::vector<UpstreamLink> upstream, std::int64_t now = kNow) {
    const auto nodes = [this](const NodeId& id) { return id == parent.id ? &parent : nullptr; };
    last = issuer.issue(assignment(std::move(upstream)), stream, nodes, now);
    std::vector<wire::Allocation> out;
    for (const auto& blob : last.allocations) {
      const auto allocation = media::verify_allocation(blob, key.public_key());
      REQUIRE(allocation);
      out.push_back(*allocation);
    }
    return out;
  }
  IssuedAssignment last;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "each parent gets one signed allocation with the mask of its stripes") {
  const auto allocations = issue({link(1, 0), link(1, 2), link(2, 2), link(1, 1, 2)});
  REQUIRE(allocations.size() == 2);
  CHECK(allocations[0].sender == node(1));
  CHECK(allocations[0].receiver == node(9));
  CHECK(allocations[0].stripe_mask == 0b101U);
  CHECK(allocations[1].sender == node(2));
  CHECK(allocations[1].stripe_mask == 0b010U);
  CHECK(last.peers ==
        std::vector<std::pair<NodeId, std::vector<Endpoint>>>{{node(1), {{"192.0.2.1", 7410}}}});
  CHECK(last.handles.size() == 3);
}

TEST_CASE_METHOD(Fixture, "standbys and rescuing gateways are allowed to serve before they must") {
  // given parent 1 for stripe 0, standby 2 for stripe 0, gateway 3
  NodeAssignment a = assignment({link(1, 0)});
  a.standby = {link(1, 0, 2)};
  a.rescue = {{node(3)}, 50, 16};
  std::map<NodeId, NodeRecord> records;
  for (std::uint8_t i = 1; i <= 3; ++i) records[node(i)].endpoints = {{"192.0.2.1", i}};
  const auto nodes = [&](const NodeId& id) { return &records.at(id); };
  const auto issue_all = [&] {
    std::map<NodeId, wire::Allocation> out;
    last = issuer.issue(a, stream, nodes, kNow);
    for (const auto& blob : last.allocations) {
      const auto allocation = media::verify_allocation(blob, key.public_key());
      out[allocation.value().sender] = *allocation;
    }
    return out;
  };
  // when
  const auto granted = issue_all();
  // then
  REQUIRE(granted.size() == 3);
  CHECK(granted.at(node(1)).stripe_mask == 0b0001U);
  CHECK(granted.at(node(2)).stripe_mask == 0b0001U);
  CHECK(granted.at(node(3)).stripe_mask == 0b1111U);
  CHECK(granted.at(node(3)).max_kbps == 6'000);  // the whole track
  CHECK(last.peers.size() == 3);

  // and the standby that takes over, or the gateway that becomes a parent, needs no signature
  a.upstream = {link(1, 0, 2)};
  a.standby = {link(1, 0, 3)};
  CHECK(issue_all().at(node(2)) == granted.at(node(2)));
  CHECK(issuer.signed_total() == 3);
}

TEST_CASE_METHOD(Fixture,
                 "an allocation caps 1.5 times the stripes' rate, for its term and an outage") {
  const auto a = issue({link(1, 0), link(1, 2), link(2, 2)}).at(0);  // 1 + 1 + 0.5 Mbit/s
  CHECK(a.max_kbps == 3'750);
  CHECK(a.max_bytes == 3'750ULL * 125 * (10 + 45) * 60);
  CHECK(a.not_after_ms == kNow + 10 * kMinute);
  CHECK(a.not_before_ms <= kNow);
  CHECK(a.epoch == 20'000);
  CHECK(a.key_id == 3);
  CHECK(a.stream_handle == last.handles.front());
}

TEST_CASE_METHOD(Fixture, "an allocation id is its expiry in seconds and eight random bytes") {
  const auto a = issue({link(1, 0)}).at(0);
  std::uint64_t expiry = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    expiry = expiry << 8 | std::to_integer<std::uint64_t>(a.id.bytes[i]);
  }
  CHECK(expiry == static_cast<std::uint64_t>(a.not_after_ms / 1000));
  CHECK(std::all_of(a.id.bytes.begin() + 8, a.id.bytes.end(),
                    [](std::byte b) { return b == std::byte{1}; }));
}

TEST_CASE_METHOD(Fixture, "a thin or unmeasured track still gets a useful cap") {
  stream.tracks[0].bitrate_bps = 100'000;
  CHECK(issue({link(1, 0)}).at(0).max_kbps == 1'000);
  stream.tracks[0].bitrate_bps = 0;
  CHECK(issue({link(1, 1), link(1, 2), link(1, 3), link(1, 0)}).at(0).max_kbps == 12'000);
}

TEST_CASE_METHOD(Fixture, "a valid allocation that covers the link is given again") {
  const auto first = issue({link(1, 0), link(1, 1)}).at(0);
  CHECK(issue({link(1, 1)}, kNow + 7 * kMinute).at(0) == first);
  CHECK(issuer.signed_total() == 1);
}

TEST_CASE_METHOD(Fixture, "more stripes of the same parent need a new allocation for all of them") {
  const auto first = issue({link(1, 0)}).at(0);
  const auto second = issue({link(1, 3)}).at(0);
  CHECK(second.id != first.id);
  CHECK(second.stripe_mask == 0b1001U);
}

TEST_CASE_METHOD(Fixture, "an allocation is due at 80 % of its term and then signed anew") {
  const auto first = issue({link(1, 0)}).at(0);
  CHECK_FALSE(issuer.has_due(kNow + 8 * kMinute - 1));
  CHECK(issuer.has_due(kNow + 8 * kMinute));
  CHECK(issuer.due(kNow + 8 * kMinute) == std::set{std::pair{node(9), *stream.id}});
  const auto second = issue({link(1, 0)}, kNow + 8 * kMinute).at(0);
  CHECK(second.id != first.id);
  CHECK_FALSE(issuer.has_due(kNow + 8 * kMinute));
}

TEST_CASE_METHOD(Fixture, "nothing is due for a node that left or a link that ended") {
  issue({link(1, 0)});
  issuer.on_disconnected(node(9));
  CHECK_FALSE(issuer.has_due(kNow + 9 * kMinute));
  issue({link(1, 0)});
  issue({});
  CHECK_FALSE(issuer.has_due(kNow + 9 * kMinute));
}

TEST_CASE_METHOD(Fixture, "what a round of renewals did not renew stops being due") {
  issue({link(1, 0)});
  issuer.end_renewal(kNow + 9 * kMinute);
  CHECK_FALSE(issuer.has_due(kNow + 9 * kMinute));
}

TEST_CASE_METHOD(Fixture, "a grant is remembered until its term ends") {
  issue({link(1, 0)});
  CHECK(issuer.has_granted(*stream.id, node(1), node(9)));
  CHECK_FALSE(issuer.has_granted(*stream.id, node(9), node(1)));
  issuer.end_renewal(kNow + 10 * kMinute + 1);
  CHECK_FALSE(issuer.has_granted(*stream.id, node(1), node(9)));
}

TEST_CASE_METHOD(Fixture, "an allocation's epoch and handle go together when today's is unknown") {
  const auto a = issue({link(1, 0)}, kNow + 9 * 24 * 60 * kMinute).at(0);
  CHECK(a.epoch == 20'001);
  CHECK(a.stream_handle == epochs.handle(*stream.id, 20'001));
  CHECK(last.handles == std::vector<StreamHandle>{a.stream_handle});
}

TEST_CASE_METHOD(Fixture, "a receiver that comes back without a stream gets a new allocation") {
  const auto first = issue({link(1, 0)}).at(0);
  issuer.forget(node(9), {*stream.id});
  CHECK(issue({link(1, 0)}).at(0) == first);
  issuer.forget(node(8), {});
  CHECK(issue({link(1, 0)}).at(0) == first);
  issuer.forget(node(9), {});
  CHECK_FALSE(issuer.has_granted(*stream.id, node(1), node(9)));
  CHECK(issue({link(1, 0)}).at(0).id != first.id);
}

TEST_CASE_METHOD(Fixture, "an expired online key signs nothing, what it granted lasts to its end") {
  const auto first = issue({link(1, 0)}, kKeyEnd - 1).at(0);
  CHECK(issue({link(1, 0), link(1, 0, 2)}, kKeyEnd) == std::vector<wire::Allocation>{first});
  CHECK(issue({link(1, 0)}, kKeyEnd + 9 * kMinute) == std::vector<wire::Allocation>{first});
  CHECK(issuer.signed_total() == 1);
}
