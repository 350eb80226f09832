#include "tests/integration/hostile_quic_peer.hpp"

#include "common/async/clock.hpp"
#include "common/crypto/hash.hpp"
#include "common/transport/quic/udp_address.hpp"
#include "common/wire/frame.hpp"
#include "tests/support/catch.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace tayga::transport {
namespace {

constexpr std::size_t kPacketMax = 1400;

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(async::Clock::now().time_since_epoch().count()) * 1000U;
}

void fill_random(std::uint8_t* out, std::size_t size, const ngtcp2_rand_ctx*) {
  crypto::random_bytes(std::as_writable_bytes(std::span{out, size}));
}

}  // namespace

/// Those of the library's own that see its keys pass by; one peer shakes hands at a time.
struct HostileQuicPeer::Callbacks {
  inline static Keys* keys = nullptr;
  inline static bool mask_is_next = false;

  static ngtcp2_conn* get_conn(ngtcp2_crypto_conn_ref* ref) {
    return static_cast<HostileQuicPeer*>(ref->user_data)->conn_.get();
  }
  static int encrypt(std::uint8_t* out, const ngtcp2_crypto_aead* aead,
                     const ngtcp2_crypto_aead_ctx* context, const std::uint8_t* plain,
                     std::size_t plain_size, const std::uint8_t* nonce, std::size_t nonce_size,
                     const std::uint8_t* header, std::size_t header_size) {
    const bool is_short = header_size > 0 && (header[0] & 0x80U) == 0;
    if (keys != nullptr && is_short && !keys->has_aead && nonce_size == keys->iv.size()) {
      keys->aead = *aead;
      keys->aead_context = *context;
      // The packet number is below 256 in the first packets: only its last byte is not zero.
      std::copy_n(nonce, nonce_size, keys->iv.begin());
      keys->iv.back() ^= header[header_size - 1];
      keys->has_aead = true;
      mask_is_next = true;
    }
    return ngtcp2_crypto_encrypt_cb(out, aead, context, plain, plain_size, nonce, nonce_size,
                                    header, header_size);
  }
  static int mask(std::uint8_t* out, const ngtcp2_crypto_cipher* cipher,
                  const ngtcp2_crypto_cipher_ctx* context, const std::uint8_t* sample) {
    if (keys != nullptr && mask_is_next) {
      keys->mask = *cipher;
      keys->mask_context = *context;
      keys->has_mask = true;
      mask_is_next = false;
    }
    return ngtcp2_crypto_hp_mask_cb(out, cipher, context, sample);
  }
  static int new_connection_id(ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token, std::size_t size,
                               void*) {
    id->datalen = size;
    fill_random(id->data, size, nullptr);
    fill_random(token, NGTCP2_STATELESS_RESET_TOKENLEN, nullptr);
    return 0;
  }
  static int completed(ngtcp2_conn*, void* user) {
    static_cast<HostileQuicPeer*>(user)->completed_ = true;
    return 0;
  }

  static ngtcp2_callbacks make() {
    ngtcp2_callbacks c{};
    c.client_initial = ngtcp2_crypto_client_initial_cb;
    c.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    c.encrypt = encrypt;
    c.decrypt = ngtcp2_crypto_decrypt_cb;
    c.hp_mask = mask;
    c.recv_retry = ngtcp2_crypto_recv_retry_cb;
    c.update_key = ngtcp2_crypto_update_key_cb;
    c.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    c.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    c.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
    c.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
    c.rand = fill_random;
    c.get_new_connection_id = new_connection_id;
    c.handshake_completed = completed;
    return c;
  }
};

HostileQuicPeer::HostileQuicPeer(const Endpoint& to)
    : fd_{::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)},
      remote_{quic::UdpAddress::from(to)},
      credentials_{quic::make_credentials(crypto::SigningKey::generate(),
                                          std::array<std::byte, quic::kTicketKeySize>{})} {
  REQUIRE(fd_ >= 0);
  REQUIRE(::connect(fd_, remote_.data(), remote_.size()) == 0);
  local_ = remote_;
  socklen_t size = local_.size();
  REQUIRE(::getsockname(fd_, local_.data(), &size) == 0);
  make_connection();
}

HostileQuicPeer::~HostileQuicPeer() {
  if (Callbacks::keys == &keys_) Callbacks::keys = nullptr;
  ::close(fd_);
}

void HostileQuicPeer::make_connection() {
  ngtcp2_settings settings;
  ngtcp2_settings_default(&settings);
  settings.initial_ts = now_ns();
  ngtcp2_transport_params params;
  ngtcp2_transport_params_default(&params);
  params.initial_max_data = 1 << 20;
  params.initial_max_stream_data_uni = 1 << 20;
  params.initial_max_stream_data_bidi_local = 1 << 20;
  params.initial_max_streams_uni = 64;
  params.active_connection_id_limit = 7;
  params.max_idle_timeout = 60 * NGTCP2_SECONDS;
  ngtcp2_cid dcid{};
  ngtcp2_cid scid{};
  dcid.datalen = 18;
  scid.datalen = 8;
  fill_random(dcid.data, dcid.datalen, nullptr);
  fill_random(scid.data, scid.datalen, nullptr);
  const ngtcp2_callbacks callbacks = Callbacks::make();
  const ngtcp2_path where = path();
  ngtcp2_conn* conn = nullptr;
  REQUIRE(ngtcp2_conn_client_new(&conn, &dcid, &scid, &where, NGTCP2_PROTO_VER_V1, &callbacks,
                                 &settings, &params, nullptr, this) == 0);
  conn_.reset(conn);
  conn_ref_.get_conn = &Callbacks::get_conn;
  conn_ref_.user_data = this;
  // Whom it talks to it does not care.
  handshaker_ = quic::make_handshaker(credentials_, {Side::dialer, std::nullopt, {}, &conn_ref_});
  REQUIRE(handshaker_);
  ngtcp2_conn_set_tls_native_handle(conn_.get(), handshaker_->native());
}

