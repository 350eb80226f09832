#pragma once

#include "common/base/time.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace tayga::transport {

/// Counts what a peer makes us do without sending media, by kind, in windows of one second.
///
/// One event of each kind is legal and cheap; a flood of them buys much of our time for little of
/// the peer's. The limits are above what an honest peer of ours sends, also in the rush after a
/// pause (256 streams with a head each 20 times a second are 5,000 control frames), and cap the
/// time that one session can take to a few percent of a core. The answer to a flood is to close. In
/// any one second a peer gets at most twice a limit. Pure; 100 bytes a session.
class FloodGuard {
 public:
  enum class Kind : std::uint8_t {
    control_frame,  ///< a frame of the session's control type
    small_frame,    ///< a media frame below kSmallFrame
    idle_record,    ///< a TLS record without data: KeyUpdate, empty, alert
    small_record,   ///< a TLS record with less than kSmallRecord of data
    idle_packet,    ///< a QUIC packet that brought no stream data and acknowledged nothing new
    key_update,     ///< QUIC: either side's, some three round trips apart at least
    stream_opened,
    reset,          ///< RESET_STREAM or STOP_SENDING
    path_probe,     ///< a packet from another address, PATH_CHALLENGE
    connection_id,  ///< NEW_CONNECTION_ID or RETIRE_CONNECTION_ID
    small_packet,   ///< a QUIC packet with less than kSmallRecord of data that acknowledged nothing
    idle_frame,     ///< a QUIC frame that brings little or no data, beyond one each a packet needs
    crypto_frame,   ///< CRYPTO: a handshake has a handful, a session hardly any
  };
  static constexpr std::size_t kKinds = 13;

  /// Events per second, by Kind.
  using Limits = std::array<std::uint32_t, kKinds>;
  static constexpr Limits kLimits{8'000, 16'000, 64, 16'000, 2'000,  64, 512,
                                  256,   64,     64, 16'000, 16'000, 64};

  static constexpr std::size_t kSmallFrame = 128;
  static constexpr std::size_t kSmallRecord = 64;

  FloodGuard() noexcept = default;
  explicit FloodGuard(const Limits& limits) noexcept : limits_{limits} {}

  /// Counts one event, or `count`. False: beyond the limit of its kind, close the session.
  [[nodiscard]] bool admit(Kind kind, TimePoint now, std::uint32_t count = 1) noexcept {
    if (now - window_start_ >= kWindow) begin_window(now);
    const auto index = static_cast<std::size_t>(kind);
    counts_[index] += count;
    return counts_[index] <= limits_[index];
  }

 private:
  static constexpr Duration kWindow = 1s;
  void begin_window(TimePoint now) noexcept;

  Limits limits_ = kLimits;
  std::array<std::uint32_t, kKinds> counts_{};
  TimePoint window_start_{};
};

/// In the plural, for the reason of a close: "control frames".
const char* to_string(FloodGuard::Kind kind) noexcept;

}  // namespace tayga::transport
