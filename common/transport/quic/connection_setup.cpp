#include "common/base/check.hpp"
#include "common/crypto/hash.hpp"
#include "common/transport/quic/connection.hpp"
#include "common/transport/quic/connection_detail.hpp"

#include <utility>

// How a connection begins, and the way from the library back to it.

namespace tayga::transport::quic {
namespace {

/// DESIGN 13. Windows that grow with use are not for us: ngtcp2 0.12.1's tuning of them takes an
/// honest peer's packets for a breach of flow control once some come out of order. A flow may use
/// all of its connection's window, which alone bounds what is held.
constexpr std::uint64_t kConnectionWindow = 1024 * 1024;
constexpr std::uint64_t kStreamWindow = kConnectionWindow;
constexpr std::uint64_t kControlWindow = 64 * 1024;
constexpr std::uint64_t kStreamsMax = 256;

ngtcp2_cid to_cid(const ConnectionId& id) noexcept {
  ngtcp2_cid cid{};
  ngtcp2_cid_init(&cid, id.bytes.data(), id.size);
  return cid;
}

void fill_random(std::uint8_t* out, std::size_t size) noexcept {
  crypto::random_bytes(std::as_writable_bytes(std::span{out, size}));
}

ngtcp2_settings make_settings(const ConnectionOptions& options, std::uint64_t ts) {
  ngtcp2_settings settings;
  ngtcp2_settings_default(&settings);
  settings.initial_ts = ts;
  settings.cc_algo = options.use_cubic ? NGTCP2_CC_ALGO_CUBIC : NGTCP2_CC_ALGO_BBR;
  settings.max_tx_udp_payload_size = options.udp_payload_max;
  settings.handshake_timeout = to_ns(options.handshake_timeout);
  return settings;
}

ngtcp2_transport_params make_params(const ConnectionOptions& options) {
  ngtcp2_transport_params params;
  ngtcp2_transport_params_default(&params);
  params.initial_max_data = kConnectionWindow;
  params.initial_max_stream_data_uni = kStreamWindow;
  params.initial_max_stream_data_bidi_local = kControlWindow;
  params.initial_max_stream_data_bidi_remote = kControlWindow;
  params.initial_max_streams_uni = kStreamsMax;
  params.initial_max_streams_bidi = 1;
  params.max_idle_timeout = to_ns(options.idle_max);
  params.active_connection_id_limit = 7;
  return params;
}

}  // namespace

/// What ngtcp2 calls. Each runs inside one of the connection's own calls.
struct Connection::Callbacks {
  static Connection& of(void* user) { return *static_cast<Connection*>(user); }

