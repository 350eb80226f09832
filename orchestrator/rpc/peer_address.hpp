#pragma once

#include <string>
#include <string_view>

namespace tayga::orch {

/// The numeric address in gRPC's name of a peer ("ipv4:192.0.2.1:4711",
/// "ipv6:%5B2001:db8::1%5D:80"); an IPv4 address mapped into IPv6 comes out as IPv4. Empty when
/// there is none.
std::string numeric_peer_address(std::string_view grpc_peer);

}  // namespace tayga::orch
