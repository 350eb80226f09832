#include "tests/bench/handshake_crypto.hpp"

#include "common/base/check.hpp"
#include "tests/bench/bench.hpp"

#include <nettle/curve25519.h>
#include <nettle/eddsa.h>
#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>

namespace tayga::bench {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Secret = std::array<std::uint8_t, 32>;
using Signature = std::array<std::uint8_t, 64>;

// CertificateVerify signs 64 spaces, a label of 34 bytes and a hash of 32 (RFC 8446, 4.4.3).
constexpr std::array<std::uint8_t, 130> kSigned{};

Key make_key(const char* type) {
  Key key{EVP_PKEY_Q_keygen(nullptr, nullptr, type), EVP_PKEY_free};
  TAYGA_CHECK(key != nullptr);
  return key;
}

void sign_and_verify(EVP_PKEY* key) {
  Signature signature{};
  std::size_t size = signature.size();
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> signing{EVP_MD_CTX_new(),
                                                                        EVP_MD_CTX_free};
  TAYGA_CHECK(
      EVP_DigestSignInit(signing.get(), nullptr, nullptr, nullptr, key) == 1 &&
      EVP_DigestSign(signing.get(), signature.data(), &size, kSigned.data(), kSigned.size()) == 1);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> verifying{EVP_MD_CTX_new(),
                                                                          EVP_MD_CTX_free};
  TAYGA_CHECK(EVP_DigestVerifyInit(verifying.get(), nullptr, nullptr, nullptr, key) == 1 &&
              EVP_DigestVerify(verifying.get(), signature.data(), size, kSigned.data(),
                               kSigned.size()) == 1);
}

void derive(EVP_PKEY* own, EVP_PKEY* other) {
  const std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)> context{
      EVP_PKEY_CTX_new(own, nullptr), EVP_PKEY_CTX_free};
  Secret secret{};
  std::size_t size = secret.size();
  TAYGA_CHECK(EVP_PKEY_derive_init(context.get()) == 1 &&
              EVP_PKEY_derive_set_peer(context.get(), other) == 1 &&
              EVP_PKEY_derive(context.get(), secret.data(), &size) == 1);
}

double openssl_seconds(double seconds) {
  const Key identity = make_key("ED25519");
  const Cost cost = measure(seconds, [&](std::uint64_t) {
    for (int side = 0; side < 2; ++side) sign_and_verify(identity.get());
    const Key left = make_key("X25519");
    const Key right = make_key("X25519");
    derive(left.get(), right.get());
    derive(right.get(), left.get());
  });
  return cost.us() * 1e-6;
}

double nettle_seconds(double seconds) {
  const Secret identity{1};
  Secret public_key{};
  ed25519_sha512_public_key(public_key.data(), identity.data());
  const Secret left{2};
  const Secret right{3};
  const Cost cost = measure(seconds, [&](std::uint64_t) {
    for (int side = 0; side < 2; ++side) {
      Signature signature{};
      ed25519_sha512_sign(public_key.data(), identity.data(), kSigned.size(), kSigned.data(),
                          signature.data());
      TAYGA_CHECK(ed25519_sha512_verify(public_key.data(), kSigned.size(), kSigned.data(),
                                        signature.data()) == 1);
    }
    Secret left_public{};
    Secret right_public{};
    curve25519_mul_g(left_public.data(), left.data());
    curve25519_mul_g(right_public.data(), right.data());
    Secret secret{};
    curve25519_mul(secret.data(), left.data(), right_public.data());
    curve25519_mul(secret.data(), right.data(), left_public.data());
  });
  return cost.us() * 1e-6;
}

}  // namespace

HandshakeCrypto measure_handshake_crypto(double seconds) {
  return {openssl_seconds(seconds), nettle_seconds(seconds)};
}

}  // namespace tayga::bench
