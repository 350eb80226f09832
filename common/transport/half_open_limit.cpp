#include "common/transport/half_open_limit.hpp"

#include "common/base/check.hpp"

#include <algorithm>

namespace tayga::transport {

HalfOpenLimit::Prefix HalfOpenLimit::to_prefix(const boost::asio::ip::address& address) {
  Prefix prefix{};
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

bool HalfOpenLimit::admit(const boost::asio::ip::address& address) {
  if (total_ >= total_max_) return false;
  const Prefix prefix = to_prefix(address);
  const auto found = per_prefix_.find(prefix);
  if (found != per_prefix_.end() && found->second >= per_prefix_max_) return false;
  ++per_prefix_[prefix];
  ++total_;
  return true;
}

void HalfOpenLimit::release(const boost::asio::ip::address& address) {
  const auto found = per_prefix_.find(to_prefix(address));
  TAYGA_CHECK(found != per_prefix_.end());
  if (--found->second == 0) per_prefix_.erase(found);
  --total_;
}

}  // namespace tayga::transport
