#include "common/crypto/pem.hpp"

#include "common/crypto/certificate.hpp"
#include "common/crypto/openssl.hpp"

#include <openssl/pem.h>
#include <sodium.h>

#include <array>

namespace tayga::crypto {
namespace {

/// The first block of a PEM text as OpenSSL hands it out; wiped, because it may hold a secret.
struct PemBlock {
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;

  PemBlock() = default;
  PemBlock(const PemBlock&) = delete;
  PemBlock& operator=(const PemBlock&) = delete;
  ~PemBlock() {
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, static_cast<std::size_t>(size));
  }
};

bool ends_with_private_key(std::string_view label) {
  return label.ends_with("PRIVATE KEY");
}

}  // namespace

openssl::PkeyPtr openssl::to_pkey(const SigningKey& key) {
  std::array<std::byte, 32> seed = key.seed();
  PkeyPtr pkey{
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, as_uchar(seed), seed.size())};
  sodium_memzero(seed.data(), seed.size());
  TAYGA_CHECK(pkey != nullptr);
  return pkey;
}

std::string to_pkcs8_pem(const SigningKey& key) {
  const openssl::ErrorQueueGuard guard;
  const openssl::PkeyPtr pkey = openssl::to_pkey(key);
  // Secure memory BIO: its buffer is wiped when it is freed.
  const openssl::BioPtr bio{BIO_new(BIO_s_secmem())};
  TAYGA_CHECK(bio != nullptr);
  TAYGA_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), pkey.get(), nullptr, nullptr, 0, nullptr,
                                            nullptr) == 1);
  return openssl::text_of(bio);
}

std::variant<SigningKey, PemKeyError> parse_pkcs8_pem(std::string_view text) {
  const openssl::ErrorQueueGuard guard;
  const openssl::BioPtr bio = openssl::read_from(text);
  PemBlock block;
  if (PEM_read_bio(bio.get(), &block.name, &block.header, &block.data, &block.size) != 1) {
    return PemKeyError::no_pem;
  }
  const std::string_view label{block.name};
  const bool legacy_encrypted =
      std::string_view{block.header}.find("ENCRYPTED") != std::string_view::npos;
  if (label == PEM_STRING_PKCS8 || legacy_encrypted) return PemKeyError::encrypted;
  if (label != PEM_STRING_PKCS8INF) {
    return ends_with_private_key(label) ? PemKeyError::other_key : PemKeyError::not_private;
  }

  const unsigned char* at = block.data;
  const openssl::PkeyPtr pkey{d2i_AutoPrivateKey(nullptr, &at, block.size)};
  if (pkey == nullptr || at != block.data + block.size) return PemKeyError::damaged;
  if (EVP_PKEY_get_base_id(pkey.get()) != EVP_PKEY_ED25519) return PemKeyError::other_key;

  std::array<std::byte, 32> seed;
  std::size_t size = seed.size();
  if (EVP_PKEY_get_raw_private_key(pkey.get(), reinterpret_cast<unsigned char*>(seed.data()),
                                   &size) != 1 ||
      size != seed.size()) {
    return PemKeyError::damaged;
  }
  SigningKey key = SigningKey::from_seed(seed);
  sodium_memzero(seed.data(), seed.size());
  return key;
}

}  // namespace tayga::crypto
