#include "common/transport/tls/context.hpp"

#include "common/crypto/certificate.hpp"
#include "common/transport/cpu_features.hpp"
#include "common/transport/tls/engine.hpp"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <stdexcept>

namespace tayga::transport::tls {
namespace {

/// Our certificates have about 300 bytes; a stranger gets no room for more.
constexpr long kPeerCertificatesMax = 4 * 1024;
/// A server's chain of a few certificates of any kind.
constexpr long kFetchedCertificatesMax = 32 * 1024;

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
struct CertificateDeleter {
  void operator()(X509* certificate) const noexcept { X509_free(certificate); }
};
struct BioDeleter {
  void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};
using Certificate = std::unique_ptr<X509, CertificateDeleter>;

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error{"TLS: " + what + ": " + take_openssl_error()};
}

void require(bool done, const char* what) {
  if (!done) fail(what);
}

Certificate to_certificate(const std::string& pem) {
  const std::unique_ptr<BIO, BioDeleter> bio{
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
  Certificate certificate{bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr};
  if (!certificate) fail("cannot read our certificate");
  return certificate;
}

void use_identity(SSL_CTX* context, const crypto::SigningKey& identity) {
  auto seed = identity.seed();
  const std::unique_ptr<EVP_PKEY, KeyDeleter> key{
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, as_uchar(seed), seed.size())};
  OPENSSL_cleanse(seed.data(), seed.size());
  require(key != nullptr, "cannot load our key");
  const Certificate certificate =
      to_certificate(crypto::make_self_signed_certificate(identity, "tayga"));
  require(SSL_CTX_use_certificate(context, certificate.get()) == 1, "cannot use our certificate");
  require(SSL_CTX_use_PrivateKey(context, key.get()) == 1, "cannot use our key");
}

Context make_context(const crypto::SigningKey& identity, Side side) {
  Context context{SSL_CTX_new(side == Side::dialer ? TLS_client_method() : TLS_server_method())};
  require(context != nullptr, "no context");
  SSL_CTX* const raw = context.get();
  require(SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION) == 1, "no TLS 1.3");
  const char* const suites = cpu_has_aes() ? "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
                                           : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256";
  require(SSL_CTX_set_ciphersuites(raw, suites) == 1, "no cipher suite");
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                               SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_clear_mode(raw, SSL_MODE_AUTO_RETRY);  // so that the Engine sees records without data
  use_identity(raw, identity);
  return context;
}

/// One ALPN name as it goes over the wire.
template <std::size_t Size>
constexpr std::array<unsigned char, Size> alpn_wire(const char (&name)[Size]) {
  std::array<unsigned char, Size> wire{static_cast<unsigned char>(Size - 1)};
  for (std::size_t i = 0; i + 1 < Size; ++i) wire[i + 1] = static_cast<unsigned char>(name[i]);
  return wire;
}
constexpr auto kPeerAlpnWire = alpn_wire("tayga/1");
constexpr auto kFetchAlpnWire = alpn_wire("h2");

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned in_size, void*) {
  unsigned char* selected = nullptr;
  const int result = SSL_select_next_proto(&selected, out_size, kPeerAlpnWire.data(),
                                           kPeerAlpnWire.size(), in, in_size);
  if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Context make_peer_context(const crypto::SigningKey& identity, Side side) {
  Context context = make_context(identity, side);
  SSL_CTX* const raw = context.get();
  require(SSL_CTX_set1_groups_list(raw, "X25519") == 1, "no X25519");
  require(SSL_CTX_set1_sigalgs_list(raw, "ed25519") == 1, "no Ed25519");
  SSL_CTX_set_max_cert_list(raw, kPeerCertificatesMax);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(raw, &Engine::verify_certificate, nullptr);
  if (side == Side::acceptor) {
    SSL_CTX_set_alpn_select_cb(raw, &select_alpn, nullptr);
  } else {
    require(SSL_CTX_set_alpn_protos(raw, kPeerAlpnWire.data(), kPeerAlpnWire.size()) == 0,
            "no ALPN");
  }
  return context;
}

Context make_fetch_context(const crypto::SigningKey& identity) {
  Context context = make_context(identity, Side::dialer);
  SSL_CTX_set_max_cert_list(context.get(), kFetchedCertificatesMax);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  require(SSL_CTX_set_alpn_protos(context.get(), kFetchAlpnWire.data(), kFetchAlpnWire.size()) == 0,
          "no ALPN");
  return context;
}

std::string take_openssl_error() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* const reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "no reason given" : reason;
}

}  // namespace tayga::transport::tls
