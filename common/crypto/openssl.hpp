#pragma once

#include "common/base/bytes.hpp"
#include "common/base/check.hpp"
#include "common/crypto/ed25519.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

// Ownership of OpenSSL's objects. Included by the .cpp files of this folder only.
namespace tayga::crypto::openssl {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};

using BioPtr = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using PkeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using X509Ptr = std::unique_ptr<X509, Deleter<X509_free>>;
using ExtensionPtr = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;

/// Leaves the thread's error queue as it found it. A stale entry would make the next SSL_get_error
/// on this thread blame an innocent session.
class ErrorQueueGuard {
 public:
  ErrorQueueGuard() noexcept { ERR_set_mark(); }
  ~ErrorQueueGuard() { ERR_pop_to_mark(); }
  ErrorQueueGuard(const ErrorQueueGuard&) = delete;
  ErrorQueueGuard& operator=(const ErrorQueueGuard&) = delete;
};

/// A read-only BIO over `text`, which must outlive it.
inline BioPtr read_from(std::string_view text) {
  BioPtr bio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
  TAYGA_CHECK(bio != nullptr);
  return bio;
}

inline BioPtr memory_bio() {
  BioPtr bio{BIO_new(BIO_s_mem())};
  TAYGA_CHECK(bio != nullptr);
  return bio;
}

inline std::string text_of(const BioPtr& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  TAYGA_CHECK(size >= 0);
  return {data, static_cast<std::size_t>(size)};
}

/// The private key as OpenSSL holds it.
PkeyPtr to_pkey(const SigningKey& key);

}  // namespace tayga::crypto::openssl
