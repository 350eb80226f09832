#include "common/crypto/hash.hpp"

#include "common/base/check.hpp"
#include "common/crypto/ed25519.hpp"

#include <openssl/evp.h>
#include <sodium.h>

namespace tayga::crypto {
namespace {

/// Fetched once: an implicit fetch on every call costs more than hashing a small chunk. Never
/// freed, because OpenSSL's own exit handler may run before ours.
const EVP_MD* sha256_algorithm() noexcept {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  TAYGA_CHECK(algorithm != nullptr);
  return algorithm;
}

EVP_MD_CTX* as_context(void* context) noexcept {
  return static_cast<EVP_MD_CTX*>(context);
}

// The EVP calls fail only when memory ends; there is no digest to give back then.
void start(EVP_MD_CTX* context) noexcept {
  TAYGA_CHECK(EVP_DigestInit_ex2(context, sha256_algorithm(), nullptr) == 1);
}

void feed(EVP_MD_CTX* context, ByteView data) noexcept {
  TAYGA_CHECK(EVP_DigestUpdate(context, data.data(), data.size()) == 1);
}

Sha256Digest take(EVP_MD_CTX* context) noexcept {
  Sha256Digest digest;
  unsigned size = 0;
  auto* out = reinterpret_cast<unsigned char*>(digest.data());
  TAYGA_CHECK(EVP_DigestFinal_ex(context, out, &size) == 1 && size == digest.size());
  return digest;
}

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};

}  // namespace

Sha256Digest sha256(ByteView data) noexcept {
  // One context per thread: creating one costs about as much as hashing 512 bytes.
  thread_local const std::unique_ptr<EVP_MD_CTX, ContextDeleter> context{EVP_MD_CTX_new()};
  TAYGA_CHECK(context != nullptr);
  start(context.get());
  feed(context.get(), data);
  return take(context.get());
}

void Sha256::Deleter::operator()(void* context) const noexcept {
  EVP_MD_CTX_free(as_context(context));
}

Sha256::Sha256() : context_{EVP_MD_CTX_new()} {
  TAYGA_CHECK(context_ != nullptr);
  start(as_context(context_.get()));
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(ByteView data) noexcept {
  feed(as_context(context_.get()), data);
}

Sha256Digest Sha256::finish() noexcept {
  const Sha256Digest digest = take(as_context(context_.get()));
  start(as_context(context_.get()));
  return digest;
}

StreamHandle stream_handle(const StreamId& stream,
                           std::span<const std::byte, 32> epoch_secret) noexcept {
  StreamHandle handle;
  TAYGA_CHECK(crypto_generichash_blake2b(reinterpret_cast<unsigned char*>(handle.bytes.data()),
                                         handle.bytes.size(), as_uchar(stream.view()),
                                         stream.bytes.size(), as_uchar(epoch_secret),
                                         epoch_secret.size()) == 0);
  return handle;
}

bool equal_constant_time(ByteView a, ByteView b) noexcept {
  return a.size() == b.size() && sodium_memcmp(a.data(), b.data(), a.size()) == 0;
}

void random_bytes(std::span<std::byte> out) noexcept {
  if (out.empty()) return;
  init();
  randombytes_buf(out.data(), out.size());
}

}  // namespace tayga::crypto
