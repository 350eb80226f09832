#include "common/media/publish_claim.hpp"

#include "common/base/encoding.hpp"
#include "tests/support/catch.hpp"

namespace tayga::media {
namespace {

TEST_CASE(
    "a publish claim is its tag, the network, the gateway and the hash of the stream's name") {
  NetworkId network;
  network.bytes.fill(std::byte{0x11});
  NodeId gateway;
  gateway.bytes.fill(std::byte{0x22});
  // SHA-256("abc"), FIPS 180-4
  CHECK(to_hex(serialize_publish_claim(network, gateway, "abc")) ==
        "74617967612f636c61696d2f76310000"
        "1111111111111111"
        "2222222222222222222222222222222222222222222222222222222222222222"
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace tayga::media
