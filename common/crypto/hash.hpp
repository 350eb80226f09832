#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <span>

namespace tayga::crypto {

using Sha256Digest = std::array<std::byte, 32>;

/// One-shot SHA-256 through OpenSSL EVP (uses the CPU's SHA instructions where it has them).
Sha256Digest sha256(ByteView data) noexcept;

/// Incremental SHA-256, for objects that arrive piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(ByteView data) noexcept;
  /// Ends this hash; the object then starts over.
  Sha256Digest finish() noexcept;

 private:
  struct Deleter {
    void operator()(void* context) const noexcept;
  };
  std::unique_ptr<void, Deleter> context_;  // EVP_MD_CTX
};

/// BLAKE2b-128(stream id, key = epoch secret): the stream's name inside an allocation.
StreamHandle stream_handle(const StreamId& stream,
                           std::span<const std::byte, 32> epoch_secret) noexcept;

/// Compares in time that depends on the sizes only.
[[nodiscard]] bool equal_constant_time(ByteView a, ByteView b) noexcept;

/// Fills `out` from the operating system's generator. For shells; cores are told their randomness.
void random_bytes(std::span<std::byte> out) noexcept;

}  // namespace tayga::crypto
