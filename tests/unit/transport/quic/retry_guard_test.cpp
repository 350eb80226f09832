#include "common/transport/quic/retry_guard.hpp"

#include "common/transport/quic/connection_id.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seeded_random.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace tayga::transport::quic {
namespace {

constexpr TimePoint kNow{1000s};

ngtcp2_cid make_cid(std::uint64_t number) {
  ngtcp2_cid cid{};
  cid.datalen = kConnectionIdSize;
  std::memcpy(cid.data, &number, sizeof number);
  return cid;
}

UdpAddress address(const std::string& text) {
  return UdpAddress::from(parse_endpoint(text).value());
}

/// A client's way through the guard: its first Initial, our Retry, its second Initial.
struct Client {
  ngtcp2_pkt_hd first{};
  ngtcp2_cid source{};
  Bytes token;

  Client(const RetryGuard& guard, const UdpAddress& from, std::uint64_t number, TimePoint now) {
    first.version = NGTCP2_PROTO_VER_V1;
    first.dcid = make_cid(number);
    first.scid = make_cid(~number);
    source = make_cid(number * 31 + 7);
    std::array<std::uint8_t, 1500> packet{};
    const std::size_t size = guard.write_retry(packet, first, from, source, now);
    REQUIRE(size > 0);
    // Long header: 1 + 4 + (1 + dcid) + (1 + scid), then the token, then 16 bytes of integrity tag.
    const std::size_t begin = 7 + first.scid.datalen + source.datalen;
    const auto bytes = std::as_bytes(std::span{packet});
    token.assign(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                 bytes.begin() + static_cast<std::ptrdiff_t>(size - 16));
  }
  [[nodiscard]] ngtcp2_pkt_hd second() {
    ngtcp2_pkt_hd header{};
    header.version = NGTCP2_PROTO_VER_V1;
    header.dcid = source;
    header.scid = first.scid;
    shim::set_token(header, as_uchar(token), token.size());
    return header;
  }
};

std::array<std::byte, 32> key_of(int fill) {
  std::array<std::byte, 32> key;
  key.fill(static_cast<std::byte>(fill));
  return key;
}

}  // namespace

TEST_CASE("a retry token gives back the original connection id, once") {
  RetryGuard guard{key_of(1)};
  const UdpAddress from = address("192.0.2.1:4000");
  Client client{guard, from, 77, kNow};
  const auto original = guard.redeem(client.second(), from, kNow + 50ms);
  REQUIRE(original);
  CHECK(ConnectionId::from(*original) == ConnectionId::from(client.first.dcid));
  CHECK_FALSE(guard.redeem(client.second(), from, kNow + 60ms));
}

TEST_CASE("a retry token is good for its address, its ids, its time and its guard only") {
  RetryGuard guard{key_of(1)};
  const UdpAddress from = address("192.0.2.1:4000");
  Client client{guard, from, 77, kNow};
  CHECK_FALSE(guard.redeem(client.second(), address("192.0.2.1:4001"), kNow));
  CHECK_FALSE(guard.redeem(client.second(), address("192.0.2.2:4000"), kNow));
  CHECK_FALSE(guard.redeem(client.second(), from, kNow + RetryGuard::kTokenLifetime + 1s));
  ngtcp2_pkt_hd other = client.second();
  other.dcid = make_cid(5);
  CHECK_FALSE(guard.redeem(other, from, kNow));
  RetryGuard stranger{key_of(2)};
  CHECK_FALSE(stranger.redeem(client.second(), from, kNow));
  RetryGuard worker{key_of(1)};  // shares our secret
  CHECK(worker.redeem(client.second(), from, kNow));

  CHECK(guard.redeem(client.second(), from, kNow));  // what failed did not use it up
}

TEST_CASE("a token with any bit changed, cut short or made up is refused") {
  TAYGA_SEEDED_RANDOM(random, 9);
  RetryGuard guard{key_of(1)};
  const UdpAddress from = address("192.0.2.1:4000");
  Client client{guard, from, 77, kNow};
  const Bytes good = client.token;
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    client.token = good;
    client.token[bit / 8] ^= std::byte{1} << (bit % 8);
    if (guard.redeem(client.second(), from, kNow)) FAIL("bit " << bit);
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    client.token.assign(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
    if (guard.redeem(client.second(), from, kNow)) FAIL("cut to " << size);
  }
  for (int i = 0; i < 500; ++i) {
    client.token = random.bytes(random.between(1, 300));
    REQUIRE_FALSE(guard.redeem(client.second(), from, kNow));
  }
  client.token = good;
  CHECK(guard.redeem(client.second(), from, kNow));
}

TEST_CASE("a guard full of used tokens refuses until they expire, and never takes one twice") {
  RetryGuard guard{key_of(1)};
  const UdpAddress from = address("192.0.2.1:4000");
  TimePoint now = kNow;
  std::size_t redeemed = 0;
  for (std::uint64_t i = 0; i < RetryGuard::kUsedMax; ++i) {
    Client client{guard, from, i, now};
    if (guard.redeem(client.second(), from, now)) ++redeemed;
  }
  CHECK(redeemed == RetryGuard::kUsedMax / 2);

  now += RetryGuard::kTokenLifetime;
  Client late{guard, from, 1'000'000, now};
  CHECK(guard.redeem(late.second(), from, now));
  now += RetryGuard::kTokenLifetime;  // `late` is of the older generation now, and still good
  CHECK_FALSE(guard.redeem(late.second(), from, now));
}

}  // namespace tayga::transport::quic
