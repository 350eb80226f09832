#include "common/transport/quic/udp_address.hpp"

#include <algorithm>

namespace tayga::transport::quic {

UdpAddress UdpAddress::from(const Endpoint& endpoint) noexcept {
  UdpAddress result;
  if (endpoint.address.is_v6()) {
    const boost::asio::ip::address_v6 v6 = endpoint.address.to_v6();
    const auto bytes = v6.to_bytes();
    result.storage_.v6.sin6_family = AF_INET6;
    result.storage_.v6.sin6_port = htons(endpoint.port);
    result.storage_.v6.sin6_scope_id = static_cast<std::uint32_t>(v6.scope_id());
    std::memcpy(&result.storage_.v6.sin6_addr, bytes.data(), bytes.size());
  } else {
    const auto bytes = endpoint.address.to_v4().to_bytes();
    result.storage_.v4.sin_family = AF_INET;
    result.storage_.v4.sin_port = htons(endpoint.port);
    std::memcpy(&result.storage_.v4.sin_addr, bytes.data(), bytes.size());
  }
  return result;
}

Endpoint UdpAddress::endpoint() const {
  if (is_v6()) {
    boost::asio::ip::address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), &storage_.v6.sin6_addr, bytes.size());
    return {boost::asio::ip::address_v6{bytes, storage_.v6.sin6_scope_id}, port()};
  }
  boost::asio::ip::address_v4::bytes_type bytes;
  std::memcpy(bytes.data(), &storage_.v4.sin_addr, bytes.size());
  return {boost::asio::ip::address_v4{bytes}, port()};
}

bool UdpAddress::is_unspecified() const noexcept {
  const ByteView bytes = host();
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

UdpAddress UdpAddress::with_host(const void* host) const noexcept {
  UdpAddress result = *this;
  if (is_v6()) {
    std::memcpy(&result.storage_.v6.sin6_addr, host, sizeof(in6_addr));
  } else {
    std::memcpy(&result.storage_.v4.sin_addr, host, sizeof(in_addr));
  }
  return result;
}

}  // namespace tayga::transport::quic
