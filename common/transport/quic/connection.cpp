#include "common/transport/quic/connection.hpp"

#include "common/base/check.hpp"
#include "common/crypto/hash.hpp"

#include <algorithm>
#include <utility>

namespace tayga::transport::quic {
namespace {

/// DESIGN 13. Windows that grow with use are not for us: ngtcp2 0.12.1's tuning of them takes an
/// honest peer's packets for a breach of flow control once some come out of order. A flow may use
/// all of its connection's window, which alone bounds what is held.
constexpr std::uint64_t kConnectionWindow = 1024 * 1024;
constexpr std::uint64_t kStreamWindow = kConnectionWindow;
constexpr std::uint64_t kControlWindow = 64 * 1024;
constexpr std::uint64_t kStreamsMax = 256;
constexpr Duration kTimerPause = 1ms;
/// What was authentic of the datagram that is read now: the library's decrypt callback has no
/// pointer of ours, and the library says nothing of packets that it drops, or of most frames.
struct Decrypted {
  bool any = false;
  FrameTally frames;
};
thread_local Decrypted decrypted;

std::uint64_t to_ns(Duration d) noexcept {
  return static_cast<std::uint64_t>(d.count()) * 1000U;
}

ngtcp2_path to_path(UdpPath& path) noexcept {
  return {
      {path.local.data(), path.local.size()}, {path.remote.data(), path.remote.size()}, nullptr};
}

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

/// ngtcp2 1.x aborts when time goes backwards, and callers may be a little behind each other.
std::uint64_t Connection::timestamp(TimePoint now) {
  now_ = std::max(now_, now);
  last_ts_ = std::max(last_ts_, to_ns(now.time_since_epoch()));
  return last_ts_;
}

// The session's side.

void Connection::start(SessionHandler& handler) {
  TAYGA_CHECK(handler_ == nullptr);
  handler_ = &handler;
  want_write();  // also delivers what came before, be it the end
}

void Connection::send_control(SharedBytes frame) {
  if (phase_ != Phase::open || ending_) return;
  control_.push(std::move(frame));
  if (control_.bytes() > kControlQueueMax) {
    shim::CloseError error{};
    shim::close_error_application(error, kRefused, nullptr, 0);
    end({CloseInfo::Reason::overflow,
         std::to_string(control_.bytes()) + " bytes of control frames not taken"},
        error);
  }
  want_write();
}

void Connection::notify_media() {
  if (phase_ != Phase::open) return;
  handler_has_media_ = true;
  want_write();
}

void Connection::close(std::string reason) {
  if (phase_ == Phase::finished || phase_ == Phase::closing || ending_) return;
  phase_ = Phase::closing;
  close_reason_ = std::move(reason);
  handler_has_media_ = false;
  want_write();
}

void Connection::abandon() {
  handler_ = nullptr;
  if (phase_ == Phase::finished || ending_) return;
  shim::CloseError error{};
  shim::close_error_application(error, kAbandoned, nullptr, 0);
  end({CloseInfo::Reason::local, {}}, error);
}

UdpPath Connection::current_path() const {
  if (!conn_) return first_path_;
  const ngtcp2_path* const path = ngtcp2_conn_get_path(conn_.get());
  return {UdpAddress::from(path->local.addr, static_cast<socklen_t>(path->local.addrlen)),
          UdpAddress::from(path->remote.addr, static_cast<socklen_t>(path->remote.addrlen))};
}

Endpoint Connection::remote_endpoint() const {
  return current_path().remote.endpoint();
}

SessionStats Connection::stats() const {
  SessionStats stats = stats_;
  stats.queued_bytes = control_.unsent() + unsent_media_;
  if (conn_ && established_) {
    shim::ConnInfo info{};
    shim::get_info(conn_.get(), info);
    stats.smoothed_rtt = Duration{static_cast<std::int64_t>(info.smoothed_rtt / 1000)};
  }
  return stats;
}

bool Connection::failed_by_wrong_peer() const {
  return handshaker_ && handshaker_->wrong_peer();
}

// Reading.

void Connection::on_packet(const UdpPath& path, ByteView packet, TimePoint now) {
  if (phase_ == Phase::finished || ending_) return;
  const auto self = shared_from_this();
  const std::uint64_t ts = timestamp(now);
  std::optional<UdpPath> where = admit_path(path);
  if (!where) return;
  const ngtcp2_path at = to_path(*where);
  const ngtcp2_pkt_info info{};
  packet_acknowledged_ = false;
  decrypted = {};
  note_in_flight();
  const int result =
      ngtcp2_conn_read_pkt(conn_.get(), &at, &info, as_uchar(packet), packet.size(), ts);
  if (phase_ == Phase::finished) return;
  if (ending_) return want_write();
  if (result != 0) return on_read_error(result);
  stats_.bytes_in += packet.size();
  if (decrypted.any) {
    const FrameTally frames = decrypted.frames;  // what follows may read another connection's
    on_authentic_packet(frames);
  }
  if (phase_ != Phase::finished) want_write();
}

/// What others made up, or repeat, may not keep a dead peer alive nor count against a living one.
void Connection::on_authentic_packet(const FrameTally& frames) {
  last_heard_ = now_;
  if (!established_) establish();
  if (side_ == Side::dialer && established_) {
    if (auto ticket = handshaker_->take_ticket()) owner_.on_ticket(peer_, std::move(*ticket));
  }
  note_path();
  count_packet(frames);
  unblock();
}

void Connection::on_read_error(int code) {
  if (code == NGTCP2_ERR_DRAINING) {
    const shim::CloseError error = shim::received_close(conn_.get());
    std::string reason{reinterpret_cast<const char*>(error.reason), error.reasonlen};
    const bool orderly = shim::is_application_close(error) && error.error_code == 0;
    if (phase_ == Phase::closing) return finish({CloseInfo::Reason::local, close_reason_});
    if (reason.empty()) reason = "the peer closed";
    return finish({orderly ? CloseInfo::Reason::remote : CloseInfo::Reason::reset, reason});
  }
  if (code == NGTCP2_ERR_DROP_CONN || code == NGTCP2_ERR_RETRY) {
    return finish({CloseInfo::Reason::reset, ngtcp2_strerror(code)});
  }
  shim::CloseError error{};
  if (code == NGTCP2_ERR_CRYPTO) {
    shim::close_error_alert(error, ngtcp2_conn_get_tls_alert(conn_.get()));
  } else {
    shim::close_error_library(error, code);
  }
  const bool protocol = code != NGTCP2_ERR_CRYPTO;
  end({protocol ? CloseInfo::Reason::protocol : CloseInfo::Reason::reset, ngtcp2_strerror(code)},
      error);
}

int Connection::on_handshake_completed() {
  const std::optional<NodeId> proven = handshaker_->peer();
  // GnuTLS does not call the verify function on a resumption: this is its check.
  if (!proven || (expected_ && *expected_ != *proven)) return NGTCP2_ERR_CALLBACK_FAILURE;
  peer_ = *proven;
  pacing_ = true;
  ngtcp2_conn_set_keep_alive_timeout(conn_.get(), to_ns(options_.keep_alive));
  if (side_ == Side::acceptor) handshaker_->send_ticket();
  return 0;
}

/// An acceptor has seen the dialer's proof when the handshake completed. A dialer must hear that
/// its own was accepted, unless the acceptor's ticket says that it was.
void Connection::establish() {
  if (ngtcp2_conn_get_handshake_completed(conn_.get()) == 0) return;
  if (side_ == Side::dialer && !confirmed_ && !handshaker_->resumed()) return;
  established_ = true;
  if (phase_ == Phase::handshaking) phase_ = Phase::open;
  progress_at_ = now_;
  if (side_ == Side::dialer) {
    std::int64_t id = -1;
    if (ngtcp2_conn_open_bidi_stream(conn_.get(), &id, &control_) != 0) {
      shim::CloseError error{};
      shim::close_error_default(error);
      return end({CloseInfo::Reason::protocol, "the peer allows no control stream"}, error);
    }
    control_.open(id);
    control_in_.id = id;
    control_announced_ = false;
  }
  owner_.on_established(*this);
}

int Connection::on_stream_opened(std::int64_t stream) {
  if (!admit(FloodGuard::Kind::stream_opened)) return NGTCP2_ERR_CALLBACK_FAILURE;
  if (ngtcp2_is_bidi_stream(stream) != 0) {
    if (side_ == Side::dialer || control_.is_open()) return refuse("a second control stream");
    control_.open(stream);
    control_in_.id = stream;
    return ngtcp2_conn_set_stream_user_data(conn_.get(), stream, &control_);
  }
  auto opened = std::make_unique<InStream>();
  opened->id = stream;
  const int result = ngtcp2_conn_set_stream_user_data(conn_.get(), stream, opened.get());
  in_.push_back(std::move(opened));
  return result;
}

int Connection::on_stream_data(std::int64_t stream, ByteView data, void* stream_data) {
  // Both directions of the control stream share the library's one pointer.
  const bool control = ngtcp2_is_bidi_stream(stream) != 0;
  InStream* const in = control ? &control_in_ : static_cast<InStream*>(stream_data);
  if (in == nullptr) return NGTCP2_ERR_CALLBACK_FAILURE;
  if (handler_ == nullptr || !in->held.empty()) {  // also behind what waits for the next write()
    in->held.insert(in->held.end(), data.begin(), data.end());
    holds_input_ = true;
    return 0;
  }
  return deliver(*in, data);
}

int Connection::deliver(InStream& stream, ByteView data) {
  consume(stream, data.size());
  const std::size_t partial = stream.reader.buffered();
  while (phase_ == Phase::open && !ending_) {
    const Result<std::optional<FrameView>> frame = stream.reader.next(data);
    if (!frame) return refuse(frame.error().message().c_str());
    if (!*frame) break;
    const bool control = (*frame)->type == wire::FrameType::control;
    if (control && !admit(FloodGuard::Kind::control_frame)) break;
    const bool small = (*frame)->payload.size() < FloodGuard::kSmallFrame;
    if (!control && small && !admit(FloodGuard::Kind::small_frame)) break;
    handler_->on_frame((*frame)->type, (*frame)->payload);
  }
  if (!hold_partial(partial, stream.reader.buffered())) return NGTCP2_ERR_CALLBACK_FAILURE;
  return phase_ == Phase::finished || ending_ ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

void Connection::deliver_held() {
  if (!holds_input_ || handler_ == nullptr) return;
  holds_input_ = false;
  const auto give = [this](InStream& stream) {
    if (handler_ == nullptr || ending_ || stream.held.empty()) return;
    const Bytes held = std::exchange(stream.held, {});
    (void)deliver(stream, held);
  };
  give(control_in_);
  for (std::size_t i = 0; i < in_.size(); ++i) give(*in_[i]);
}

void Connection::set_reading(Reading reading) {
  reading_ = reading == Reading::on;
  if (!reading_ || phase_ == Phase::finished || ending_) return;
  const auto give_back = [this](InStream& stream) {
    if (stream.withheld > 0) consume(stream, std::exchange(stream.withheld, 0));
  };
  give_back(control_in_);
  for (const auto& stream : in_) give_back(*stream);
  want_write();
}

/// The peer may send as much again, once we read on.
void Connection::consume(InStream& stream, std::size_t size) {
  if (!reading_) {
    stream.withheld += size;
    return;
  }
  ngtcp2_conn_extend_max_stream_offset(conn_.get(), stream.id, size);
  ngtcp2_conn_extend_max_offset(conn_.get(), size);
}

// Time.

void Connection::on_timeout(TimePoint now) {
  if (phase_ == Phase::finished || ending_) return;
  const auto self = shared_from_this();
  const std::uint64_t ts = timestamp(now);
  if (close_deadline_ && now_ >= *close_deadline_) return end_in_order();
  if (established_ && now_ - last_heard_ >= options_.idle_max) {
    return finish({CloseInfo::Reason::idle, "nothing heard from the peer"});
  }
  if (established_ && waits_for_peer_ && now_ - progress_at_ >= options_.stall_max) {
    shim::CloseError error{};
    shim::close_error_application(error, kRefused, nullptr, 0);
    return end({CloseInfo::Reason::stalled, "the peer takes nothing"}, error);
  }
  if (ngtcp2_conn_get_expiry(conn_.get()) <= ts) {
    const int result = ngtcp2_conn_handle_expiry(conn_.get(), ts);
    if (result == NGTCP2_ERR_IDLE_CLOSE) {
      return finish({CloseInfo::Reason::idle, "nothing heard from the peer"});
    }
    if (result != 0) {
      if (!established_) return finish({CloseInfo::Reason::idle, ngtcp2_strerror(result)});
      return on_read_error(result);
    }
  }
  want_write();
}

void Connection::update_timeout() {
  const std::uint64_t expiry = ngtcp2_conn_get_expiry(conn_.get());
  // Rounded up: waking a little late is right, a little early is for nothing.
  timeout_ = expiry >= static_cast<std::uint64_t>(INT64_MAX)
                 ? TimePoint::max()
                 : TimePoint{Duration{static_cast<std::int64_t>((expiry + 999) / 1000)}};
  // Due, and yet there was nothing that it let us write: so it is while a new path is not validated
  // and the bytes that may go there are used up. Asking without a pause would change nothing.
  if (expiry <= last_ts_) timeout_ = now_ + kTimerPause;
  if (established_) timeout_ = std::min(timeout_, last_heard_ + options_.idle_max);
  if (established_ && waits_for_peer_) {
    timeout_ = std::min(timeout_, progress_at_ + options_.stall_max);
  }
  if (close_deadline_) timeout_ = std::min(timeout_, *close_deadline_);
  if (flush_at_ && !flush_due_) timeout_ = std::min(timeout_, *flush_at_);
}

bool Connection::migrate(const UdpAddress& local, TimePoint now) {
  if (side_ != Side::dialer || !confirmed_ || phase_ != Phase::open || ending_) return false;
  if (now < path_settled_at_) return false;
  UdpPath path{local, UdpAddress::from(remote_endpoint())};
  const ngtcp2_path to = to_path(path);
  if (ngtcp2_conn_initiate_immediate_migration(conn_.get(), &to, timestamp(now)) != 0) return false;
  path_settled_at_ = now_ + kPathSettle;
  want_write();
  return true;
}

// Ending.

void Connection::want_write() {
  owner_.wants_write(*this);
}

/// The farewell is written, and the handler told, at the next write().
void Connection::end(CloseInfo info, const shim::CloseError& error) {
  if (ending_ || phase_ == Phase::finished) return;
  ending_ = true;
  close_info_ = std::move(info);
  close_error_ = error;
  want_write();
}

void Connection::finish(CloseInfo info, Bytes farewell) {
  if (phase_ == Phase::finished) return;
  const auto self = shared_from_this();
  phase_ = Phase::finished;
  close_info_ = std::move(info);
  timeout_ = TimePoint::max();
  owner_.on_finished(*this, std::move(farewell));
  control_.clear();
  for (const auto& stream : media_) stream->clear();
  unsent_media_ = held_media_ = 0;
  tell_closed();
}

void Connection::tell_closed() {
  SessionHandler* const handler = std::exchange(handler_, nullptr);
  if (handler != nullptr) handler->on_closed(close_info_);
}

}  // namespace tayga::transport::quic
