#pragma once

#include "common/transport/address_prefix.hpp"

#include <cstddef>
#include <map>

namespace tayga::transport {

/// Bounds the handshakes of strangers, in all and per IPv4 /24 or IPv6 /48, so that one network
/// cannot shut out the others. Pure.
class HalfOpenLimit {
 public:
  HalfOpenLimit(std::size_t total_max, std::size_t per_prefix_max)
      : total_max_{total_max}, per_prefix_max_{per_prefix_max} {}

  /// False when either bound is reached; each true is paid back by one release().
  [[nodiscard]] bool admit(const boost::asio::ip::address& address);
  void release(const boost::asio::ip::address& address);

  [[nodiscard]] std::size_t size() const noexcept { return total_; }

 private:
  const std::size_t total_max_;
  const std::size_t per_prefix_max_;
  std::size_t total_ = 0;
  std::map<AddressPrefix, std::size_t> per_prefix_;  // at most total_ entries
};

}  // namespace tayga::transport
