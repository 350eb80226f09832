#include "common/transport/quic/streams.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace tayga::transport::quic {
namespace {

SharedBytes frame_of(std::size_t size, char fill = 'x') {
  return std::make_shared<const Bytes>(size, static_cast<std::byte>(fill));
}

/// The unsent bytes as gather() shows them, up to `room` entries and about `wanted` bytes.
Bytes gathered(const OutStream& stream, std::size_t wanted, std::size_t room = 16) {
  std::vector<ngtcp2_vec> entries(room);
  const std::size_t count = stream.gather(entries, wanted);
  Bytes bytes;
  for (std::size_t i = 0; i < count; ++i) {
    const auto part = std::as_bytes(std::span{entries[i].base, entries[i].len});
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  return bytes;
}

}  // namespace

TEST_CASE("a stream holds a frame until all of it is acknowledged") {
  OutStream stream;
  const SharedBytes first = frame_of(100);
  const SharedBytes second = frame_of(50);
  stream.push(first);
  stream.push(second);
  CHECK(stream.unsent() == 150);
  CHECK(stream.bytes() == 150);

  stream.on_written(120);
  CHECK(stream.unsent() == 30);
  CHECK(stream.bytes() == 150);
  CHECK(stream.on_acknowledged(99) == 0);
  CHECK(first.use_count() == 2);
  CHECK(stream.on_acknowledged(100) == 100);
  CHECK(first.use_count() == 1);

  SECTION("a frame that is not written whole stays, whatever is acknowledged") {
    CHECK(stream.on_acknowledged(120) == 0);
    CHECK(stream.bytes() == 50);
  }
  stream.on_written(30);
  CHECK(stream.on_acknowledged(150) == 50);
  CHECK(stream.idle());
  CHECK(stream.on_acknowledged(150) == 0);  // said again
}

TEST_CASE("a stream goes on where writing stopped, frame by frame") {
  OutStream stream;
  for (const char c : {'a', 'b', 'c'}) stream.push(frame_of(10, c));
  CHECK(as_text(gathered(stream, 1000)) == "aaaaaaaaaabbbbbbbbbbcccccccccc");
  stream.on_written(15);
  CHECK(as_text(gathered(stream, 1000)) == "bbbbbcccccccccc");
  CHECK(as_text(gathered(stream, 1000, 1)) == "bbbbb");  // one entry of room
  CHECK(as_text(gathered(stream, 5)) == "bbbbb");        // enough is enough
  stream.on_written(15);
  CHECK(gathered(stream, 1000).empty());
  CHECK(stream.unsent() == 0);
}

TEST_CASE("a cleared stream holds nothing") {
  OutStream stream;
  const SharedBytes frame = frame_of(100);
  stream.push(frame);
  stream.on_written(10);
  stream.clear();
  CHECK(frame.use_count() == 1);
  CHECK(stream.idle());
  CHECK(stream.unsent() == 0);
  CHECK(gathered(stream, 100).empty());
}

TEST_CASE("whatever the order of pushes, writes and acknowledgements, the bytes go out in order") {
  TAYGA_SEEDED_RANDOM(random, 5);
  OutStream stream;
  Bytes pushed;
  Bytes written;
  std::uint64_t acknowledged = 0;
  for (int i = 0; i < 5000; ++i) {
    switch (random.index(3)) {
      case 0: {
        const Bytes frame = random.bytes(random.between(1, 300));
        pushed.insert(pushed.end(), frame.begin(), frame.end());
        stream.push(make_shared_bytes(frame));
        break;
      }
      case 1: {
        const Bytes next = gathered(stream, random.between(1, 1400));
        const std::size_t take = next.empty() ? 0 : random.between(0, next.size());
        written.insert(written.end(), next.begin(),
                       next.begin() + static_cast<std::ptrdiff_t>(take));
        stream.on_written(take);
        break;
      }
      case 2:
        acknowledged = random.between(acknowledged, written.size());
        (void)stream.on_acknowledged(acknowledged);
        break;
    }
    REQUIRE(stream.unsent() == pushed.size() - written.size());
    REQUIRE(stream.bytes() >= pushed.size() - acknowledged);
    REQUIRE(stream.bytes() <= pushed.size() - acknowledged + 300);
  }
  CHECK(std::equal(written.begin(), written.end(), pushed.begin()));
}

}  // namespace tayga::transport::quic
