#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"

#include <array>
#include <cstddef>
#include <span>

namespace tayga::crypto {

/// Must be called once before anything else of this folder; idempotent, thread-safe. Aborts when
/// libsodium cannot initialise, because nothing that we do is safe without it.
void init();

using PublicKey = std::array<std::byte, 32>;
using Signature = std::array<std::byte, 64>;

/// An Ed25519 key pair. Wiped when destroyed; movable, not copyable.
class SigningKey {
 public:
  static SigningKey generate();
  static SigningKey from_seed(std::span<const std::byte, 32> seed);
  SigningKey(SigningKey&& other) noexcept;
  SigningKey& operator=(SigningKey&& other) noexcept;
  SigningKey(const SigningKey&) = delete;
  SigningKey& operator=(const SigningKey&) = delete;
  ~SigningKey();

  [[nodiscard]] const PublicKey& public_key() const noexcept { return public_key_; }
  [[nodiscard]] NodeId node_id() const noexcept { return NodeId{public_key_}; }
  [[nodiscard]] StreamId stream_id() const noexcept { return StreamId{public_key_}; }
  /// Deterministic (RFC 8032). About 15 us.
  [[nodiscard]] Signature sign(ByteView message) const noexcept;
  /// For writing key files only; the caller wipes its copy.
  [[nodiscard]] std::array<std::byte, 32> seed() const noexcept;

 private:
  SigningKey() = default;
  std::array<std::byte, 64> secret_{};
  PublicKey public_key_{};
};

/// True when `signature` is `key`'s over exactly `message`. About 43 us: check cheap things first.
[[nodiscard]] bool verify(const PublicKey& key, ByteView message, ByteView signature) noexcept;

}  // namespace tayga::crypto
