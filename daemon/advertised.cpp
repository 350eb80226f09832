#include "daemon/advertised.hpp"

#include <boost/asio/ip/address.hpp>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>

namespace tayga {
namespace {

namespace ip = boost::asio::ip;

constexpr std::size_t kEndpointsMax = 8;
constexpr std::uint32_t kLinkLocal = 0xA9FE'0000;  ///< 169.254.0.0/16
constexpr std::uint32_t kLinkLocalMask = 0xFFFF'0000;

std::optional<ip::address> to_address(const sockaddr* address) {
  if (address == nullptr) return std::nullopt;
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    const ip::address_v4 out{ntohl(v4.sin_addr.s_addr)};
    if ((out.to_uint() & kLinkLocalMask) == kLinkLocal) return std::nullopt;
    return out;
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    ip::address_v6::bytes_type bytes{};
    std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
    const ip::address_v6 out{bytes};
    if (out.is_link_local()) return std::nullopt;
    return out;
  }
  return std::nullopt;
}

}  // namespace

std::vector<transport::Endpoint> advertised_endpoints(const transport::Endpoint& bound) {
  if (!bound.address.is_unspecified()) return {bound};
  ifaddrs* raw = nullptr;
  if (getifaddrs(&raw) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> list{raw, &freeifaddrs};
  std::vector<transport::Endpoint> endpoints;
  std::vector<transport::Endpoint> loopback;
  for (const ifaddrs* entry = list.get(); entry != nullptr; entry = entry->ifa_next) {
    const auto address = to_address(entry->ifa_addr);
    if (!address || (entry->ifa_flags & IFF_UP) == 0) continue;
    if (bound.address.is_v4() && address->is_v6()) continue;
    (address->is_loopback() ? loopback : endpoints).push_back({*address, bound.port});
  }
  if (endpoints.empty()) endpoints = std::move(loopback);
  std::stable_sort(endpoints.begin(), endpoints.end(), [](const auto& a, const auto& b) {
    return a.address.is_v4() && b.address.is_v6();
  });
  if (endpoints.size() > kEndpointsMax) endpoints.resize(kEndpointsMax);
  return endpoints;
}

}  // namespace tayga
