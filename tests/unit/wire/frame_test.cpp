#include "common/wire/frame.hpp"

#include "common/base/encoding.hpp"
#include "common/wire/wire_error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <algorithm>

namespace tayga::wire {
namespace {

error_code frame_error(const std::string& hex) {
  const auto parsed = parse_frame_header(from_hex(hex).value());
  return parsed ? error_code{} : parsed.error();
}

TEST_CASE("a frame header is the type and a 24-bit big-endian size") {
  CHECK(*parse_frame_header(from_hex("01000000").value()) == FrameHeader{FrameType::control, 0});
  CHECK(*parse_frame_header(from_hex("100003a4").value()) ==
        FrameHeader{FrameType::slice_header, 932});
  CHECK(*parse_frame_header(from_hex("11010000").value()) == FrameHeader{FrameType::chunk, 65536});
  CHECK(*parse_frame_header(from_hex("11000001ffffff").value()) ==
        FrameHeader{FrameType::chunk, 1});
}

TEST_CASE("a header that is not whole asks for more, a wrong one is an error") {
  for (const char* hex : {"", "01", "0100", "010000", "ffffff"}) {
    CHECK(frame_error(hex) == WireErrc::need_more);
  }
  for (const char* hex : {"00000000", "02000000", "0f000001", "12000000", "ff000000"}) {
    CHECK(frame_error(hex) == WireErrc::unknown_frame_type);
  }
  for (const char* hex : {"01010001", "10010001", "11ffffff"}) {
    CHECK(frame_error(hex) == WireErrc::payload_too_large);
  }
}

TEST_CASE("a serialised frame is its header followed by its payload") {
  CHECK(to_hex(serialize_frame(FrameType::control, as_bytes("ab"))) == "010000026162");
  CHECK(to_hex(serialize_frame(FrameType::chunk, {})) == "11000000");
  CHECK(serialize_frame(FrameType::control, Bytes(kPayloadSizeMax)).size() == kPayloadSizeMax + 4);
}

TEST_CASE("a chunk frame has the layout of the specification") {
  StreamId stream;
  stream.bytes.fill(std::byte{0xaa});
  const ChunkView chunk{to_stream_tag(stream), TrackId{0x01020304}, SliceSeq{0x1112131415161718},
                        0x2122, as_bytes("xyz")};
  CHECK(to_hex(*serialize_chunk_frame(chunk)) ==
        "1100001b"
        "aaaaaaaaaaaaaaaa"
        "1112131415161718"
        "01020304"
        "2122"
        "0000"
        "78797a");
}

TEST_CASE("any chunk that fits is read back as it was written") {
  TAYGA_SEEDED_RANDOM(random, 41);
  for (int i = 0; i < 300; ++i) {
    const Bytes bytes = random.bytes(static_cast<std::size_t>(random.between(1, kChunkSizeMax)));
    const ChunkView chunk{
        random.id<StreamTag>(), TrackId{static_cast<std::uint32_t>(random.next())},
        SliceSeq{random.next()}, static_cast<std::uint16_t>(random.next()), bytes};
    const SharedBytes frame = serialize_chunk_frame(chunk);
    const auto header = parse_frame_header(*frame);
    REQUIRE(header);
    CHECK(header->payload_size == frame->size() - kFrameHeaderSize);
    const auto parsed = parse_chunk(ByteView{*frame}.subspan(kFrameHeaderSize));
    REQUIRE(parsed);
    CHECK(parsed->stream_tag == chunk.stream_tag);
    CHECK(parsed->track == chunk.track);
    CHECK(parsed->slice_seq == chunk.slice_seq);
    CHECK(parsed->index == chunk.index);
    CHECK(std::ranges::equal(parsed->bytes, bytes));
  }
}

TEST_CASE("a chunk payload that is too short, empty, too long or not canonical is refused") {
  CHECK(parse_chunk(Bytes(23)).error() == WireErrc::truncated);
  CHECK(parse_chunk(Bytes(24)).error() == WireErrc::chunk_empty);
  CHECK(parse_chunk(Bytes(24 + kChunkSizeMax)).has_value());
  CHECK(parse_chunk(Bytes(24 + kChunkSizeMax + 1)).error() == WireErrc::chunk_too_large);
  for (const std::size_t at : {22U, 23U}) {
    Bytes payload(25);
    payload[at] = std::byte{1};
    CHECK(parse_chunk(payload).error() == WireErrc::reserved_not_zero);
  }
}

TEST_CASE("every wire error has a category and a message of its own") {
  std::vector<std::string> messages;
  for (int e = static_cast<int>(WireErrc::need_more);
       e <= static_cast<int>(WireErrc::bad_signature); ++e) {
    const error_code code = make_error_code(static_cast<WireErrc>(e));
    CHECK(std::string{code.category().name()} == "tayga.wire");
    messages.push_back(code.message());
  }
  std::ranges::sort(messages);
  CHECK(std::ranges::adjacent_find(messages) == messages.end());
}

}  // namespace
}  // namespace tayga::wire