  static ngtcp2_conn* get_conn(ngtcp2_crypto_conn_ref* ref) {
    return of(ref->user_data).conn_.get();
  }
  static void rand(std::uint8_t* out, std::size_t size, const ngtcp2_rand_ctx*) {
    fill_random(out, size);
  }
  static int new_connection_id(ngtcp2_conn*, ngtcp2_cid* cid, std::uint8_t* token, std::size_t size,
                               void* user) {
    Connection& self = of(user);
    const ConnectionId id = self.owner_.make_connection_id();
    if (size != id.size) return NGTCP2_ERR_CALLBACK_FAILURE;
    *cid = to_cid(id);
    self.owner_.make_reset_token(id, token);
    self.ids_.push_back(id);
    self.owner_.add_id(id, self);
    return 0;
  }
  static int remove_connection_id(ngtcp2_conn*, const ngtcp2_cid* cid, void* user) {
    Connection& self = of(user);
    const ConnectionId id = ConnectionId::from(*cid);
    std::erase(self.ids_, id);
    self.owner_.remove_id(id);
    return 0;
  }
  static int decrypt(std::uint8_t* out, const ngtcp2_crypto_aead* aead,
                     const ngtcp2_crypto_aead_ctx* context, const std::uint8_t* in,
                     std::size_t in_size, const std::uint8_t* nonce, std::size_t nonce_size,
                     const std::uint8_t* extra, std::size_t extra_size) {
    const int result = ngtcp2_crypto_decrypt_cb(out, aead, context, in, in_size, nonce, nonce_size,
                                                extra, extra_size);
    if (result == 0) {
      decrypted.any = true;
      decrypted.frames.add(std::as_bytes(std::span{out, in_size - aead->max_overhead}));
    }
    return result;
  }
  static int update_key(ngtcp2_conn* conn, std::uint8_t* rx_secret, std::uint8_t* tx_secret,
                        ngtcp2_crypto_aead_ctx* rx_context, std::uint8_t* rx_iv,
                        ngtcp2_crypto_aead_ctx* tx_context, std::uint8_t* tx_iv,
                        const std::uint8_t* rx_now, const std::uint8_t* tx_now, std::size_t size,
                        void* user) {
    if (!of(user).admit(FloodGuard::Kind::key_update)) return NGTCP2_ERR_CALLBACK_FAILURE;
    return ngtcp2_crypto_update_key_cb(conn, rx_secret, tx_secret, rx_context, rx_iv, tx_context,
                                       tx_iv, rx_now, tx_now, size, user);
  }
  static int handshake_completed(ngtcp2_conn*, void* user) {
    return of(user).on_handshake_completed();
  }
  static int handshake_confirmed(ngtcp2_conn*, void* user) {
    of(user).confirmed_ = true;
    return 0;
  }
  static int stream_open(ngtcp2_conn*, std::int64_t stream, void* user) {
    return of(user).on_stream_opened(stream);
  }
  static int stream_data(ngtcp2_conn*, std::uint32_t, std::int64_t stream, std::uint64_t,
                         const std::uint8_t* data, std::size_t size, void* user,
                         void* stream_data) {
    return of(user).on_stream_data(stream, std::as_bytes(std::span{data, size}), stream_data);
  }
  static int acknowledged(ngtcp2_conn*, std::int64_t, std::uint64_t offset, std::uint64_t size,
                          void* user, void* stream_data) {
    Connection& self = of(user);
    auto* const stream = static_cast<OutStream*>(stream_data);
    if (stream == nullptr) return 0;
    const std::size_t released = stream->on_acknowledged(offset + size);
    if (stream != &self.control_) self.held_media_ -= released;
    self.packet_acknowledged_ = true;
    self.progress_at_ = self.now_;
    return 0;
  }
  /// Our peers never reset a stream, and never ask us to: their frames would lose their borders.
  static int stream_reset(ngtcp2_conn*, std::int64_t, std::uint64_t, std::uint64_t, void* user,
                          void*) {
    return of(user).refuse("the peer reset a stream");
  }
  static int stop_sending(ngtcp2_conn*, std::int64_t, std::uint64_t, void* user, void*) {
    return of(user).refuse("the peer stopped a stream");
  }

