#include "common/transport/half_open_limit.hpp"

#include "tests/support/catch.hpp"

#include <string>

namespace tayga::transport {
namespace {

boost::asio::ip::address ip(const std::string& text) {
  return boost::asio::ip::make_address(text);
}

}  // namespace

TEST_CASE("one /24 takes only its share of the half-open handshakes") {
  HalfOpenLimit limit{256, 2};
  CHECK(limit.admit(ip("198.51.100.1")));
  CHECK(limit.admit(ip("198.51.100.2")));
  CHECK_FALSE(limit.admit(ip("198.51.100.3")));
  CHECK(limit.admit(ip("198.51.101.3")));

  limit.release(ip("198.51.100.2"));
  CHECK(limit.admit(ip("198.51.100.77")));
  CHECK(limit.size() == 3);
}

TEST_CASE("one /48 takes only its share, whatever hosts and subnets it names") {
  HalfOpenLimit limit{256, 2};
  CHECK(limit.admit(ip("2001:db8:1:1::1")));
  CHECK(limit.admit(ip("2001:db8:1:2::1")));
  CHECK_FALSE(limit.admit(ip("2001:db8:1:3::1")));
  CHECK(limit.admit(ip("2001:db8:2::1")));
}

TEST_CASE("all networks together stay within the total") {
  HalfOpenLimit limit{3, 2};
  CHECK(limit.admit(ip("10.0.1.1")));
  CHECK(limit.admit(ip("10.0.2.1")));
  CHECK(limit.admit(ip("::1")));
  CHECK_FALSE(limit.admit(ip("10.0.3.1")));
  limit.release(ip("::1"));
  CHECK(limit.admit(ip("10.0.3.1")));
}

}  // namespace tayga::transport
