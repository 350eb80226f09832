#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/transport/quic/ngtcp2_shim.hpp"
#include "common/transport/session.hpp"

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace tayga::transport::quic {

/// All that QUIC needs of a TLS library. One implementation is compiled in: crypto_gnutls.cpp
/// (Debian); OpenWrt's ngtcp2 is built on OpenSSL and gets a file of its own.

inline constexpr std::size_t kTicketKeySize = 64;

/// Our key and certificate, as the library holds them; shared by all connections.
class Credentials {
 public:
  Credentials() = default;
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;
  virtual ~Credentials() = default;
};
/// Throws std::runtime_error when the library cannot do TLS 1.3 with Ed25519.
std::shared_ptr<const Credentials> make_credentials(
    const crypto::SigningKey& identity, std::span<const std::byte, kTicketKeySize> ticket_key);

/// One connection's handshake: mutual, Ed25519, ALPN `tayga/1`, X25519.
class Handshaker {
 public:
  Handshaker() = default;
  Handshaker(const Handshaker&) = delete;
  Handshaker& operator=(const Handshaker&) = delete;
  virtual ~Handshaker() = default;

  /// For ngtcp2_conn_set_tls_native_handle.
  [[nodiscard]] virtual void* native() const noexcept = 0;
  /// The key that the peer proved; also after a resumption, where it proved it the first time.
  [[nodiscard]] virtual std::optional<NodeId> peer() const = 0;
  [[nodiscard]] virtual bool resumed() const noexcept = 0;
  /// The peer proved another key than the expected one.
  [[nodiscard]] virtual bool wrong_peer() const noexcept = 0;
  /// Acceptor, handshake completed: gives the peer a ticket for its next connection.
  virtual void send_ticket() = 0;
  /// Dialer: what a later connection to the same peer can resume() from; once per ticket received.
  [[nodiscard]] virtual std::optional<Bytes> take_ticket() = 0;
};

struct HandshakeSetup {
  Side side;
  std::optional<NodeId> expected;  ///< nullopt: any proven key
  ByteView ticket;                 ///< dialer: of an earlier connection to `expected`, or empty
  ngtcp2_crypto_conn_ref* conn_ref;
};
/// nullptr when the library is out of memory. An unusable ticket is ignored.
std::unique_ptr<Handshaker> make_handshaker(const std::shared_ptr<const Credentials>& credentials,
                                            const HandshakeSetup& setup);

}  // namespace tayga::transport::quic