  static ngtcp2_callbacks make() {
    ngtcp2_callbacks c{};
    c.client_initial = ngtcp2_crypto_client_initial_cb;
    c.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
    c.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
    c.encrypt = ngtcp2_crypto_encrypt_cb;
    c.decrypt = decrypt;
    c.hp_mask = ngtcp2_crypto_hp_mask_cb;
    c.recv_retry = ngtcp2_crypto_recv_retry_cb;
    c.update_key = update_key;
    c.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
    c.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
    c.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
    c.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
    c.rand = rand;
    c.get_new_connection_id = new_connection_id;
    c.remove_connection_id = remove_connection_id;
    c.handshake_completed = handshake_completed;
    c.handshake_confirmed = handshake_confirmed;
    c.stream_open = stream_open;
    c.recv_stream_data = stream_data;
    c.acked_stream_data_offset = acknowledged;
    c.stream_reset = stream_reset;
    c.stream_stop_sending = stop_sending;
    return c;
  }
};

// Making one.

Connection::Connection(const Setup& setup, Side side)
    : options_{*setup.options},
      owner_{*setup.owner},
      side_{side},
      first_path_{setup.path},
      now_{setup.now},
      last_heard_{setup.now},
      progress_at_{setup.now} {
  shim::close_error_default(close_error_);
  conn_ref_.get_conn = &Callbacks::get_conn;
  conn_ref_.user_data = this;
}

Connection::~Connection() {
  TAYGA_CHECK(phase_ == Phase::finished || conn_ == nullptr);
}

bool Connection::init_tls(const Setup& setup, const HandshakeSetup& handshake) {
  expected_ = handshake.expected;
  handshaker_ = make_handshaker(setup.credentials, handshake);
  if (!handshaker_) return false;
  ngtcp2_conn_set_tls_native_handle(conn_.get(), handshaker_->native());
  return true;
}

std::shared_ptr<Connection> Connection::dial(const Setup& setup, const Dial& dial) {
  auto self = std::make_shared<Connection>(setup, Side::dialer);
  const ConnectionId source = setup.owner->make_connection_id();
  const ngtcp2_cid scid = to_cid(source);
  ngtcp2_cid dcid{};
  dcid.datalen = 18;
  fill_random(dcid.data, dcid.datalen);
  const ngtcp2_settings settings = make_settings(*setup.options, self->timestamp(setup.now));
  const ngtcp2_transport_params params = make_params(*setup.options);
  const ngtcp2_callbacks callbacks = Callbacks::make();
  const ngtcp2_path path = to_path(self->first_path_);
  ngtcp2_conn* conn = nullptr;
  if (ngtcp2_conn_client_new(&conn, &dcid, &scid, &path, NGTCP2_PROTO_VER_V1, &callbacks, &settings,
                             &params, self->memory_.allocator(), self.get()) != 0) {
    return nullptr;
  }
  self->conn_.reset(conn);
  const HandshakeSetup handshake{Side::dialer, dial.expected, dial.ticket, &self->conn_ref_};
  if (!self->init_tls(setup, handshake)) {
    self->phase_ = Phase::finished;
    return nullptr;
  }
  self->ids_.push_back(source);
  setup.owner->add_id(source, *self);
  self->want_write();
  return self;
}

std::shared_ptr<Connection> Connection::accept(const Setup& setup, const Accept& accept) {
  auto self = std::make_shared<Connection>(setup, Side::acceptor);
  const ConnectionId source = setup.owner->make_connection_id();
  const ngtcp2_cid scid = to_cid(source);
  ngtcp2_settings settings = make_settings(*setup.options, self->timestamp(setup.now));
  ngtcp2_transport_params params = make_params(*setup.options);
  if (accept.original_dcid) {
    shim::set_original_dcid(params, *accept.original_dcid);
    params.retry_scid = accept.header.dcid;
    params.retry_scid_present = 1;
    std::size_t size = 0;
    const std::uint8_t* const token = shim::token_of(accept.header, size);
    shim::set_token(settings, token, size);
  } else {
    shim::set_original_dcid(params, accept.header.dcid);
  }
  params.stateless_reset_token_present = 1;
  setup.owner->make_reset_token(source, params.stateless_reset_token);
  const ngtcp2_callbacks callbacks = Callbacks::make();
  const ngtcp2_path path = to_path(self->first_path_);
  ngtcp2_conn* conn = nullptr;
  if (ngtcp2_conn_server_new(&conn, &accept.header.scid, &scid, &path, accept.header.version,
                             &callbacks, &settings, &params, self->memory_.allocator(),
                             self.get()) != 0) {
    return nullptr;
  }
  self->conn_.reset(conn);
  const HandshakeSetup handshake{Side::acceptor, std::nullopt, {}, &self->conn_ref_};
  if (!self->init_tls(setup, handshake)) {
    self->phase_ = Phase::finished;
    return nullptr;
  }
  // The client goes on with the id it made up until it has heard of ours.
  for (const ConnectionId& id : {source, ConnectionId::from(accept.header.dcid)}) {
    self->ids_.push_back(id);
    setup.owner->add_id(id, *self);
  }
  return self;
}

}  // namespace tayga::transport::quic
