#pragma once

#include "common/crypto/ed25519.hpp"
#include "common/transport/session.hpp"

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

namespace tayga::transport::tls {

struct ContextDeleter {
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
};
using Context = std::unique_ptr<SSL_CTX, ContextDeleter>;

inline constexpr std::string_view kAlpn = "tayga/1";

/// For peer sessions: TLS 1.3 only, X25519, Ed25519 certificates both ways, no resumption (it would
/// skip the certificates), ALPN `tayga/1`. An Engine on it checks the peer's key.
/// Throws std::runtime_error when OpenSSL cannot do this.
Context make_peer_context(const crypto::SigningKey& identity, Side side);

/// For fetching a server's certificates: TLS 1.3, ALPN `h2`, our certificate when asked; believes
/// anybody, so nothing but the certificates may be taken from such a connection.
/// Throws std::runtime_error when OpenSSL cannot do this.
Context make_fetch_context(const crypto::SigningKey& identity);

/// The reason of OpenSSL's last failure in this thread, and forgets it; never empty.
std::string take_openssl_error();

}  // namespace tayga::transport::tls
