#pragma once

#include "common/crypto/ed25519.hpp"
#include "common/transport/flush_pacer.hpp"
#include "common/transport/transport.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/address.hpp>

#include <cstdint>
#include <memory>
#include <optional>

namespace tayga::transport::tls {

/// Several transports on one port, one a worker thread: the kernel spreads connections over them.
enum class PortSharing : std::uint8_t {
  none,
  first,    ///< makes the group; refused when another program has the port
  further,  ///< joins the group that a `first` of this user made
};

struct TlsOptions {
  std::size_t sessions_max = 256;
  std::size_t half_open_max = 256;
  std::size_t half_open_per_prefix_max = 32;  ///< per IPv4 /24 or IPv6 /48
  /// Of one prefix, per second; sessions_max of them, at least 64, may come at once.
  std::uint32_t handshakes_per_prefix = 64;
  Duration handshake_timeout = 5s;
  std::size_t flush_bytes = 16 * 1024;    ///< a child is written to at this many queued bytes ...
  FlushDelay flush_delay;                 ///< ... or after this long, which follows our load
  Duration idle_max = kSessionIdleMax;    ///< a session that hears nothing for so long is closed
  Duration stall_max = kSessionStallMax;  ///< and so is one whose peer takes nothing for so long
  std::optional<boost::asio::ip::address>
      source_address;  ///< of dials; nullopt = the system's choice
  PortSharing port_sharing = PortSharing::none;
};

/// TLS 1.3 over TCP: mutual, self-signed Ed25519 certificates, ALPN `tayga/1`; a dialer pins the
/// acceptor's key, an acceptor takes any proven key (what a peer may do is its owner's decision).
/// The owner may destroy a Session, or the transport, from inside any callback. After close()
/// frames that still arrive are dropped. Everything must be destroyed before the executor's
/// context. Throws std::runtime_error when OpenSSL or the system cannot provide what is needed.
/// Implementation notes: OpenSSL memory BIOs, writes of 64-128 KiB, TCP_NODELAY, RTT from TCP_INFO.
std::unique_ptr<Transport> make_tls_transport(boost::asio::any_io_executor executor,
                                              const crypto::SigningKey& identity,
                                              const TlsOptions& options);

}  // namespace tayga::transport::tls
