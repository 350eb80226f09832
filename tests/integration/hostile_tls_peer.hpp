#pragma once

#include "common/base/bytes.hpp"
#include "common/base/time.hpp"
#include "common/transport/session.hpp"
#include "common/transport/tls/context.hpp"

#include <boost/asio/io_context.hpp>
#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace tayga::transport {

/// A peer with a good key that then does as the test likes: it speaks TLS through OpenSSL on a
/// socket of its own, and can also seal records that OpenSSL would never send.
class HostileTlsPeer {
 public:
  struct Options {
    int receive_buffer = 0;  ///< 0: the system's choice
    std::optional<std::string> source;
  };

  explicit HostileTlsPeer(const Endpoint& to) : HostileTlsPeer(to, Options{}) {}
  HostileTlsPeer(const Endpoint& to, const Options& options);
  ~HostileTlsPeer();
  HostileTlsPeer(const HostileTlsPeer&) = delete;
  HostileTlsPeer& operator=(const HostileTlsPeer&) = delete;

  /// Completes the handshake while the other end runs on `io`. False: refused.
  bool handshake(boost::asio::io_context& io);

  /// Sends `data` through OpenSSL; false: the connection is gone. What the kernel does not take now
  /// is lost, as is everything after it: for floods.
  bool write(ByteView data);
  bool update_key();
  /// A record of `data` alone, sealed here. Not to be mixed with write() or update_key().
  bool write_record(ByteView data);

  /// Reads and forgets what is there.
  void drain();
  /// The other end has closed, or reset, the connection.
  bool is_closed();

 private:
  struct SslDeleter {
    void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
  };
  static void on_key(const SSL* ssl, const char* line);
  bool send_all(ByteView data);

  int fd_;
  tls::Context context_;
  std::unique_ptr<SSL, SslDeleter> ssl_;
  std::array<unsigned char, 16> key_{};
  std::array<unsigned char, 12> iv_{};
  std::uint64_t records_ = 0;
};

}  // namespace tayga::transport
