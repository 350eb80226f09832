#include "common/transport/prefix_rate.hpp"

#include "tests/support/catch.hpp"

#include <string>

namespace tayga::transport {
namespace {

constexpr TimePoint kStart{10h};
constexpr std::uint64_t kKey = 42;

boost::asio::ip::address ip(const std::string& text) {
  return boost::asio::ip::make_address(text);
}

/// How many of `tries` at one time are admitted.
int admitted(PrefixRate& rate, const std::string& from, TimePoint now, int tries = 1000) {
  int count = 0;
  for (int i = 0; i < tries; ++i) count += rate.admit(ip(from), now) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("a network gets its burst, then its rate, and its burst again after a rest") {
  PrefixRate rate{{10, 5}, kKey};
  CHECK(admitted(rate, "198.51.100.1", kStart) == 5);
  CHECK(admitted(rate, "198.51.100.2", kStart) == 0);  // the same /24
  CHECK(admitted(rate, "198.51.100.1", kStart + 99ms) == 0);
  CHECK(admitted(rate, "198.51.100.1", kStart + 100ms) == 1);
  CHECK(admitted(rate, "198.51.100.1", kStart + 300ms) == 2);
  CHECK(admitted(rate, "198.51.100.1", kStart + 10s) == 5);
}

TEST_CASE("a flood gets no more than the rate, however it is spread over a /48") {
  PrefixRate rate{{100, 20}, kKey};
  int count = 0;
  for (int i = 0; i < 10'000; ++i) {  // 1000 a second for 10 s
    const auto from = "2001:db8:7:" + std::to_string(i % 1000) + "::1";
    count += rate.admit(ip(from), kStart + i * 1ms) ? 1 : 0;
  }
  CHECK(count >= 1000);
  CHECK(count <= 1020);
}

TEST_CASE("the flood of one network leaves nearly all others their own bucket") {
  PrefixRate rate{{1, 1}, kKey};
  CHECK(admitted(rate, "203.0.113.9", kStart) == 1);
  int refused = 0;
  for (int i = 0; i < 100; ++i) {  // each by itself beside the flood
    PrefixRate fresh{{1, 1}, kKey + static_cast<std::uint64_t>(i)};
    CHECK(fresh.admit(ip("203.0.113.9"), kStart));
    const auto other = "10.1." + std::to_string(i) + ".1";
    refused += fresh.admit(ip(other), kStart) ? 0 : 1;
  }
  CHECK(refused <= 2);  // 1 in 1024 shares a bucket
}

TEST_CASE("who shares a bucket depends on the key") {
  const auto shares = [](std::uint64_t key) {
    PrefixRate rate{{1, 1}, key};
    std::string refused;
    for (int i = 0; i < 250; ++i) {
      if (!rate.admit(ip("10." + std::to_string(i) + ".0.1"), kStart))
        refused += ' ' + std::to_string(i);
    }
    return refused;
  };
  CHECK(shares(1) != shares(2));
}

}  // namespace tayga::transport
