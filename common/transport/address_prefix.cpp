#include "common/transport/address_prefix.hpp"

#include <algorithm>

namespace tayga::transport {

AddressPrefix to_prefix(const boost::asio::ip::address& address) noexcept {
  AddressPrefix prefix{};
  if (address.is_v4()) {
    const auto bytes = address.to_v4().to_bytes();
    prefix[0] = 4;
    std::copy_n(bytes.begin(), 3, prefix.begin() + 1);
  } else {
    const auto bytes = address.to_v6().to_bytes();
    prefix[0] = 6;
    std::copy_n(bytes.begin(), 6, prefix.begin() + 1);
  }
  return prefix;
}

}  // namespace tayga::transport
