#include "common/transport/quic/connection.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/quic_net.hpp"
#include "tests/support/seeded_random.hpp"

#include <algorithm>
#include <numeric>

namespace tayga::transport::quic {
namespace {

using test::LinkShape;
using test::numbered_control;
using test::numbered_media;
using test::numbers_of;
using test::QuicPair;
using test::QuicRecorder;
using wire::FrameType;

std::vector<std::uint32_t> first_numbers(std::size_t count) {
  std::vector<std::uint32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0U);
  return numbers;
}

/// Both ways: `count` media frames of many sizes on `flows` flows, and some control frames.
void exchange(QuicPair& pair, std::uint32_t count, std::uint32_t flows, Duration limit) {
  constexpr std::uint32_t kControl = 50;
  pair.start();
  for (std::uint32_t i = 0; i < count; ++i) {
    pair.near_events.media.push_back(numbered_media(i, 4 + (i * 7919) % 8192, i % flows));
    pair.far_events.media.push_back(numbered_media(i, 4 + (i * 104'729) % 20'000, i % flows));
  }
  pair.near->notify_media();
  pair.far->notify_media();
  for (std::uint32_t i = 0; i < kControl; ++i) {
    pair.near->send_control(numbered_control(i));
    pair.far->send_control(numbered_control(i));
    pair.net.run_for(7ms);
  }
  const auto complete = [&](const QuicRecorder& events) {
    return events.frames.size() == count + kControl;
  };
  const bool done = pair.net.run_until(
      [&] {
        return (complete(pair.near_events) && complete(pair.far_events)) ||
               pair.near_events.closed || pair.far_events.closed;
      },
      limit);
  const auto why = [](const QuicRecorder& events) {
    return events.closed ? events.closed->detail : std::string{"open"};
  };
  CAPTURE(done, pair.near_events.frames.size(), pair.far_events.frames.size());
  CAPTURE(why(pair.near_events), why(pair.far_events));
  REQUIRE(complete(pair.near_events));
  REQUIRE(complete(pair.far_events));
  for (const QuicRecorder* events : {&pair.near_events, &pair.far_events}) {
    CHECK(numbers_of(*events, FrameType::control) == first_numbers(kControl));
    std::vector<std::uint32_t> media = numbers_of(*events, FrameType::chunk);
    for (std::uint32_t flow = 0; flow < flows; ++flow) {
      std::vector<std::uint32_t> of_flow;
      std::copy_if(media.begin(), media.end(), std::back_inserter(of_flow),
                   [&](std::uint32_t number) { return number % flows == flow; });
      CHECK(std::is_sorted(of_flow.begin(), of_flow.end()));
    }
    std::sort(media.begin(), media.end());
    CHECK(media == first_numbers(count));
  }
}

}  // namespace

TEST_CASE("two tables make a session: both ends know the other's proven key") {
  QuicPair pair;
  REQUIRE(pair.connect());
  CHECK(pair.near->peer() == pair.server.id());
  CHECK(pair.far->peer() == pair.client.id());
  CHECK(pair.near->side() == Side::dialer);
  CHECK(pair.far->side() == Side::acceptor);
  CHECK(pair.client.table->session_count() == 1);
  CHECK(pair.server.table->session_count() == 1);
  CHECK(pair.server.table->half_open() == 0);
  CHECK_FALSE(pair.near->resumed());
}

TEST_CASE("frames arrive whole and in order over a clean link") {
  QuicPair pair;
  REQUIRE(pair.connect());
  exchange(pair, 1000, 1, 30s);
  CHECK(pair.near->stats().queued_bytes == 0);
  CHECK(pair.near->stats().media_frames_out == 1000);
  CHECK(pair.near->stats().smoothed_rtt >= 20ms);
  CHECK(pair.near->stats().smoothed_rtt <= 50ms);
}

TEST_CASE("frames arrive whole and in order over a link that loses, swaps, repeats and corrupts") {
  TAYGA_SEEDED_RANDOM(random, 1);
  for (int round = 0; round < 4; ++round) {
    LinkShape bad;
    bad.delay = 25ms;
    bad.jitter = 5ms;
    bad.loss = 0.05;
    bad.reorder = 0.05;
    bad.duplicate = 0.05;
    bad.corrupt = 0.02;
    QuicPair pair{{}, bad, random.next()};
    REQUIRE(pair.connect(30s));
    exchange(pair, 500, 1U + static_cast<std::uint32_t>(round) * 3U, 120s);
  }
}

TEST_CASE("a fast transfer over a long link with loss is no flood") {
  LinkShape link;
  link.delay = 50ms;
  link.loss = 0.02;
  link.rate_bps = 400'000'000;
  QuicPair pair{{}, link};
  REQUIRE(pair.connect());
  pair.start();
  constexpr std::uint32_t kCount = 8000;  // 32 MB each way
  for (std::uint32_t i = 0; i < kCount; ++i) {
    pair.near_events.media.push_back(numbered_media(i));
    pair.far_events.media.push_back(numbered_media(i));
  }
  pair.near->notify_media();
  pair.far->notify_media();
  CHECK(pair.net.run_until(
      [&] {
        return pair.near_events.frames.size() == kCount && pair.far_events.frames.size() == kCount;
      },
      120s));
  CHECK_FALSE(pair.near_events.closed);
  CHECK_FALSE(pair.far_events.closed);
}

TEST_CASE("more flows than streams take each other's over, and nothing is lost or cut") {
  QuicPair pair;
  REQUIRE(pair.connect());
  exchange(pair, 2000, 200, 60s);
}

TEST_CASE("close sends what is queued as control, then both sides learn that it was in order") {
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.start();
  for (std::uint32_t i = 0; i < 200; ++i) pair.near->send_control(numbered_control(i));
  pair.near->close("done");
  pair.near->send_control(numbered_control(999));  // too late
  CHECK_FALSE(pair.near_events.closed);
  REQUIRE(pair.net.run_until([&] { return pair.near_events.closed && pair.far_events.closed; }));
  CHECK(numbers_of(pair.far_events, FrameType::control) == first_numbers(200));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::local);
  CHECK(pair.near_events.closed->detail == "done");
  CHECK(pair.far_events.closed->reason == CloseInfo::Reason::remote);
  CHECK(pair.far_events.closed->detail == "done");
  CHECK(pair.client.table->size() == 0);
  CHECK(pair.server.table->size() == 0);
  CHECK(pair.server.table->session_count() == 0);
}

