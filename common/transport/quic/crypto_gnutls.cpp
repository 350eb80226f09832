#include "common/crypto/certificate.hpp"
#include "common/transport/cpu_features.hpp"
#include "common/transport/quic/crypto_backend.hpp"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace tayga::transport::quic {
namespace {

constexpr unsigned kTicketLifetimeS = 3600;
/// Our certificates have about 300 bytes; a stranger gets no room for more.
constexpr std::size_t kHandshakeMessageMax = 4 * 1024;
constexpr unsigned char kAlpnName[] = {'t', 'a', 'y', 'g', 'a', '/', '1'};

constexpr const char* kPriorityAes =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+CHACHA20-POLY1305:-GROUP-ALL:"
    "+GROUP-X25519:-SIGN-ALL:+SIGN-EDDSA-ED25519:%DISABLE_TLS13_COMPAT_MODE";
constexpr const char* kPriorityChacha =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305:+AES-128-GCM:-GROUP-ALL:"
    "+GROUP-X25519:-SIGN-ALL:+SIGN-EDDSA-ED25519:%DISABLE_TLS13_COMPAT_MODE";

void require(int result, const char* what) {
  if (result >= 0) return;
  throw std::runtime_error{std::string{"QUIC crypto: "} + what + ": " + gnutls_strerror(result)};
}

gnutls_datum_t datum(ByteView bytes) noexcept {
  return {const_cast<unsigned char*>(as_uchar(bytes)), static_cast<unsigned>(bytes.size())};
}

/// Takes the leaf's raw key only: nothing else of a certificate counts here.
std::optional<NodeId> leaf_key(gnutls_session_t session) {
  unsigned count = 0;
  const gnutls_datum_t* const chain = gnutls_certificate_get_peers(session, &count);
  if (chain == nullptr || count == 0) return std::nullopt;
  gnutls_x509_crt_t certificate = nullptr;
  if (gnutls_x509_crt_init(&certificate) < 0) return std::nullopt;
  std::optional<NodeId> key;
  gnutls_ecc_curve_t curve = GNUTLS_ECC_CURVE_INVALID;
  gnutls_datum_t x{nullptr, 0};
  gnutls_datum_t y{nullptr, 0};
  if (gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) >= 0 &&
      gnutls_x509_crt_get_pk_ecc_raw(certificate, &curve, &x, &y) >= 0 &&
      curve == GNUTLS_ECC_CURVE_ED25519) {
    key = NodeId::from(std::as_bytes(std::span{x.data, x.size}));
  }
  gnutls_free(x.data);
  gnutls_free(y.data);
  gnutls_x509_crt_deinit(certificate);
  return key;
}

class GnutlsCredentials final : public Credentials {
 public:
  GnutlsCredentials(const crypto::SigningKey& identity,
                    std::span<const std::byte, kTicketKeySize> ticket_key) {
    std::copy(ticket_key.begin(), ticket_key.end(), ticket_key_.begin());
    require(gnutls_certificate_allocate_credentials(&credentials_), "no credentials");
    const char* const priority = cpu_has_aes() ? kPriorityAes : kPriorityChacha;
    require(gnutls_priority_init(&priority_, priority, nullptr), "no such ciphers");
    use(identity);
  }
  ~GnutlsCredentials() override {
    gnutls_priority_deinit(priority_);
    gnutls_certificate_free_credentials(credentials_);
    gnutls_memset(ticket_key_.data(), 0, ticket_key_.size());
  }
  GnutlsCredentials(const GnutlsCredentials&) = delete;
  GnutlsCredentials& operator=(const GnutlsCredentials&) = delete;

  [[nodiscard]] gnutls_certificate_credentials_t get() const noexcept { return credentials_; }
  [[nodiscard]] gnutls_priority_t priority() const noexcept { return priority_; }
  [[nodiscard]] gnutls_datum_t ticket_key() const noexcept { return datum(ticket_key_); }

 private:
  void use(const crypto::SigningKey& identity) {
    const std::string pem = crypto::make_self_signed_certificate(identity, "tayga");
    const gnutls_datum_t text = datum(as_bytes(pem));
    gnutls_x509_crt_t certificate = nullptr;
    require(gnutls_x509_crt_init(&certificate), "no certificate");
    require(gnutls_x509_crt_import(certificate, &text, GNUTLS_X509_FMT_PEM),
            "cannot read our certificate");

    auto seed = identity.seed();
    const gnutls_datum_t secret = datum(seed);
    const gnutls_datum_t point = datum(identity.public_key());
    gnutls_x509_privkey_t key = nullptr;
    require(gnutls_x509_privkey_init(&key), "no key");
    const int imported =
        gnutls_x509_privkey_import_ecc_raw(key, GNUTLS_ECC_CURVE_ED25519, &point, nullptr, &secret);
    gnutls_memset(seed.data(), 0, seed.size());
    require(imported, "cannot load our key");
    const int set = gnutls_certificate_set_x509_key(credentials_, &certificate, 1, key);
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
    require(set, "cannot use our certificate");
  }

  gnutls_certificate_credentials_t credentials_ = nullptr;
  gnutls_priority_t priority_ = nullptr;
  std::array<std::byte, kTicketKeySize> ticket_key_{};
};

