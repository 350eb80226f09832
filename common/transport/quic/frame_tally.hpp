#pragma once

#include "common/base/bytes.hpp"

#include <cstdint>

namespace tayga::transport::quic {

/// What the frames of decrypted packets ask of us, by their headers alone (RFC 9000, 19).
///
/// The library handles frames without telling of them; this is how floods of the small ones are
/// seen. PADDING is not counted, nor are the frames that end a connection.
struct FrameTally {
  std::uint32_t data_bytes = 0;      ///< in STREAM frames
  std::uint32_t data_frames = 0;     ///< STREAM
  std::uint32_t small_data = 0;      ///< of them, those with less than kSmallData bytes
  std::uint32_t acks = 0;            ///< ACK
  std::uint32_t crypto = 0;          ///< CRYPTO
  std::uint32_t connection_ids = 0;  ///< NEW_CONNECTION_ID, RETIRE_CONNECTION_ID
  std::uint32_t path_probes = 0;     ///< PATH_CHALLENGE
  std::uint32_t resets = 0;          ///< RESET_STREAM, STOP_SENDING
  std::uint32_t others = 0;          ///< PING, credit, blocked, tokens, answers to probes

  static constexpr std::uint64_t kSmallData = 64;

  /// Adds the frames of one packet's payload. Stops at the first that it does not understand: the
  /// library closes the connection for it. Never allocates.
  void add(ByteView payload) noexcept;

  friend bool operator==(const FrameTally&, const FrameTally&) = default;
};

}  // namespace tayga::transport::quic
