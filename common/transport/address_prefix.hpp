#pragma once

#include <boost/asio/ip/address.hpp>

#include <array>
#include <cstdint>

namespace tayga::transport {

/// The network that strangers are counted by, IPv4 /24 or IPv6 /48: what one customer, or one
/// attacker, holds without effort. Family, then 3 or 6 bytes.
using AddressPrefix = std::array<std::uint8_t, 7>;

AddressPrefix to_prefix(const boost::asio::ip::address& address) noexcept;

}  // namespace tayga::transport