class GnutlsHandshaker final : public Handshaker {
 public:
  explicit GnutlsHandshaker(std::shared_ptr<const Credentials> credentials,
                            std::optional<NodeId> expected)
      : credentials_{std::move(credentials)}, expected_{expected} {}
  ~GnutlsHandshaker() override {
    if (session_ != nullptr) gnutls_deinit(session_);
  }
  GnutlsHandshaker(const GnutlsHandshaker&) = delete;
  GnutlsHandshaker& operator=(const GnutlsHandshaker&) = delete;

  [[nodiscard]] bool init(const HandshakeSetup& setup) {
    const auto& credentials = static_cast<const GnutlsCredentials&>(*credentials_);
    const bool dialer = setup.side == Side::dialer;
    const unsigned flags = dialer ? GNUTLS_CLIENT : GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET;
    if (gnutls_init(&session_, flags) < 0) return false;
    gnutls_session_set_ptr(session_, setup.conn_ref);  // ngtcp2's rule: this and nothing else
    gnutls_db_set_ptr(session_, this);                 // a free slot: no session database is used
    gnutls_datum_t alpn{const_cast<unsigned char*>(kAlpnName), sizeof kAlpnName};
    if (gnutls_priority_set(session_, credentials.priority()) < 0 ||
        gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials.get()) < 0 ||
        gnutls_alpn_set_protocols(session_, &alpn, 1, GNUTLS_ALPN_MANDATORY) < 0) {
      return false;
    }
    gnutls_handshake_set_max_packet_length(session_, kHandshakeMessageMax);
    gnutls_session_set_verify_function(session_, &verify);
    return dialer ? init_dialer(setup.ticket) : init_acceptor(credentials);
  }

  [[nodiscard]] void* native() const noexcept override { return session_; }
  [[nodiscard]] std::optional<NodeId> peer() const override {
    return proven_ ? proven_ : leaf_key(session_);
  }
  [[nodiscard]] bool resumed() const noexcept override {
    return gnutls_session_is_resumed(session_) != 0;
  }
  [[nodiscard]] bool wrong_peer() const noexcept override { return wrong_peer_; }

  void send_ticket() override { (void)gnutls_session_ticket_send(session_, 1, 0); }

  [[nodiscard]] std::optional<Bytes> take_ticket() override {
    return std::exchange(ticket_, std::nullopt);
  }

 private:
  bool init_dialer(ByteView ticket) {
    if (ngtcp2_crypto_gnutls_configure_client_session(session_) != 0) return false;
    gnutls_handshake_set_hook_function(session_, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET,
                                       GNUTLS_HOOK_POST, &on_ticket);
    if (!ticket.empty()) (void)gnutls_session_set_data(session_, ticket.data(), ticket.size());
    return true;
  }

  bool init_acceptor(const GnutlsCredentials& credentials) {
    if (ngtcp2_crypto_gnutls_configure_server_session(session_) != 0) return false;
    gnutls_certificate_server_set_request(session_, GNUTLS_CERT_REQUIRE);
    const gnutls_datum_t key = credentials.ticket_key();
    gnutls_db_set_cache_expiration(session_, static_cast<int>(kTicketLifetimeS));
    return gnutls_session_ticket_enable_server(session_, &key) >= 0;
  }

  static GnutlsHandshaker& self(gnutls_session_t session) {
    return *static_cast<GnutlsHandshaker*>(gnutls_db_get_ptr(session));
  }

  /// GnuTLS verifies nothing by itself, and does not call this on a resumption: the connection
  /// checks the key again when the handshake completed.
  static int verify(gnutls_session_t session) {
    const std::optional<NodeId> key = leaf_key(session);
    if (!key) return GNUTLS_E_CERTIFICATE_ERROR;
    GnutlsHandshaker& handshaker = self(session);
    handshaker.proven_ = key;  // by the time the handshake completes
    if (!handshaker.expected_ || *handshaker.expected_ == *key) return 0;
    handshaker.wrong_peer_ = true;
    return GNUTLS_E_CERTIFICATE_KEY_MISMATCH;
  }

  static int on_ticket(gnutls_session_t session, unsigned, unsigned, unsigned incoming,
                       const gnutls_datum_t*) {
    if (incoming == 0) return 0;
    gnutls_datum_t data{nullptr, 0};
    if (gnutls_session_get_data2(session, &data) < 0) return 0;  // no resumption then
    const ByteView bytes = std::as_bytes(std::span{data.data, data.size});
    self(session).ticket_.emplace(bytes.begin(), bytes.end());
    gnutls_free(data.data);
    return 0;
  }

  const std::shared_ptr<const Credentials> credentials_;
  const std::optional<NodeId> expected_;
  gnutls_session_t session_ = nullptr;
  std::optional<NodeId> proven_;
  bool wrong_peer_ = false;
  std::optional<Bytes> ticket_;
};

}  // namespace

std::shared_ptr<const Credentials> make_credentials(
    const crypto::SigningKey& identity, std::span<const std::byte, kTicketKeySize> ticket_key) {
  return std::make_shared<const GnutlsCredentials>(identity, ticket_key);
}

std::unique_ptr<Handshaker> make_handshaker(const std::shared_ptr<const Credentials>& credentials,
                                            const HandshakeSetup& setup) {
  auto handshaker = std::make_unique<GnutlsHandshaker>(credentials, setup.expected);
  if (!handshaker->init(setup)) return nullptr;
  return handshaker;
}

}  // namespace tayga::transport::quic
