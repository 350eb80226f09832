#include "common/crypto/hash.hpp"

#include "common/base/encoding.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <array>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace tayga::crypto {
namespace {

constexpr std::string_view kAbcDigest =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST_CASE("SHA-256 gives the digests of FIPS 180-4") {
  CHECK(to_hex(sha256({})) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(to_hex(sha256(as_bytes("abc"))) == kAbcDigest);
  CHECK(to_hex(sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(to_hex(sha256(as_bytes(std::string(1'000'000, 'a')))) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("an incremental SHA-256 equals the one-shot one however the bytes are cut") {
  TAYGA_SEEDED_RANDOM(random, 21);
  for (int round = 0; round < 50; ++round) {
    const Bytes data = random.bytes(random.index(5000));
    Sha256 hash;
    for (ByteView rest{data}; !rest.empty();) {
      const auto size = static_cast<std::size_t>(random.between(1, rest.size()));
      hash.update(rest.first(size));
      rest = rest.subspan(size);
    }
    CHECK(hash.finish() == sha256(data));
  }
}

TEST_CASE("an incremental SHA-256 starts over after finish, and moves") {
  Sha256 hash;
  hash.update(as_bytes("something"));
  (void)hash.finish();
  hash.update(as_bytes("a"));
  Sha256 moved = std::move(hash);
  moved.update(as_bytes("bc"));
  CHECK(to_hex(moved.finish()) == kAbcDigest);
}

TEST_CASE("SHA-256 works on several threads at once") {
  std::array<bool, 4> equal{};
  std::vector<std::thread> threads;
  for (bool& result : equal) {
    threads.emplace_back([&result] {
      result = true;
      for (int i = 0; i < 200; ++i) {
        result = result && to_hex(sha256(as_bytes("abc"))) == kAbcDigest;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(equal == std::array<bool, 4>{true, true, true, true});
}

TEST_CASE("a stream handle is BLAKE2b-128 of the stream id, keyed with the epoch secret") {
  // From Python: hashlib.blake2b(bytes(range(32)), digest_size=16, key=bytes(range(32, 64)))
  StreamId stream;
  std::array<std::byte, 32> secret;
  for (std::size_t i = 0; i < 32; ++i) {
    stream.bytes[i] = static_cast<std::byte>(i);
    secret[i] = static_cast<std::byte>(i + 32);
  }
  CHECK(to_hex(stream_handle(stream, secret).view()) == "51a83b1b5f7c752626682cc505eeb7a0");
  secret[31] ^= std::byte{1};
  CHECK(to_hex(stream_handle(stream, secret).view()) != "51a83b1b5f7c752626682cc505eeb7a0");
}

TEST_CASE("constant-time comparison compares contents and sizes") {
  CHECK(equal_constant_time({}, {}));
  CHECK(equal_constant_time(as_bytes("token"), as_bytes("token")));
  CHECK_FALSE(equal_constant_time(as_bytes("token"), as_bytes("toker")));
  CHECK_FALSE(equal_constant_time(as_bytes("token"), as_bytes("token2")));
  CHECK_FALSE(equal_constant_time(as_bytes("token"), {}));
}

TEST_CASE("random bytes fill all of the output and never repeat") {
  std::array<std::byte, 64> first{};
  std::array<std::byte, 64> second{};
  random_bytes(first);
  random_bytes(second);
  CHECK(first != second);
  CHECK(first != std::array<std::byte, 64>{});
  random_bytes({});
}

}  // namespace
}  // namespace tayga::crypto
