#include "common/transport/prefix_rate.hpp"

#include "common/base/check.hpp"

#include <algorithm>

namespace tayga::transport {
namespace {

/// SplitMix64's finalizer: every bit of the input changes half of the output's.
std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

std::uint64_t to_number(const AddressPrefix& prefix) noexcept {
  std::uint64_t number = 0;
  for (const std::uint8_t byte : prefix) number = number << 8 | byte;
  return number;
}

}  // namespace

PrefixRate::PrefixRate(Rate rate, std::uint64_t key)
    : interval_{Duration{1s} / std::max(rate.per_second, 1U)},
      capacity_{interval_ * rate.burst},
      key_{key},
      full_at_(kBuckets) {
  TAYGA_CHECK(rate.per_second > 0 && rate.burst > 0);
}

bool PrefixRate::admit(const boost::asio::ip::address& address, TimePoint now) {
  TimePoint& full_at = full_at_[mix(to_number(to_prefix(address)) ^ key_) % kBuckets];
  const TimePoint next = std::max(full_at, now) + interval_;
  if (next - now > capacity_) return false;
  full_at = next;
  return true;
}

}  // namespace tayga::transport
