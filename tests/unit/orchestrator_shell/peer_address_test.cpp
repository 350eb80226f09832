#include "orchestrator/rpc/peer_address.hpp"

#include "tests/support/catch.hpp"

using tayga::orch::network_of_address;
using tayga::orch::numeric_peer_address;

TEST_CASE("a session's address is the numeric host of gRPC's peer name") {
  CHECK(numeric_peer_address("ipv4:192.0.2.1:4711") == "192.0.2.1");
  CHECK(numeric_peer_address("ipv6:[2001:db8::1]:80") == "2001:db8::1");
  CHECK(numeric_peer_address("ipv6:%5B2001:db8::1%5D:80") == "2001:db8::1");
  CHECK(numeric_peer_address("ipv6:%5Bfe80::1%25eth0%5D:80") == "fe80::1");
  CHECK(numeric_peer_address("ipv6:%5B::ffff:192.0.2.7%5D:80") == "192.0.2.7");
}

TEST_CASE("a peer name without a numeric address gives none") {
  CHECK(numeric_peer_address("unix:/tmp/socket").empty());
  CHECK(numeric_peer_address("ipv4:name.example:1").empty());
  CHECK(numeric_peer_address("").empty());
  CHECK(numeric_peer_address(":").empty());
}

TEST_CASE("a network is the /24 of an IPv4 address and the /48 of an IPv6 one") {
  CHECK(network_of_address("192.0.2.1") == network_of_address("192.0.2.255"));
  CHECK(network_of_address("192.0.2.1") != network_of_address("192.0.3.1"));
  CHECK(network_of_address("2001:db8:1:2::1") == network_of_address("2001:db8:1:ffff::9"));
  CHECK(network_of_address("2001:db8:1::1") != network_of_address("2001:db8:2::1"));
  CHECK(network_of_address("somewhere").empty());
}
