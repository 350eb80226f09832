#include "common/transport/half_open_limit.hpp"

#include "common/base/check.hpp"

namespace tayga::transport {

bool HalfOpenLimit::admit(const boost::asio::ip::address& address) {
  if (total_ >= total_max_) return false;
  const AddressPrefix prefix = to_prefix(address);
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