TEST_CASE("close ends within its bound when the peer is gone") {
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.start();
  pair.net.filter = [](const auto&) { return false; };
  pair.near->send_control(numbered_control(0));
  pair.near->close("bye");
  REQUIRE(pair.net.run_until([&] { return pair.near_events.closed.has_value(); }, 1s));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::local);
}

TEST_CASE("a farewell that was lost is said again while the peer goes on") {
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.start();
  bool lose = true;
  pair.net.filter = [&](const auto& packet) {
    return !(lose && packet.from == pair.client.address);
  };
  pair.near->abandon();
  pair.net.run_for(50ms);
  lose = false;
  CHECK_FALSE(pair.far_events.closed);
  pair.far->send_control(numbered_control(0));
  REQUIRE(pair.net.run_until([&] { return pair.far_events.closed.has_value(); }, 1s));
  CHECK(pair.far_events.closed->reason == CloseInfo::Reason::reset);
}

TEST_CASE("a session that is abandoned calls nobody and reads as a reset on the other side") {
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.start();
  pair.far->abandon();
  REQUIRE(pair.net.run_until([&] { return pair.near_events.closed.has_value(); }, 1s));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::reset);
  CHECK_FALSE(pair.far_events.closed);
}

TEST_CASE("a quiet session is kept alive for as long as both ends live") {
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.start();
  pair.net.run_for(120s);
  CHECK_FALSE(pair.near_events.closed);
  pair.near->send_control(numbered_control(1));
  CHECK(pair.net.run_until([&] { return pair.far_events.frames.size() == 1; }, 1s));
}

