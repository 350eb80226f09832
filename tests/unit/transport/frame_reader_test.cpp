#include "common/transport/frame_reader.hpp"

#include "common/wire/wire_error.hpp"
#include "tests/support/catch.hpp"

#include <cstdint>
#include <random>
#include <utility>
#include <vector>

namespace tayga::transport {
namespace {

using Frames = std::vector<std::pair<wire::FrameType, Bytes>>;

Bytes bytes_of(std::size_t size, unsigned fill) {
  return Bytes(size, static_cast<std::byte>(fill));
}

/// Feeds `stream` in pieces of `piece` bytes; nullopt when the reader reports an error.
std::optional<Frames> read_in_pieces(FrameReader& reader, ByteView stream, std::size_t piece) {
  Frames frames;
  while (!stream.empty()) {
    ByteView in = stream.first(std::min(piece, stream.size()));
    stream = stream.subspan(in.size());
    for (;;) {
      const auto frame = reader.next(in);
      if (!frame) return std::nullopt;
      if (!*frame) break;
      const ByteView payload = (*frame)->payload;
      frames.emplace_back((*frame)->type, Bytes(payload.begin(), payload.end()));
    }
    REQUIRE(in.empty());
    REQUIRE(reader.buffered() <= wire::kFrameHeaderSize + wire::kPayloadSizeMax);
  }
  return frames;
}

}  // namespace

TEST_CASE("frames come out whole and in order however their bytes are cut") {
  const Frames sent{{wire::FrameType::control, bytes_of(0, 0)},
                    {wire::FrameType::chunk, bytes_of(4096, 1)},
                    {wire::FrameType::control, bytes_of(1, 2)},
                    {wire::FrameType::slice_header, bytes_of(wire::kPayloadSizeMax, 3)},
                    {wire::FrameType::chunk, bytes_of(17, 4)}};
  Bytes stream;
  for (const auto& [type, payload] : sent) {
    const Bytes frame = wire::serialize_frame(type, payload);
    stream.insert(stream.end(), frame.begin(), frame.end());
  }
  for (const std::size_t piece : {1U, 2U, 3U, 5U, 4096U, 16384U, 1000000U}) {
    CAPTURE(piece);
    FrameReader reader;
    CHECK(read_in_pieces(reader, stream, piece) == sent);
    CHECK(reader.buffered() == 0);
  }
}

TEST_CASE("a frame that lies whole in the input is not copied") {
  const Bytes frame = wire::serialize_frame(wire::FrameType::chunk, bytes_of(100, 7));
  FrameReader reader;
  ByteView in{frame};
  const auto got = reader.next(in);
  REQUIRE(got.has_value());
  REQUIRE(got->has_value());
  CHECK((*got)->payload.data() == frame.data() + wire::kFrameHeaderSize);
}

TEST_CASE("an announced size costs nothing until its bytes arrive") {
  const Bytes frame = wire::serialize_frame(wire::FrameType::chunk, bytes_of(60000, 7));
  FrameReader reader;
  ByteView in = ByteView{frame}.first(10);
  const auto got = reader.next(in);
  REQUIRE(got.has_value());
  CHECK_FALSE(got->has_value());
  CHECK(reader.buffered() == 10);
}

TEST_CASE("an unknown type or an oversize payload ends the stream with the reason") {
  const auto error_of = [](std::initializer_list<unsigned> header, std::size_t piece) {
    Bytes stream;
    for (const unsigned byte : header) stream.push_back(static_cast<std::byte>(byte));
    FrameReader reader;
    ByteView all{stream};
    while (!all.empty()) {
      ByteView in = all.first(std::min(piece, all.size()));
      all = all.subspan(in.size());
      const auto got = reader.next(in);
      if (!got) return got.error();
    }
    return error_code{};
  };
  for (const std::size_t piece : {1U, 4U}) {
    CHECK(error_of({0x7f, 0, 0, 1}, piece) == wire::WireErrc::unknown_frame_type);
    CHECK(error_of({0x11, 1, 0, 1}, piece) == wire::WireErrc::payload_too_large);
    CHECK_FALSE(error_of({0x11, 1, 0, 0}, piece));
  }
}

TEST_CASE("random bytes never make the reader hold more than one frame") {
  std::mt19937 random{20240607};
  for (int round = 0; round < 200; ++round) {
    Bytes noise(random() % 5000);
    for (std::byte& b : noise) b = static_cast<std::byte>(random());
    if (!noise.empty()) noise[0] = std::byte{0x11};  // otherwise almost all end at the first byte
    FrameReader reader;
    (void)read_in_pieces(reader, noise, 1 + random() % 700);
  }
}

}  // namespace tayga::transport
