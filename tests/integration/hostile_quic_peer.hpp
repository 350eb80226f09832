#pragma once

#include "common/base/bytes.hpp"
#include "common/transport/quic/crypto_backend.hpp"
#include "common/transport/quic/udp_address.hpp"
#include "common/transport/session.hpp"

#include <boost/asio/io_context.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace tayga::transport {

/// A QUIC client with a good key that then does as the test likes: the library shakes hands for it,
/// and lends it its keys; every later packet is made here, of whatever frames the test gives.
class HostileQuicPeer {
 public:
  explicit HostileQuicPeer(const Endpoint& to);
  ~HostileQuicPeer();
  HostileQuicPeer(const HostileQuicPeer&) = delete;
  HostileQuicPeer& operator=(const HostileQuicPeer&) = delete;

  /// Completes the handshake while the other end runs on `io`. False: refused.
  bool handshake(boost::asio::io_context& io);
  /// One packet with `frames` as its payload. Pre: handshake() was true, 4 <= size <= 1300.
  void send(ByteView frames);
  /// Reads and writes what there is for the library; false: the connection is over.
  bool exchange();
  /// Forgets what came.
  void drain();

 private:
  struct Keys {
    ngtcp2_crypto_aead aead{};
    ngtcp2_crypto_aead_ctx aead_context{};
    std::array<std::uint8_t, 12> iv{};
    bool has_aead = false;
    ngtcp2_crypto_cipher mask{};
    ngtcp2_crypto_cipher_ctx mask_context{};
    bool has_mask = false;
  };
  struct Callbacks;
  struct Deleter {
    void operator()(ngtcp2_conn* conn) const noexcept { ngtcp2_conn_del(conn); }
  };

  void make_connection();
  [[nodiscard]] ngtcp2_path path() noexcept;

  int fd_;
  quic::UdpAddress local_;
  quic::UdpAddress remote_;
  std::shared_ptr<const quic::Credentials> credentials_;
  std::unique_ptr<quic::Handshaker> handshaker_;
  ngtcp2_crypto_conn_ref conn_ref_{};
  std::unique_ptr<ngtcp2_conn, Deleter> conn_;
  bool completed_ = false;
  Keys keys_;
  std::uint64_t next_number_ = 1'000'000;  // far above the library's
};

/// Pieces of QUIC frames (RFC 9000, 16 and 19).
class FrameBuilder {
 public:
  FrameBuilder& byte(unsigned value);
  FrameBuilder& number(std::uint64_t value);  ///< in the shortest form
  FrameBuilder& zeros(std::size_t count);
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }
  [[nodiscard]] const Bytes& bytes() const noexcept { return bytes_; }

 private:
  Bytes bytes_;
};

}  // namespace tayga::transport
