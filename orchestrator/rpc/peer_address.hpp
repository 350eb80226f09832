#pragma once

#include <string>
#include <string_view>

namespace tayga::orch {

/// The numeric address in gRPC's name of a peer ("ipv4:192.0.2.1:4711",
/// "ipv6:%5B2001:db8::1%5D:80"); an IPv4 address mapped into IPv6 comes out as IPv4. Empty when
/// there is none.
std::string numeric_peer_address(std::string_view grpc_peer);

/// The network that one party can be expected to hold all addresses of: the /24 of a numeric IPv4
/// address, the /48 of an IPv6 one, as an opaque key. Empty when it is neither.
std::string network_of_address(const std::string& numeric);

}  // namespace tayga::orch