ngtcp2_path HostileQuicPeer::path() noexcept {
  return {{local_.data(), local_.size()}, {remote_.data(), remote_.size()}, nullptr};
}

bool HostileQuicPeer::exchange() {
  std::array<std::uint8_t, 2048> buffer;
  const ngtcp2_path where = path();
  const ngtcp2_pkt_info info{};
  ssize_t got = 0;
  while ((got = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0) {
    const int result = ngtcp2_conn_read_pkt(conn_.get(), &where, &info, buffer.data(),
                                            static_cast<std::size_t>(got), now_ns());
    if (result != 0) return false;
  }
  for (;;) {
    ngtcp2_pkt_info out{};
    const ngtcp2_ssize size =
        ngtcp2_conn_write_pkt(conn_.get(), nullptr, &out, buffer.data(), buffer.size(), now_ns());
    if (size < 0) return false;
    if (size == 0) return true;
    (void)::send(fd_, buffer.data(), static_cast<std::size_t>(size), 0);
  }
}

bool HostileQuicPeer::handshake(boost::asio::io_context& io) {
  Callbacks::keys = &keys_;
  for (int i = 0; i < 2000 && !keys_.has_mask; ++i) {
    if (!exchange()) return false;
    io.restart();
    io.run_for(std::chrono::milliseconds{1});
    std::int64_t stream = -1;
    // Its first packet under the last keys: a frame of a session on the control stream.
    if (!completed_ || ngtcp2_conn_open_bidi_stream(conn_.get(), &stream, nullptr) != 0) continue;
    Bytes hello = wire::serialize_frame(wire::FrameType::control, Bytes(20));
    std::array<std::uint8_t, kPacketMax> packet;
    ngtcp2_pkt_info out{};
    ngtcp2_ssize taken = 0;
    const ngtcp2_ssize size = ngtcp2_conn_write_stream(
        conn_.get(), nullptr, &out, packet.data(), packet.size(), &taken, 0, stream,
        reinterpret_cast<const std::uint8_t*>(hello.data()), hello.size(), now_ns());
    if (size > 0) (void)::send(fd_, packet.data(), static_cast<std::size_t>(size), 0);
  }
  Callbacks::keys = nullptr;
  return keys_.has_aead && keys_.has_mask;
}

void HostileQuicPeer::send(ByteView frames) {
  REQUIRE(frames.size() >= 4);
  constexpr std::size_t kNumberSize = 4;
  const ngtcp2_cid* const to = ngtcp2_conn_get_dcid(conn_.get());
  std::array<std::uint8_t, kPacketMax + 64> packet;
  std::size_t header_size = 0;
  packet[header_size++] = 0x40 | (kNumberSize - 1);
  std::copy_n(to->data, to->datalen, packet.data() + header_size);
  header_size += to->datalen;
  const std::uint64_t number = next_number_++;
  std::array<std::uint8_t, 12> nonce = keys_.iv;
  for (std::size_t i = 0; i < sizeof number; ++i) {
    nonce[nonce.size() - 1 - i] ^= static_cast<std::uint8_t>(number >> (8 * i));
  }
  for (std::size_t i = 0; i < kNumberSize; ++i) {
    packet[header_size++] = static_cast<std::uint8_t>(number >> (8 * (kNumberSize - 1 - i)));
  }
  REQUIRE(ngtcp2_crypto_encrypt(packet.data() + header_size, &keys_.aead, &keys_.aead_context,
                                as_uchar(frames), frames.size(), nonce.data(), nonce.size(),
                                packet.data(), header_size) == 0);
  std::array<std::uint8_t, 16> mask{};
  // The sample begins four bytes behind the begin of the number, whose size is four.
  REQUIRE(ngtcp2_crypto_hp_mask(mask.data(), &keys_.mask, &keys_.mask_context,
                                packet.data() + header_size) == 0);
  packet[0] = static_cast<std::uint8_t>(packet[0] ^ (mask[0] & 0x1fU));
  for (std::size_t i = 0; i < kNumberSize; ++i) {
    packet[header_size - kNumberSize + i] ^= mask[1 + i];
  }
  (void)::send(fd_, packet.data(), header_size + frames.size() + keys_.aead.max_overhead,
               MSG_NOSIGNAL);
}

void HostileQuicPeer::drain() {
  std::array<char, 2048> buffer;
  while (::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
  }
}

FrameBuilder& FrameBuilder::byte(unsigned value) {
  bytes_.push_back(static_cast<std::byte>(value));
  return *this;
}

FrameBuilder& FrameBuilder::number(std::uint64_t value) {
  const unsigned power = value < 64 ? 0 : value < 16'384 ? 1 : value < (1U << 30U) ? 2 : 3;
  const unsigned size = 1U << power;
  for (unsigned i = size; i-- > 0;) {
    const auto part = static_cast<unsigned>(value >> (8 * i)) & 0xffU;
    byte(i + 1 == size ? part | power << 6U : part);
  }
  return *this;
}

FrameBuilder& FrameBuilder::zeros(std::size_t count) {
  bytes_.resize(bytes_.size() + count);
  return *this;
}

}  // namespace tayga::transport
