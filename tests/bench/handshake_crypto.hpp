#pragma once

namespace tayga::bench {

/// CPU seconds of what one mutual handshake cannot do without, both sides together: two Ed25519
/// signatures, two verifications, two X25519 keys made and two secrets derived.
struct HandshakeCrypto {
  double openssl_s = 0;  ///< as the TLS transport's library does it
  double nettle_s = 0;   ///< as the QUIC transport's library does it
};
HandshakeCrypto measure_handshake_crypto(double seconds);

}  // namespace tayga::bench
