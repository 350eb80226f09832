#pragma once

#include <boost/asio/ip/address.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
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
  using Prefix = std::array<std::uint8_t, 7>;  // family, then 3 or 6 bytes
  static Prefix to_prefix(const boost::asio::ip::address& address);

  const std::size_t total_max_;
  const std::size_t per_prefix_max_;
  std::size_t total_ = 0;
  std::map<Prefix, std::size_t> per_prefix_;  // at most total_ entries
};

}  // namespace tayga::transport
