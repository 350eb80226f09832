#pragma once

#include "common/media/receipts.hpp"
#include "daemon/core/receipts.hpp"

#include <array>
#include <chrono>

namespace tayga::relay {

inline constexpr std::int64_t kStartMs = 1'800'000'000'000;
inline constexpr std::int64_t kTermMs = 600'000;
/// From the start: nobody delivers anything under an allocation of one term any more.
inline constexpr Duration kServedUntil = 600s + media::kOutageGrace + kClockSkewMax;

inline crypto::SigningKey key_of(unsigned char seed) {
  std::array<std::byte, 32> bytes{};
  bytes.fill(std::byte{seed});
  return crypto::SigningKey::from_seed(bytes);
}

inline Now at(Duration since_start) {
  return {TimePoint{1000s} + since_start,
          WallTime{std::chrono::milliseconds{kStartMs}} + since_start};
}

inline StreamHandle handle_of(unsigned char value) {
  StreamHandle handle;
  handle.bytes.fill(std::byte{value});
  return handle;
}

/// A sender and a receiver with their keys, and what the orchestrator and the receiver sign for
/// them.
struct ReceiptFixture {
  crypto::SigningKey online = key_of(1);
  crypto::SigningKey sender = key_of(2);
  crypto::SigningKey receiver = key_of(3);
  NetworkId network{};
  StreamHandle stream = handle_of(7);

  ReceiptFixture() {
    crypto::init();
    network.bytes.fill(std::byte{9});
  }
  wire::Allocation allocation(std::uint32_t number, std::int64_t not_after_ms = kStartMs + kTermMs,
                              std::uint32_t max_kbps = 0) const {
    wire::Allocation a;
    for (unsigned i = 0; i < 4; ++i)
      a.id.bytes[12 + i] = static_cast<std::byte>(number >> (24 - 8 * i));
    const auto expiry_s = static_cast<std::uint64_t>(not_after_ms / 1000);
    for (unsigned i = 0; i < 8; ++i)
      a.id.bytes[i] = static_cast<std::byte>(expiry_s >> (56 - 8 * i));
    a.network = network;
    a.sender = sender.node_id();
    a.receiver = receiver.node_id();
    a.stream_handle = stream;
    a.stripe_mask = 1;
    a.max_kbps = max_kbps;
    a.not_before_ms = kStartMs;
    a.not_after_ms = not_after_ms;
    a.max_bytes = 1 << 30;
    return a;
  }
  wire::AllocationBlob blob(const wire::Allocation& a) const {
    return media::sign_allocation(a, online);
  }
  wire::ReceiptBlob receipt(const wire::Allocation& a, std::uint32_t seq, std::uint64_t bytes,
                            bool is_final = false) const {
    wire::Receipt r;
    r.allocation = a.id;
    r.network = a.network;
    r.seq = seq;
    r.is_final = is_final;
    r.cum_bytes = bytes;
    r.cum_chunks = bytes / 4096;
    return media::sign_receipt(r, receiver);
  }
};

}  // namespace tayga::relay