TEST_CASE("a session whose peer vanished ends as idle after idle_max") {
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.start();
  pair.net.run_for(3s);
  pair.net.filter = [](const auto&) { return false; };
  const TimePoint silence = pair.net.now();
  REQUIRE(pair.net.run_until([&] { return pair.near_events.closed && pair.far_events.closed; }));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::idle);
  CHECK(pair.far_events.closed->reason == CloseInfo::Reason::idle);
  CHECK(pair.net.now() - silence <= kSessionIdleMax + 1s);
  CHECK(pair.client.table->size() == 0);
}

TEST_CASE("packets that nobody proved to be the peer's do not keep a session alive, nor end it") {
  TAYGA_SEEDED_RANDOM(random, 4);
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.start();
  const auto garbage = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      Bytes packet = random.bytes(random.between(30, 1400));
      packet[0] = (packet[0] & std::byte{0x3f}) | std::byte{0x40};
      // To an id of the session, or to none, from the peer's address.
      if (i % 2 == 0) {
        const ConnectionId& id = pair.far->ids().front();
        std::memcpy(packet.data() + 1, id.bytes.data(), id.size);
      }
      pair.net.inject(pair.server, pair.client.address, packet);
    }
  };
  SECTION("a flood of them does not end it") {
    for (int i = 0; i < 20; ++i) {
      garbage(1000);
      pair.net.run_for(20ms);
    }
    CHECK_FALSE(pair.far_events.closed);
    pair.near->send_control(numbered_control(1));
    CHECK(pair.net.run_until([&] { return pair.far_events.frames.size() == 1; }, 1s));
  }
  SECTION("they do not hide that the peer is gone") {
    pair.net.filter = [](const auto&) { return false; };
    const TimePoint silence = pair.net.now();
    while (!pair.far_events.closed && pair.net.now() - silence < 60s) {
      garbage(10);
      pair.net.run_for(500ms);
    }
    REQUIRE(pair.far_events.closed);
    CHECK(pair.far_events.closed->reason == CloseInfo::Reason::idle);
    CHECK(pair.net.now() - silence <= kSessionIdleMax + 1s);
  }
}

TEST_CASE("a peer that acknowledges nothing of what waits for it is closed after stall_max") {
  ConnectionTable::Options options;
  options.connection.stall_max = 4s;
  QuicPair pair{options};
  REQUIRE(pair.connect());
  pair.near->start(pair.near_events);  // the far side never reads
  for (std::uint32_t i = 0; i < 4000; ++i) pair.near_events.media.push_back(numbered_media(i));
  pair.near->notify_media();
  const TimePoint began = pair.net.now();
  REQUIRE(pair.net.run_until([&] { return pair.near_events.closed.has_value(); }));
  CHECK(pair.near_events.closed->reason == CloseInfo::Reason::stalled);
  CHECK(pair.net.now() - began >= 4s);
  CHECK(pair.net.now() - began <= 6s);
}

TEST_CASE("what is written and not acknowledged is bounded, the rest stays with its owner") {
  ConnectionTable::Options options;
  QuicPair pair{options};
  REQUIRE(pair.connect());
  pair.start();
  for (std::uint32_t i = 0; i < 8000; ++i) pair.near_events.media.push_back(numbered_media(i));
  pair.net.filter = [&](const auto& packet) { return packet.from != pair.server.address; };
  pair.near->notify_media();
  pair.net.run_for(2s);
  const std::size_t pulled = pair.near_events.pulled;
  CHECK(pulled > 0);
  CHECK(pulled * 4096 <= 2 * 1024 * 1024 + 64 * 1024);
  pair.net.filter = nullptr;
  CHECK(pair.net.run_until([&] { return pair.far_events.frames.size() == 8000; }, 60s));
}

