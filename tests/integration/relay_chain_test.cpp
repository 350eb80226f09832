#include "tests/support/catch.hpp"
#include "tests/support/scripted_peer.hpp"
#include "tests/support/test_network.hpp"

#include <boost/asio/io_context.hpp>

namespace tayga::test {
namespace {

using boost::asio::io_context;

constexpr std::size_t kSegmentSize = 200'000;

TEST_CASE("a chain of three relays delivers every object byte for byte over real sockets") {
  const unsigned stripes = GENERATE(1U, 4U);
  CAPTURE(stripes);
  io_context io;
  TestNetwork network{stripes};
  TestNode gateway{io, network};
  TestNode first{io, network};
  TestNode second{io, network};
  TestNode viewer{io, network};
  TestPublisher publisher{gateway, network, 1};
  first.follow({&gateway});
  second.follow({&first});
  viewer.play();
  viewer.follow({&second});

  for (int i = 0; i < 10; ++i) {
    publisher.publish(kSegmentSize);
    REQUIRE(run_until(io, 10s, [&] { return viewer.played() == publisher.published(); }));
  }
  CHECK(viewer.lost().empty());
  CHECK(gateway.relay().children(peers::RelayDriver::now().mono).size() == 1);
}

TEST_CASE("a late joiner gets the newest segments from its parent's cache") {
  io_context io;
  TestNetwork network{4};
  TestNode gateway{io, network};
  TestNode relay{io, network};
  TestNode viewer{io, network};
  TestPublisher publisher{gateway, network, 2};
  relay.follow({&gateway});
  REQUIRE(run_until(io, 10s, [&] { return !relay.driver().peers().empty(); }));
  for (int i = 0; i < 8; ++i) publisher.publish(kSegmentSize);
  REQUIRE(run_until(io, 10s,
                    [&] { return relay.relay().counters().payload_bytes_in == 8 * kSegmentSize; }));

  viewer.play();
  viewer.follow({&relay});

  REQUIRE(run_until(io, 10s, [&] { return viewer.played().size() == 4; }));
  const auto played = viewer.played();
  for (const char* path : {"seg_4.ts", "seg_5.ts", "seg_6.ts", "seg_7.ts"}) {
    REQUIRE(played.contains(path));
    CHECK(played.at(path) == publisher.published().at(path));
  }
}

TEST_CASE("a relay that flips one bit in a hundredth of its chunks is dropped within two seconds") {
  io_context io;
  TestNetwork network{1};
  ScriptedPeer tamperer{io, network};
  TestNode relay{io, network};
  TestNode viewer{io, network};
  tamperer.listen();
  media::Slicer slicer{network.stream_key(), kTestTrack, PublisherEpoch{1'800'000'000}};
  std::uint64_t seed = 3;
  std::map<std::string, crypto::Sha256Digest> truth;
  unsigned chunk_count = 0;
  std::optional<TimePoint> first_bad;
  std::vector<SharedBytes> frames;
  for (int i = 0; i < 20; ++i) {
    const std::string path = "seg_" + std::to_string(i) + ".ts";
    const Bytes bytes = seeded_bytes(seed, kSegmentSize);
    truth[path] = crypto::sha256(bytes);
    for (const media::SignedSlice& slice : TestPublisher::slices_of(slicer, path, bytes)) {
      frames.push_back(slice.header_frame);
      for (const SharedBytes& chunk : slice.chunk_frames) {
        if (++chunk_count % 100 != 0) {
          frames.push_back(chunk);
          continue;
        }
        Bytes altered = *chunk;
        altered.back() ^= std::byte{0x10};
        frames.push_back(make_shared_bytes(altered));
      }
    }
  }
  tamperer.on_message = [&](const relay::PeerMessage& message) {
    const auto* subscribe = std::get_if<relay::Subscribe>(&message);
    if (!subscribe) return;
    tamperer.send(relay::SubscribeOk{subscribe->stream, subscribe->track, subscribe->stripes});
    first_bad = peers::RelayDriver::now().mono;
    for (const SharedBytes& frame : frames) tamperer.send_media(frame);
  };
  viewer.play();
  viewer.follow({&relay});
  relay.play();
  relay.follow({{tamperer.id(), tamperer.endpoint()}}, {tamperer.id()});

  REQUIRE(run_until(io, 5s, [&] { return tamperer.closed().has_value(); }));

  CHECK(peers::RelayDriver::now().mono - *first_bad < Duration{2s});
  REQUIRE(relay.tampered().size() == 1);
  const auto& evidence = relay.tampered().front();
  CHECK(evidence.sender == tamperer.id());
  // Anybody can check the evidence: the header is signed, the chunk does not match it.
  const auto header = media::parse_slice_header(evidence.slice_header);
  REQUIRE(header);
  CHECK(media::verify_slice_header(evidence.slice_header, network.stream()));
  const auto chunk = wire::parse_chunk(evidence.chunk);
  REQUIRE(chunk);
  CHECK_FALSE(media::verify_chunk(*header, chunk->index, chunk->bytes));
  REQUIRE(relay.lost().size() == 1);
  CHECK(relay.lost().front().reason == relay::LossReason::tampered);
  // What came before the first bad chunk travels on; nothing bad is stored or forwarded.
  run_until(io, 300ms, [] { return false; });
  CHECK(viewer.tampered().empty());
  CHECK(viewer.relay().counters().chunks_bad == 0);
  for (TestNode* node : {&relay, &viewer}) {
    for (const auto& [path, digest] : node->played()) CHECK(truth.at(path) == digest);
  }
}

TEST_CASE("a parent that proves another key than its assignment names is refused") {
  io_context io;
  TestNetwork network{1};
  TestNode impostor{io, network};
  TestNode viewer{io, network};
  const NodeId expected = crypto::SigningKey::generate().node_id();
  viewer.play();

  viewer.follow({{expected, impostor.endpoint()}}, {expected});

  REQUIRE(run_until(io, 5s, [&] { return !viewer.lost().empty(); }));
  CHECK(viewer.lost().front().reason == relay::LossReason::connect_failed);
  CHECK(viewer.lost().front().parent == expected);
  CHECK(viewer.driver().peers().empty());
}

TEST_CASE("a child without a valid allocation is refused") {
  io_context io;
  TestNetwork network{1};
  TestNode gateway{io, network};
  TestPublisher publisher{gateway, network, 4};
  publisher.publish(kSegmentSize);
  ScriptedPeer child{io, network};
  std::vector<relay::RefuseReason> refusals;
  child.on_message = [&](const relay::PeerMessage& message) {
    if (const auto* refused = std::get_if<relay::SubscribeRefused>(&message)) {
      refusals.push_back(refused->reason);
    }
  };
  child.dial(gateway);
  REQUIRE(run_until(io, 5s, [&] { return child.connected(); }));
  relay::Subscribe subscribe;
  subscribe.stream = network.stream();
  subscribe.track = kTestTrack;
  subscribe.stripes = 1;
  subscribe.allocation = network.allocation(gateway.id(), gateway.id());  // another receiver

  child.send(subscribe);

  REQUIRE(run_until(io, 5s, [&] { return !refusals.empty(); }));
  CHECK(refusals.front() == relay::RefuseReason::bad_allocation);
  CHECK(child.chunks_received() == 0);
}

TEST_CASE("viewers continue without a hole when their relay dies in the middle of a stream") {
  const unsigned stripes = GENERATE(1U, 4U);
  CAPTURE(stripes);
  io_context io;
  TestNetwork network{stripes};
  TestNode gateway{io, network};
  TestNode relay{io, network};
  TestNode viewer{io, network};
  TestPublisher publisher{gateway, network, 5};
  relay.follow({&gateway});
  viewer.play();
  viewer.follow({&relay});
  viewer.on_lost = [&](const relay::Relay::ParentLost& lost) {
    if (lost.parent == relay.id()) viewer.follow({&gateway});
  };
  for (int i = 0; i < 3; ++i) publisher.publish(kSegmentSize);
  REQUIRE(run_until(io, 10s, [&] { return viewer.played().size() == 3; }));

  publisher.publish(kSegmentSize);
  REQUIRE(run_until(io, 10s, [&] {  // in the middle: some bytes of the fourth are there
    return viewer.relay().counters().payload_bytes_in > 3 * kSegmentSize;
  }));
  relay.kill();
  publisher.publish(kSegmentSize);

  CHECK(run_until(io, 10s, [&] { return viewer.played() == publisher.published(); }));
  REQUIRE_FALSE(viewer.lost().empty());
}

TEST_CASE("two nodes that are each other's parent dial at once and lose nothing") {
  for (int round = 0; round < 10; ++round) {  // which id is the lower one is chance
    io_context io;
    TestNetwork network{2};
    TestNode gateway{io, network};
    TestNode left{io, network};
    TestNode right{io, network};
    TestPublisher publisher{gateway, network, 7};
    left.play();
    right.play();
    left.follow({&right, &gateway});
    right.follow({&gateway, &left});
    for (int i = 0; i < 3; ++i) publisher.publish(kSegmentSize);

    REQUIRE(run_until(io, 10s, [&] {
      return left.played() == publisher.published() && right.played() == publisher.published();
    }));
    CHECK(left.lost().empty());
    CHECK(right.lost().empty());
  }
}

TEST_CASE("a child that takes nothing loses its oldest objects and slows nobody") {
  io_context io;
  TestNetwork network{1};
  relay::RelayLimits limits = patient_limits();
  limits.child_queue_bytes = 1 << 20;
  TestNode gateway{io, network, limits};
  TestNode viewer{io, network};
  TestPublisher publisher{gateway, network, 6};
  io_context slow_io;  // not turned after the subscription: its process hangs, its sockets live
  ScriptedPeer slow{slow_io, network};
  slow.dial(gateway);
  REQUIRE(run_until(io, 5s, [&] {
    slow_io.poll();
    return slow.connected();
  }));
  relay::Subscribe subscribe;
  subscribe.stream = network.stream();
  subscribe.track = kTestTrack;
  subscribe.stripes = 1;
  subscribe.allocation = network.allocation(gateway.id(), slow.id());
  slow.send(subscribe);
  viewer.play();
  viewer.follow({&gateway});
  REQUIRE(run_until(io, 5s, [&] {
    slow_io.poll();
    return gateway.relay().children(peers::RelayDriver::now().mono).size() == 2;
  }));

  for (int i = 0; i < 60; ++i) {
    publisher.publish(kSegmentSize);
    REQUIRE(
        run_until(io, 5s, [&] { return viewer.played().size() == publisher.published().size(); }));
  }

  CHECK(viewer.played() == publisher.published());
  for (const relay::ChildStatus& child : gateway.relay().children(peers::RelayDriver::now().mono)) {
    CHECK(child.queued_bytes <= limits.child_queue_bytes + media::kSliceSizeMax);
    if (child.child == slow.id()) CHECK(child.dropped_bytes > 0);
    if (child.child == viewer.id()) CHECK(child.dropped_bytes == 0);
  }
}

}  // namespace
}  // namespace tayga::test
