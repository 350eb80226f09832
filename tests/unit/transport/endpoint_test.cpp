#include "common/transport/session.hpp"
#include "common/transport/transport.hpp"
#include "tests/support/catch.hpp"

#include <string>

namespace tayga::transport {

TEST_CASE("an endpoint is written as it is read, IPv6 addresses in brackets") {
  for (const std::string text :
       {"192.0.2.1:7410", "0.0.0.0:0", "[2001:db8::1]:7410", "[::]:65535", "[::ffff:1.2.3.4]:1"}) {
    const auto endpoint = parse_endpoint(text);
    REQUIRE(endpoint);
    CHECK(to_string(*endpoint) == text);
  }
  const auto endpoint = parse_endpoint("192.0.2.1:7410");
  CHECK(endpoint->address == boost::asio::ip::make_address("192.0.2.1"));
  CHECK(endpoint->port == 7410);
}

TEST_CASE("what is not an address and a port is no endpoint") {
  for (const char* text :
       {"", ":", "192.0.2.1", "192.0.2.1:", ":7410", "192.0.2.1:65536", "192.0.2.1:-1",
        "192.0.2.1:+1", "192.0.2.1: 1", "192.0.2.1:1x", "localhost:7410", "[192.0.2.1]:7410",
        "2001:db8::1:7410", "[2001:db8::1]", "[2001:db8::1:7410", "[]:1", "256.0.0.1:1"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_endpoint(text));
  }
}

TEST_CASE("transport errors are of their own category and say what happened") {
  const error_code ec = TransportErrc::wrong_peer;
  CHECK(ec.category() == transport_category());
  CHECK(ec.message() == "the peer proved another key than the expected node id");
  CHECK(std::string{to_string(CloseInfo::Reason::overflow)} == "overflow");
  CHECK(std::string{to_string(CloseInfo::Reason::stalled)} == "stalled");
}

}  // namespace tayga::transport
