#include "common/transport/quic/frame_tally.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <initializer_list>

namespace tayga::transport::quic {
namespace {

FrameTally tally(ByteView payload) {
  FrameTally result;
  result.add(payload);
  return result;
}

Bytes make_bytes(std::initializer_list<int> values, std::size_t then_zeros = 0) {
  Bytes result;
  for (const int value : values) result.push_back(static_cast<std::byte>(value));
  result.resize(result.size() + then_zeros);
  return result;
}

}  // namespace

TEST_CASE("frames are counted by what they ask for") {
  CHECK(tally({}) == FrameTally{});
  CHECK(tally(Bytes(1200)) == FrameTally{});  // PADDING
  CHECK(tally(make_bytes({1, 1, 0, 1})).others == 3);
  CHECK(tally(make_bytes({0x02, 5, 0, 0, 5})).acks == 1);
  CHECK(tally(make_bytes({0x02, 0x40, 100, 0, 2, 5, 1, 1, 2, 2, 0x03, 5, 0, 0, 5, 1, 1, 1})).acks ==
        2);
  CHECK(tally(make_bytes({0x06, 0, 3, 9, 9, 9, 1})) == FrameTally{.crypto = 1, .others = 1});
  CHECK(tally(make_bytes({0x1a, 1, 2, 3, 4, 5, 6, 7, 8, 0x1b, 1, 2, 3, 4, 5, 6, 7, 8})) ==
        FrameTally{.path_probes = 1, .others = 1});
  CHECK(tally(make_bytes({0x19, 3, 0x18, 7, 0, 2, 1, 1}, 16)) == FrameTally{.connection_ids = 2});
  CHECK(tally(make_bytes({0x04, 1, 2,    3, 0x05, 1,    2, 0x10, 9, 0x11, 4,    9, 0x12, 9, 0x13, 9,
                          0x14, 9, 0x15, 4, 9,    0x16, 9, 0x17, 9, 0x1e, 0x07, 1, 5}))
            .others == 10);
  CHECK(tally(make_bytes({0x04, 1, 2, 3, 0x05, 1, 2})) == FrameTally{.resets = 2});
}

TEST_CASE("data is counted by its bytes, and apart where it is little") {
  // STREAM with offset and length, then one that goes to the end of the packet.
  const Bytes two = make_bytes({0x0e, 3, 0x40, 100, 2, 7, 7, 0x08, 7}, 200);
  CHECK(tally(two) == FrameTally{.data_bytes = 202, .data_frames = 2, .small_data = 1});
  CHECK(tally(make_bytes({0x0a, 3, 0, 0x0b, 3, 0})) ==
        FrameTally{.data_bytes = 0, .data_frames = 2, .small_data = 2});
  CHECK(tally(make_bytes({0x0a, 3, 0x40, 64}, 64)).small_data == 0);
}

TEST_CASE("a payload that ends within a frame, or says nonsense, is read up to there") {
  CHECK(tally(make_bytes({1, 0x0a, 3, 10, 1})) == FrameTally{.others = 1});
  CHECK(tally(make_bytes({1, 0x02, 5, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})) ==
        FrameTally{.others = 1});
  CHECK(tally(make_bytes({1, 0x06, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})) ==
        FrameTally{.others = 1});
  CHECK(tally(make_bytes({1, 0x30, 1, 1})) == FrameTally{.others = 1});
  CHECK(tally(make_bytes({1, 0x1c, 1, 1, 0})) == FrameTally{.others = 1});
  TAYGA_SEEDED_RANDOM(random, 2);
  for (int i = 0; i < 20'000; ++i) {
    const Bytes noise = random.bytes(random.index(100));
    const FrameTally counted = tally(noise);
    REQUIRE(counted.data_bytes + counted.data_frames + counted.acks + counted.crypto +
                counted.connection_ids + counted.path_probes + counted.others <=
            2 * noise.size());
  }
}

}  // namespace tayga::transport::quic
