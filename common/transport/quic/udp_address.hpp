#pragma once

#include "common/transport/session.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tayga::transport::quic {

/// A UDP address as the kernel and ngtcp2 take it, compared without conversions on the hot path.
class UdpAddress {
 public:
  UdpAddress() noexcept { std::memset(&storage_, 0, sizeof storage_); }
  static UdpAddress from(const Endpoint& endpoint) noexcept;
  /// Pre: `size` <= sizeof(sockaddr_in6), family IPv4 or IPv6.
  static UdpAddress from(const sockaddr* address, socklen_t size) noexcept {
    UdpAddress result;
    std::memcpy(&result.storage_, address, size);
    if (result.is_v6()) result.storage_.v6.sin6_flowinfo = 0;
    return result;
  }
  [[nodiscard]] Endpoint endpoint() const;

  [[nodiscard]] const sockaddr* data() const noexcept { return &storage_.any; }
  [[nodiscard]] sockaddr* data() noexcept { return &storage_.any; }
  [[nodiscard]] socklen_t size() const noexcept {
    return is_v6() ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  }
  [[nodiscard]] bool is_v6() const noexcept { return storage_.any.sa_family == AF_INET6; }
  [[nodiscard]] std::uint16_t port() const noexcept {
    return ntohs(is_v6() ? storage_.v6.sin6_port : storage_.v4.sin_port);
  }
  [[nodiscard]] bool is_unspecified() const noexcept;
  /// The address part: 4 or 16 bytes, network order.
  [[nodiscard]] ByteView host() const noexcept {
    return is_v6() ? std::as_bytes(std::span{&storage_.v6.sin6_addr, 1})
                   : std::as_bytes(std::span{&storage_.v4.sin_addr, 1});
  }
  /// The same address and port, with another host of the same family.
  [[nodiscard]] UdpAddress with_host(const void* host) const noexcept;

  friend bool operator==(const UdpAddress& a, const UdpAddress& b) noexcept {
    return std::memcmp(&a.storage_, &b.storage_, sizeof a.storage_) == 0;
  }

 private:
  union Storage {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
  };
  Storage storage_;
};

/// Where a packet came to and came from, or goes from and to. The local host is unspecified where
/// the kernel shall choose it.
struct UdpPath {
  UdpAddress local;
  UdpAddress remote;
  friend bool operator==(const UdpPath&, const UdpPath&) = default;
};

}  // namespace tayga::transport::quic
