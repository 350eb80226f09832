#pragma once

#include "common/base/bytes.hpp"
#include "common/base/ids.hpp"
#include "common/transport/session.hpp"

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tayga::transport::tls {

/// One TLS connection between bytes and bytes: no socket, no clock.
///
/// OpenSSL reads the caller's input buffer and writes to the caller's output buffer through a BIO
/// of our own, so that one wake-up's records are taken from one read and leave in one send, and an
/// idle connection holds no buffer. `in` is advanced over what was used; what a call adds to `out`
/// must be sent in order. Not thread-safe.
class Engine {
 public:
  enum class Status {
    ok,
    want_input,  ///< `in` is used up
    closed,      ///< the peer closed in order (close_notify)
    failed,      ///< broken; failure() says why; `out` may hold a last alert
  };
  struct Read {
    Status status;
    std::size_t size;
    std::uint32_t idle_records;  ///< before it that had no data: KeyUpdate, empty
  };

  /// `context` is one of context.hpp for this side. A peer with another key than `expected` fails
  /// the handshake; nullopt takes any proven key. `server_name` (SNI) is for a dialer to a named
  /// host.
  Engine(SSL_CTX* context, Side side, std::optional<NodeId> expected,
         const std::string& server_name = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// Call until ok, feeding it what the peer sends. ok may leave application data in `in`.
  Status handshake(ByteView& in, Bytes& out);
  /// Decrypts at most one record with data (16 KiB) into `plain`. ok with size 0: only records
  /// without data; call again. Count those: a flood of them is cheap for the peer alone.
  Read read(ByteView& in, std::span<std::byte> plain, Bytes& out);
  /// Encrypts `plain` in records of up to 16 KiB. Changes the key in time. False: broken.
  [[nodiscard]] bool write(ByteView plain, Bytes& out);
  /// Says to the peer that nothing more will come.
  void close(Bytes& out);

  /// The key that the peer proved; set once handshake() gave ok on a peer context.
  [[nodiscard]] const std::optional<NodeId>& peer() const noexcept { return peer_; }
  [[nodiscard]] bool wrong_peer() const noexcept { return wrong_peer_; }
  [[nodiscard]] bool has_peer_alpn() const noexcept;
  /// DER of what the peer presented, its own certificate first.
  [[nodiscard]] std::vector<Bytes> peer_chain() const;
  [[nodiscard]] const std::string& failure() const noexcept { return failure_; }

  /// SSL_CTX_set_cert_verify_callback: the leaf's Ed25519 key is the only thing that counts.
  static int verify_certificate(X509_STORE_CTX* store, void* unused);

 private:
  struct Bio;
  struct Deleter {
    void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
  };

  static void on_message(int is_write, int version, int content_type, const void* data,
                         std::size_t size, SSL* ssl, void* engine);
  Status status_of(int result);
  [[nodiscard]] bool count_written(std::size_t plain_size);

  std::unique_ptr<SSL, Deleter> ssl_;
  std::optional<NodeId> expected_;
  std::optional<NodeId> peer_;
  bool wrong_peer_ = false;
  std::string failure_;
  ByteView* in_ = nullptr;  // of the call under way
  Bytes* out_ = nullptr;
  std::uint32_t records_read_ = 0;     // since the last that read() told of
  bool starved_ = false;               // OpenSSL asked for more input than there was
  std::uint64_t records_written_ = 0;  // under the key of now
};

}  // namespace tayga::transport::tls
