#include "common/crypto/ed25519.hpp"

#include "common/base/check.hpp"

#include <sodium.h>

#include <algorithm>

namespace tayga::crypto {
namespace {

static_assert(crypto_sign_PUBLICKEYBYTES == sizeof(PublicKey));
static_assert(crypto_sign_BYTES == sizeof(Signature));
static_assert(crypto_sign_SECRETKEYBYTES == 64);
static_assert(crypto_sign_SEEDBYTES == 32);

unsigned char* as_uchar_out(std::span<std::byte> out) noexcept {
  return reinterpret_cast<unsigned char*>(out.data());
}

}  // namespace

void init() {
  static const bool ready = sodium_init() >= 0;
  TAYGA_CHECK(ready);
}

SigningKey SigningKey::generate() {
  init();
  SigningKey key;
  TAYGA_CHECK(crypto_sign_keypair(as_uchar_out(key.public_key_), as_uchar_out(key.secret_)) == 0);
  return key;
}

SigningKey SigningKey::from_seed(std::span<const std::byte, 32> seed) {
  init();
  SigningKey key;
  TAYGA_CHECK(crypto_sign_seed_keypair(as_uchar_out(key.public_key_), as_uchar_out(key.secret_),
                                       as_uchar(seed)) == 0);
  return key;
}

SigningKey::SigningKey(SigningKey&& other) noexcept
    : secret_{other.secret_}, public_key_{other.public_key_} {
  sodium_memzero(other.secret_.data(), other.secret_.size());
}

SigningKey& SigningKey::operator=(SigningKey&& other) noexcept {
  if (this == &other) return *this;
  secret_ = other.secret_;
  public_key_ = other.public_key_;
  sodium_memzero(other.secret_.data(), other.secret_.size());
  return *this;
}

SigningKey::~SigningKey() {
  sodium_memzero(secret_.data(), secret_.size());
}

Signature SigningKey::sign(ByteView message) const noexcept {
  Signature signature;
  // Fails only on a null context; a wrong signature here would be ours alone, never an attacker's.
  TAYGA_CHECK(crypto_sign_detached(as_uchar_out(signature), nullptr, as_uchar(message),
                                   message.size(), as_uchar(secret_)) == 0);
  return signature;
}

std::array<std::byte, 32> SigningKey::seed() const noexcept {
  std::array<std::byte, 32> out;
  TAYGA_CHECK(crypto_sign_ed25519_sk_to_seed(as_uchar_out(out), as_uchar(secret_)) == 0);
  return out;
}

bool verify(const PublicKey& key, ByteView message, ByteView signature) noexcept {
  if (signature.size() != sizeof(Signature)) return false;
  return crypto_sign_verify_detached(as_uchar(signature), as_uchar(message), message.size(),
                                     as_uchar(key)) == 0;
}

}  // namespace tayga::crypto
