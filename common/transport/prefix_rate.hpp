#pragma once

#include "common/base/time.hpp"
#include "common/transport/address_prefix.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tayga::transport {

/// Bounds how often the strangers of one IPv4 /24 or IPv6 /48 may make us work, as for a handshake,
/// which takes about 1 ms of our processor whether they finish it or not.
///
/// A bucket of `burst` that refills with `per_second`, kept as the time at which it will be full
/// again (GCRA). The buckets are a table of fixed size under a keyed hash: no number of networks
/// makes it grow, and nobody can choose with whom to share one. Pure.
class PrefixRate {
 public:
  struct Rate {
    std::uint32_t per_second;  ///< Pre: > 0
    std::uint32_t burst;       ///< Pre: > 0
  };

  /// `key` is random and not known outside.
  PrefixRate(Rate rate, std::uint64_t key);

  /// Takes one from the bucket; false: it is empty.
  [[nodiscard]] bool admit(const boost::asio::ip::address& address, TimePoint now);

 private:
  static constexpr std::size_t kBuckets = 1024;

  const Duration interval_;  // in which one comes back
  const Duration capacity_;  // in which all do
  const std::uint64_t key_;
  std::vector<TimePoint> full_at_;
};

}  // namespace tayga::transport
