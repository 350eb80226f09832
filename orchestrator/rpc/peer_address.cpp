#include "orchestrator/rpc/peer_address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <array>
#include <cstring>

namespace tayga::orch {
namespace {

std::string without_brackets(std::string_view host) {
  std::string out{host};
  for (const std::string_view bracket : {"%5B", "%5D", "[", "]"}) {
    if (const auto at = out.find(bracket); at != std::string::npos) out.erase(at, bracket.size());
  }
  if (const auto scope = out.find('%'); scope != std::string::npos) out.erase(scope);
  return out;
}

}  // namespace

std::string numeric_peer_address(std::string_view peer) {
  const auto scheme_end = peer.find(':');
  const auto port_begin = peer.rfind(':');
  if (scheme_end == std::string_view::npos || port_begin <= scheme_end) return {};
  const std::string host =
      without_brackets(peer.substr(scheme_end + 1, port_begin - scheme_end - 1));
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return host;
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) != 1) return {};
  if (!IN6_IS_ADDR_V4MAPPED(&v6)) return host;
  std::array<char, INET_ADDRSTRLEN> text{};
  std::memcpy(&v4, &v6.s6_addr[12], sizeof v4);
  return inet_ntop(AF_INET, &v4, text.data(), text.size()) != nullptr ? text.data() : "";
}

std::string network_of_address(const std::string& numeric) {
  constexpr std::size_t kV4Prefix = 3;  // bytes
  constexpr std::size_t kV6Prefix = 6;
  std::array<char, sizeof(in6_addr)> bytes{};
  if (inet_pton(AF_INET, numeric.c_str(), bytes.data()) == 1) return {bytes.data(), kV4Prefix};
  if (inet_pton(AF_INET6, numeric.c_str(), bytes.data()) == 1) return {bytes.data(), kV6Prefix};
  return {};
}

}  // namespace tayga::orch
