#include "common/media/slice.hpp"

#include "common/crypto/hash.hpp"
#include "common/wire/wire_error.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <algorithm>
#include <functional>
#include <string>

namespace tayga::media {
namespace {

using crypto::SigningKey;
using wire::WireErrc;

SliceHeader random_header(test::SeededRandom& random, const SigningKey& key) {
  SliceHeader h;
  h.stream = key.stream_id();
  h.track = TrackId{static_cast<std::uint32_t>(random.next())};
  h.epoch = PublisherEpoch{static_cast<std::uint32_t>(random.next())};
  h.seq = SliceSeq{random.next()};
  h.object = ObjectId{random.next()};
  h.first = random.one_in(2);
  h.last = random.one_in(2);
  h.key_frame = random.one_in(2);
  h.priority = static_cast<Priority>(random.index(4));
  h.kind = static_cast<ObjectKind>(random.index(5));
  h.publisher_time = WallTime{Duration{static_cast<std::int64_t>(random.next() >> 1)}};
  h.length = static_cast<std::uint32_t>(random.between(h.last ? 0 : 1, kSliceSizeMax));
  h.offset = h.first ? 0 : random.between(1, kObjectSizeMax - h.length);
  h.chunk_hashes = hash_chunks(random.bytes(h.length));
  if (h.first) h.path = "a/" + std::string(static_cast<std::size_t>(random.between(1, 510)), 'p');
  return h;
}

/// A correct header to be made wrong one field at a time.
SliceHeader plain_header(const SigningKey& key) {
  SliceHeader h;
  h.stream = key.stream_id();
  h.first = true;
  h.length = 5000;
  h.chunk_hashes = hash_chunks(Bytes(5000));
  h.path = "live/segment1.ts";
  return h;
}

error_code parse_error(ByteView payload) {
  const auto parsed = parse_slice_header(payload);
  return parsed ? error_code{} : parsed.error();
}

TEST_CASE("any slice header is read back as it was signed, and only its key verifies it") {
  TAYGA_SEEDED_RANDOM(random, 71);
  const SigningKey key = SigningKey::generate();
  const SigningKey other = SigningKey::generate();
  for (int i = 0; i < 200; ++i) {
    const SliceHeader header = random_header(random, key);
    const Bytes payload = sign_slice_header(header, key);
    CHECK(payload.size() <= kSliceHeaderSizeMax);
    const auto parsed = parse_slice_header(payload);
    REQUIRE(parsed);
    CHECK(*parsed == header);
    CHECK(verify_slice_header(payload, key.stream_id()));
    CHECK_FALSE(verify_slice_header(payload, other.stream_id()));
  }
}

TEST_CASE("the largest slice header has exactly the size that the limit names") {
  const SigningKey key = SigningKey::generate();
  SliceHeader header = plain_header(key);
  header.length = kSliceSizeMax;
  header.chunk_hashes = hash_chunks(Bytes(kSliceSizeMax));
  header.path = std::string(kPathSizeMax, 'x');
  CHECK(sign_slice_header(header, key).size() == kSliceHeaderSizeMax);
}

TEST_CASE("a bit flipped anywhere in a slice header is caught") {
  const SigningKey key = SigningKey::generate();
  const Bytes payload = sign_slice_header(plain_header(key), key);
  for (std::size_t bit = 0; bit < payload.size() * 8; ++bit) {
    Bytes bad = payload;
    bad[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    const bool accepted = parse_slice_header(bad) && verify_slice_header(bad, key.stream_id());
    CHECK_FALSE(accepted);
  }
}

TEST_CASE("a slice header cut short or continued is refused") {
  const SigningKey key = SigningKey::generate();
  Bytes payload = sign_slice_header(plain_header(key), key);
  for (std::size_t size = 0; size < payload.size(); ++size) {
    const ByteView part = ByteView{payload}.first(size);
    CHECK(parse_error(part) == WireErrc::truncated);
    CHECK_FALSE(verify_slice_header(part, key.stream_id()));
  }
  payload.push_back(std::byte{0});
  CHECK(parse_error(payload) == WireErrc::trailing_bytes);
}

TEST_CASE("unknown versions, flags and kinds and reserved bytes are refused, each by its name") {
  const SigningKey key = SigningKey::generate();
  const Bytes payload = sign_slice_header(plain_header(key), key);
  const auto error_with = [&](std::size_t at, unsigned value) {
    Bytes bad = payload;
    bad[at] = static_cast<std::byte>(value);
    return parse_error(bad);
  };
  CHECK(error_with(0, 'T') == WireErrc::bad_tag);
  CHECK(error_with(15, 1) == WireErrc::bad_tag);
  CHECK(error_with(16, 2) == WireErrc::bad_version);
  CHECK(error_with(17, 2) == WireErrc::bad_version);
  CHECK(error_with(18, 1 | 8) == WireErrc::reserved_not_zero);
  CHECK(error_with(18, 1 | 128) == WireErrc::reserved_not_zero);
  CHECK(error_with(19, 4) == WireErrc::bad_field);
  CHECK(error_with(84, 0x80) == WireErrc::bad_field);  // beyond what a time can be
  CHECK(error_with(98, 5) == WireErrc::bad_field);
  CHECK(error_with(99, 1) == WireErrc::reserved_not_zero);
}

TEST_CASE("fields of a slice header that contradict each other are refused") {
  const SigningKey key = SigningKey::generate();
  const auto error_of = [&](const std::function<void(SliceHeader&)>& change) {
    SliceHeader header = plain_header(key);
    change(header);
    return parse_error(sign_slice_header(header, key));
  };
  const auto empty = [](SliceHeader& h) {
    h.length = 0;
    h.chunk_hashes.clear();
  };
  CHECK(error_of([](SliceHeader&) {}) == error_code{});
  // An object that begins later than at its beginning, or begins without saying so.
  CHECK(error_of([](SliceHeader& h) { h.offset = 1; }) == WireErrc::bad_field);
  CHECK(error_of([](SliceHeader& h) {
          h.first = false;
          h.path.clear();
        }) == WireErrc::bad_field);
  // The path is with the first slice, and only there.
  CHECK(error_of([](SliceHeader& h) { h.path.clear(); }) == WireErrc::bad_field);
  CHECK(error_of([](SliceHeader& h) {
          h.first = false;
          h.offset = 1;
        }) == WireErrc::bad_field);
  CHECK(error_of([](SliceHeader& h) { h.path = "../up"; }) == WireErrc::bad_field);
  // Nothing, but not the end.
  CHECK(error_of(empty) == WireErrc::bad_field);
  CHECK(error_of([&](SliceHeader& h) {
          empty(h);
          h.last = true;
        }) == error_code{});
  // Beyond the largest object.
  const auto at = [](std::uint64_t offset) {
    return [offset](SliceHeader& h) {
      h.first = false;
      h.path.clear();
      h.offset = offset;
    };
  };
  CHECK(error_of(at(kObjectSizeMax - 5000)) == error_code{});
  CHECK(error_of(at(kObjectSizeMax - 4999)) == WireErrc::bad_field);
  CHECK(error_of(at(~std::uint64_t{0})) == WireErrc::bad_field);
}

TEST_CASE("a slice longer than the largest slice is refused") {
  const SigningKey key = SigningKey::generate();
  Bytes payload = sign_slice_header(plain_header(key), key);
  payload[93] = std::byte{1};  // + 65536
  CHECK(parse_error(payload) == WireErrc::bad_field);
}

TEST_CASE("a chunk verifies by its position, size and bytes") {
  TAYGA_SEEDED_RANDOM(random, 72);
  const SigningKey key = SigningKey::generate();
  const Bytes slice = random.bytes(2 * wire::kChunkSize + 100);
  SliceHeader header = plain_header(key);
  header.length = static_cast<std::uint32_t>(slice.size());
  header.chunk_hashes = hash_chunks(slice);
  const auto chunk = [&](std::size_t index) {
    return ByteView{slice}.subspan(index * wire::kChunkSize, header.chunk_size(index));
  };
  REQUIRE(header.chunk_count() == 3);
  CHECK(header.chunk_size(2) == 100);
  for (std::size_t i = 0; i < 3; ++i) CHECK(verify_chunk(header, i, chunk(i)));
  CHECK_FALSE(verify_chunk(header, 0, chunk(1)));
  CHECK_FALSE(verify_chunk(header, 2, chunk(1)));
  CHECK_FALSE(verify_chunk(header, 3, chunk(0)));
  CHECK_FALSE(verify_chunk(header, 0, chunk(0).first(4095)));
  CHECK_FALSE(verify_chunk(header, 0, ByteView{slice}.first(4097)));
  CHECK_FALSE(verify_chunk(header, 0, {}));
  for (int i = 0; i < 500; ++i) {
    Bytes bad{chunk(1).begin(), chunk(1).end()};
    bad[random.index(bad.size())] ^= static_cast<std::byte>(1U << random.index(8));
    CHECK_FALSE(verify_chunk(header, 1, bad));
  }
}

TEST_CASE("a chunk hash is the first 16 bytes of its SHA-256") {
  const Bytes slice(4097);
  const std::vector<ChunkHash> hashes = hash_chunks(slice);
  REQUIRE(hashes.size() == 2);
  CHECK(std::ranges::equal(hashes[0], ByteView{crypto::sha256(Bytes(4096))}.first(16)));
  CHECK(std::ranges::equal(hashes[1], ByteView{crypto::sha256(Bytes(1))}.first(16)));
  CHECK(hash_chunks({}).empty());
}

TEST_CASE("a safe path is relative, normalised and printable") {
  for (const std::string path :
       {"a", "index.m3u8", "720p/seg 1.ts", "a/b/c", "...", ".hidden", "a..b", "\xc3\xa9.ts"}) {
    INFO(path);
    CHECK(is_safe_path(path));
  }
  for (const std::string path : {"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/./b",
                                 "../a", "a/..", "a/../b", "a\\b", "a\nb", "a\x7f", "\x1f"}) {
    INFO(path);
    CHECK_FALSE(is_safe_path(path));
  }
  CHECK_FALSE(is_safe_path(std::string_view{"a\0b", 3}));
  CHECK(is_safe_path(std::string(512, 'a')));
  CHECK_FALSE(is_safe_path(std::string(513, 'a')));
}

}  // namespace
}  // namespace tayga::media
