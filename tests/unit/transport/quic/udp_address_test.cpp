#include "common/transport/quic/udp_address.hpp"

#include "tests/support/catch.hpp"

#include <string>

namespace tayga::transport::quic {
namespace {

Endpoint endpoint(const std::string& text) {
  return parse_endpoint(text).value();
}

}  // namespace

TEST_CASE("a UDP address is the endpoint that it was made from") {
  for (const std::string text : {"192.0.2.7:7410", "[2001:db8::7]:65535", "0.0.0.0:1", "[::]:0"}) {
    const UdpAddress address = UdpAddress::from(endpoint(text));
    CHECK(to_string(address.endpoint()) == text);
    CHECK(address.port() == endpoint(text).port);
    CHECK(address.is_v6() == endpoint(text).address.is_v6());
    CHECK(address.is_unspecified() == endpoint(text).address.is_unspecified());
    CHECK(address == UdpAddress::from(address.data(), address.size()));
  }
}

TEST_CASE("two UDP addresses are equal when host and port are, and not what the kernel adds") {
  const UdpAddress address = UdpAddress::from(endpoint("[2001:db8::7]:7410"));
  sockaddr_in6 labelled{};
  std::memcpy(&labelled, address.data(), sizeof labelled);
  labelled.sin6_flowinfo = htonl(7);
  CHECK(UdpAddress::from(reinterpret_cast<const sockaddr*>(&labelled), sizeof labelled) == address);
  CHECK_FALSE(UdpAddress::from(endpoint("[2001:db8::7]:7411")) == address);
  CHECK_FALSE(UdpAddress::from(endpoint("[2001:db8::8]:7410")) == address);
  CHECK_FALSE(UdpAddress::from(endpoint("192.0.2.7:7410")) ==
              UdpAddress::from(endpoint("192.0.2.7:7411")));
}

TEST_CASE("another host takes the place of one, the port stays") {
  const UdpAddress any = UdpAddress::from(endpoint("0.0.0.0:7410"));
  const UdpAddress one = UdpAddress::from(endpoint("192.0.2.7:1"));
  CHECK(to_string(any.with_host(one.host().data()).endpoint()) == "192.0.2.7:7410");
  const UdpAddress any6 = UdpAddress::from(endpoint("[::]:7410"));
  const UdpAddress one6 = UdpAddress::from(endpoint("[2001:db8::7]:1"));
  CHECK(to_string(any6.with_host(one6.host().data()).endpoint()) == "[2001:db8::7]:7410");
}

}  // namespace tayga::transport::quic