TEST_CASE("a dial that nobody answers ends as idle after handshake_timeout, and leaves nothing") {
  ConnectionTable::Options options;
  options.connection.handshake_timeout = 3s;
  QuicPair pair{options};
  pair.net.filter = [&](const auto& packet) { return packet.from != pair.server.address; };
  const TimePoint began = pair.net.now();
  const auto connection = pair.client.dial(pair.server);
  REQUIRE(pair.net.run_until([&] { return connection->is_finished(); }));
  CHECK(connection->close_info().reason == CloseInfo::Reason::idle);
  CHECK(pair.net.now() - began >= 3s);
  CHECK(pair.net.now() - began <= 4s);
  CHECK(pair.client.ended_dials == std::vector<Connection*>{connection.get()});
  CHECK(pair.client.table->size() == 0);
  pair.net.run_for(4s);
  CHECK(pair.server.table->size() == 0);
  CHECK(pair.server.table->half_open() == 0);
}

TEST_CASE("a peer with another key than the expected one fails the dial, and accepts nobody") {
  QuicPair pair;
  const auto stranger = crypto::SigningKey::generate();
  const auto connection = pair.client.dial(pair.server.address, stranger.node_id());
  REQUIRE(pair.net.run_until([&] { return connection->is_finished(); }));
  CHECK(connection->failed_by_wrong_peer());
  pair.net.run_for(10s);
  CHECK(pair.server.accepted.empty());
  CHECK(pair.server.table->half_open() == 0);
  CHECK(pair.server.table->size() == 0);
}

TEST_CASE("a session that ended before its owner started it says so when it is started") {
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.near->start(pair.near_events);
  pair.near->close("not you");
  REQUIRE(pair.net.run_until([&] { return pair.far->is_finished(); }));
  pair.far->start(pair.far_events);
  CHECK_FALSE(pair.far_events.closed);  // not from inside the call
  REQUIRE(pair.net.run_until([&] { return pair.far_events.closed.has_value(); }, 1s));
  CHECK(pair.far_events.closed->reason == CloseInfo::Reason::remote);
  CHECK(pair.far_events.closed->detail == "not you");
}

TEST_CASE("keys change as often as they must, and frames go on under the new ones") {
  ConnectionTable::Options options;
  options.connection.key_update_packets = 40;
  LinkShape link;
  link.delay = 5ms;
  link.loss = 0.02;
  link.reorder = 0.02;
  QuicPair pair{options, link};
  REQUIRE(pair.connect());
  exchange(pair, 2000, 2, 120s);
}

TEST_CASE("a sink that is full stops all writing; when it is not, all goes on") {
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.start();
  pair.client.kernel_full = true;
  for (std::uint32_t i = 0; i < 100; ++i) pair.near_events.media.push_back(numbered_media(i));
  pair.near->notify_media();
  pair.near->send_control(numbered_control(0));
  pair.net.run_for(500ms);
  CHECK(pair.far_events.frames.empty());
  CHECK(pair.near_events.pulled * 4096 < 64 * 1024);
  pair.client.kernel_full = false;
  CHECK(pair.net.run_until([&] { return pair.far_events.frames.size() == 101; }));
}

TEST_CASE("the handler may drop its session from inside any call") {
  QuicPair pair;
  REQUIRE(pair.connect());
  pair.start();
  for (std::uint32_t i = 0; i < 10; ++i) pair.near->send_control(numbered_control(i));
  const auto drop = [&] {
    if (pair.far) std::exchange(pair.far, nullptr)->abandon();
    pair.server.accepted.clear();
  };
  SECTION("from on_frame") {
    pair.far_events.then_on_frame = drop;
    pair.net.run_for(1s);
    CHECK(pair.far_events.frames.size() == 1);
  }
  SECTION("from next_media") {
    pair.far_events.then_on_pull = drop;
    pair.far->notify_media();
    pair.net.run_for(1s);
  }
  SECTION("from on_closed") {
    pair.far_events.then_on_closed = drop;
    pair.near->close("bye");
    pair.net.run_for(1s);
  }
  CHECK_FALSE(pair.far);
  CHECK(pair.server.table->size() == 0);
  CHECK(pair.near_events.closed);
}

}  // namespace tayga::transport::quic
