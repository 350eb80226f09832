#include "tests/sim/cheap_proofs.hpp"

#include "common/crypto/ed25519.hpp"
#include "common/crypto/hash.hpp"
#include "common/wire/frame.hpp"
#include "tests/sim/draws.hpp"

#include <array>
#include <cstring>

using tayga::ByteView;
using tayga::SharedBytes;
using tayga::crypto::PublicKey;
using tayga::crypto::Sha256Digest;
using tayga::crypto::Signature;
using tayga::crypto::SigningKey;

// The names by which the linker knows the originals: Itanium C++ ABI, as every Linux target has it.
// A name that does not match is an undefined symbol, not a silent loss.
#define TAYGA_VERIFY \
  "_ZN5tayga6crypto6verifyERKSt5arrayISt4byteLm32EESt4spanIKS2_Lm18446744073709551615EES8_"
#define TAYGA_SIGN "_ZNK5tayga6crypto10SigningKey4signESt4spanIKSt4byteLm18446744073709551615EE"
#define TAYGA_SHA256 "_ZN5tayga6crypto6sha256ESt4spanIKSt4byteLm18446744073709551615EE"
#define TAYGA_CHUNK_FRAME "_ZN5tayga4wire21serialize_chunk_frameERKNS0_9ChunkViewE"
#define TAYGA_SHARED_FRAME \
  "_ZN5tayga4wire22serialize_shared_frameENS0_9FrameTypeESt4spanIKSt4byteLm18446744073709551615EE"

bool real_verify(const PublicKey& key, ByteView message, ByteView signature) noexcept
    asm("__real_" TAYGA_VERIFY);
bool cheap_verify(const PublicKey& key, ByteView message, ByteView signature) noexcept
    asm("__wrap_" TAYGA_VERIFY);
// A member function's `this` travels as the first argument.
Signature real_sign(const SigningKey* key, ByteView message) noexcept asm("__real_" TAYGA_SIGN);
Signature cheap_sign(const SigningKey* key, ByteView message) noexcept asm("__wrap_" TAYGA_SIGN);
Sha256Digest real_sha256(ByteView data) noexcept asm("__real_" TAYGA_SHA256);
Sha256Digest cheap_sha256(ByteView data) noexcept asm("__wrap_" TAYGA_SHA256);
SharedBytes real_chunk_frame(const tayga::wire::ChunkView& chunk) asm("__real_" TAYGA_CHUNK_FRAME);
SharedBytes cheap_chunk_frame(const tayga::wire::ChunkView& chunk) asm("__wrap_" TAYGA_CHUNK_FRAME);
SharedBytes real_shared_frame(tayga::wire::FrameType type,
                              ByteView payload) asm("__real_" TAYGA_SHARED_FRAME);
SharedBytes cheap_shared_frame(tayga::wire::FrameType type,
                               ByteView payload) asm("__wrap_" TAYGA_SHARED_FRAME);

namespace tayga::sim {
namespace {

struct Delivery {
  const SharedBytes* frame = nullptr;
  const FrameBank::Slice* slice = nullptr;
  std::size_t index = 0;
};
Delivery delivery;  // see Delivering
bool real_proofs = false;

std::uint64_t load(const std::byte* bytes) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

/// Two independent chains of words, so that every byte counts in both.
Signature keyed_digest(const PublicKey& key, ByteView message) noexcept {
  std::uint64_t a = mix(message.size());
  std::uint64_t b = ~a;
  const auto take = [&](std::uint64_t word) {
    a = mix(a ^ word);
    b = (b ^ word) * 0x9fb21c651e98df25ULL;
    b ^= b >> 29U;
  };
  for (std::size_t i = 0; i < key.size(); i += 8) take(load(&key[i]));
  std::size_t at = 0;
  for (; at + 8 <= message.size(); at += 8) take(load(&message[at]));
  std::array<std::byte, 8> rest{};
  std::copy(message.begin() + static_cast<std::ptrdiff_t>(at), message.end(), rest.begin());
  take(load(rest.data()));
  Signature signature;
  for (std::size_t i = 0; i < signature.size(); i += 8) {
    const std::uint64_t word = mix(a + i) ^ b;
    std::memcpy(&signature[i], &word, sizeof word);
  }
  return signature;
}

/// The genuine chunk that is being delivered and whose media bytes start at `data`; else nullptr.
const Delivery* delivered_chunk(ByteView data) noexcept {
  if (real_proofs || delivery.slice == nullptr || delivery.index == 0) return nullptr;
  const Bytes& frame = **delivery.frame;
  constexpr std::size_t kPrefix = wire::kFrameHeaderSize + wire::kChunkHeaderSize;
  const bool is_it = data.data() == frame.data() + kPrefix && data.size() + kPrefix == frame.size();
  return is_it ? &delivery : nullptr;
}

/// The genuine slice header that is being delivered and whose payload begins with `data`.
const Delivery* delivered_header(ByteView data) noexcept {
  if (real_proofs || delivery.slice == nullptr || delivery.index != 0) return nullptr;
  const Bytes& frame = **delivery.frame;
  const bool is_it = data.data() == frame.data() + wire::kFrameHeaderSize &&
                     data.size() + wire::kFrameHeaderSize <= frame.size();
  return is_it ? &delivery : nullptr;
}

}  // namespace

void use_real_proofs(bool real) noexcept {
  real_proofs = real;
}

Delivering::Delivering(const SharedBytes& frame, const FrameBank::Slice* slice,
                       std::size_t index) noexcept {
  delivery = Delivery{&frame, slice, index};
}

Delivering::~Delivering() {
  delivery = Delivery{};
}

}  // namespace tayga::sim

using tayga::sim::real_proofs;

bool cheap_verify(const PublicKey& key, ByteView message, ByteView signature) noexcept {
  if (real_proofs) return real_verify(key, message, signature);
  const auto* header = tayga::sim::delivered_header(message);
  if (header != nullptr && signature.data() == message.data() + message.size()) {
    return key == header->slice->header.stream.bytes;
  }
  const Signature expected = tayga::sim::keyed_digest(key, message);
  return signature.size() == expected.size() &&
         std::memcmp(signature.data(), expected.data(), expected.size()) == 0;
}

Signature cheap_sign(const SigningKey* key, ByteView message) noexcept {
  if (real_proofs) return real_sign(key, message);
  return tayga::sim::keyed_digest(key->public_key(), message);
}

Sha256Digest cheap_sha256(ByteView data) noexcept {
  const auto* chunk = tayga::sim::delivered_chunk(data);
  if (chunk == nullptr) return real_sha256(data);
  return chunk->slice->digests[chunk->index - 1];
}

SharedBytes cheap_chunk_frame(const tayga::wire::ChunkView& chunk) {
  const auto* delivered = tayga::sim::delivered_chunk(chunk.bytes);
  return delivered == nullptr ? real_chunk_frame(chunk) : *delivered->frame;
}

SharedBytes cheap_shared_frame(tayga::wire::FrameType type, ByteView payload) {
  const auto* header = tayga::sim::delivered_header(payload);
  const bool is_it = header != nullptr && type == tayga::wire::FrameType::slice_header &&
                     payload.size() + tayga::wire::kFrameHeaderSize == (*header->frame)->size();
  return is_it ? *header->frame : real_shared_frame(type, payload);
}
