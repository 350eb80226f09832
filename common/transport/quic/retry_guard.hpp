#pragma once

#include "common/base/bytes.hpp"
#include "common/base/time.hpp"
#include "common/transport/quic/ngtcp2_shim.hpp"
#include "common/transport/quic/udp_address.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_set>

namespace tayga::transport::quic {

/// Makes and judges retry tokens: bound to address, original connection id and time, good once.
///
/// Used tokens are remembered for as long as they are good, at most kUsedMax of them; when that
/// many were used, the next ones are refused until the older half has expired.
class RetryGuard {
 public:
  static constexpr Duration kTokenLifetime = 10s;
  static constexpr std::size_t kUsedMax = 8192;

  explicit RetryGuard(std::span<const std::byte, 32> key);

  /// The Retry packet that answers `header`'s Initial from `remote`; `source` becomes the id that
  /// the client goes on with. Returns its size; 0: cannot.
  std::size_t write_retry(std::span<std::uint8_t> out, const ngtcp2_pkt_hd& header,
                          const UdpAddress& remote, const ngtcp2_cid& source, TimePoint now) const;

  /// The original connection id in a token that is good; nullopt: forged, too old, from elsewhere
  /// or used before.
  std::optional<ngtcp2_cid> redeem(const ngtcp2_pkt_hd& header, const UdpAddress& remote,
                                   TimePoint now);

 private:
  void forget_expired(TimePoint now);

  std::array<std::uint8_t, 32> key_;
  // Two generations, each for a token's lifetime.
  std::unordered_set<std::uint64_t> used_;
  std::unordered_set<std::uint64_t> used_before_;
  TimePoint generation_began_{};
};

}  // namespace tayga::transport::quic
