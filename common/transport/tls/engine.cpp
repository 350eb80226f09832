#include "common/transport/tls/engine.hpp"

#include "common/transport/tls/context.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace tayga::transport::tls {
namespace {

constexpr std::size_t kRecordSizeMax = 16 * 1024;
/// RFC 8446 5.5 allows 2^24.5 full records under one AES-GCM key; at 400 GB nobody is in a hurry.
constexpr std::uint64_t kRecordsPerKey = 1U << 23;

}  // namespace

/// The BIO between OpenSSL and the buffers of the call under way.
struct Engine::Bio {
  static int read(BIO* bio, char* data, int size) {
    BIO_clear_retry_flags(bio);
    auto* const engine = static_cast<Engine*>(BIO_get_data(bio));
    ByteView* const in = engine->in_;
    if (in == nullptr || in->empty()) {
      engine->starved_ = true;
      BIO_set_retry_read(bio);
      return -1;
    }
    const std::size_t n = std::min(in->size(), static_cast<std::size_t>(size));
    std::memcpy(data, in->data(), n);
    *in = in->subspan(n);
    return static_cast<int>(n);
  }

  static int write(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    Bytes* const out = static_cast<Engine*>(BIO_get_data(bio))->out_;
    if (out == nullptr) return -1;
    const ByteView bytes = as_bytes({data, static_cast<std::size_t>(size)});
    out->insert(out->end(), bytes.begin(), bytes.end());
    return size;
  }

  static long control(BIO*, int command, long, void*) {
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
  }

  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }

  static BIO_METHOD* make_method() {
    BIO_METHOD* const method =
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tayga buffers");
    if (method == nullptr) throw std::runtime_error{"TLS: cannot make a BIO"};
    BIO_meth_set_read(method, &Bio::read);
    BIO_meth_set_write(method, &Bio::write);
    BIO_meth_set_ctrl(method, &Bio::control);
    BIO_meth_set_create(method, &Bio::create);
    return method;
  }

  static const BIO_METHOD* method() {
    struct Deleter {
      void operator()(BIO_METHOD* m) const noexcept { BIO_meth_free(m); }
    };
    static const std::unique_ptr<BIO_METHOD, Deleter> instance{make_method()};
    return instance.get();
  }

  /// Lends the buffers of one call to OpenSSL.
  struct Loan {
    Loan(Engine& borrower, ByteView* in, Bytes& out) : engine{borrower} {
      engine.in_ = in;
      engine.out_ = &out;
      engine.starved_ = false;
      ERR_clear_error();  // SSL_get_error looks at the whole thread's queue
    }
    ~Loan() {
      engine.in_ = nullptr;
      engine.out_ = nullptr;
    }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;

    Engine& engine;
  };
};

Engine::Engine(SSL_CTX* context, Side side, std::optional<NodeId> expected,
               const std::string& server_name)
    : ssl_{SSL_new(context)}, expected_{expected} {
  BIO* const bio = BIO_new(Bio::method());
  if (!ssl_ || bio == nullptr) throw std::bad_alloc{};
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_msg_callback(ssl_.get(), &Engine::on_message);
  SSL_set_msg_callback_arg(ssl_.get(), this);
  if (!server_name.empty()) (void)SSL_set_tlsext_host_name(ssl_.get(), server_name.c_str());
  if (side == Side::dialer) {
    SSL_set_connect_state(ssl_.get());
  } else {
    SSL_set_accept_state(ssl_.get());
  }
}

Engine::~Engine() = default;

Engine::Status Engine::status_of(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_NONE:
      return Status::ok;
    case SSL_ERROR_WANT_READ:
      return Status::want_input;
    case SSL_ERROR_ZERO_RETURN:
      return Status::closed;
    default:
      failure_ = take_openssl_error();
      return Status::failed;
  }
}

Engine::Status Engine::handshake(ByteView& in, Bytes& out) {
  const Bio::Loan loan{*this, &in, out};
  const Status status = status_of(SSL_do_handshake(ssl_.get()));
  records_read_ = 0;
  return status;
}

Engine::Read Engine::read(ByteView& in, std::span<std::byte> plain, Bytes& out) {
  const Bio::Loan loan{*this, &in, out};
  std::size_t size = 0;
  const int result = SSL_read_ex(ssl_.get(), plain.data(), plain.size(), &size);
  if (result == 1) {
    // 0 when the record had begun before an earlier read() found no more input.
    const std::uint32_t records = std::exchange(records_read_, 0);
    return {Status::ok, size, records > 0 ? records - 1 : 0};
  }
  const Status status = status_of(result);
  // Without SSL_MODE_AUTO_RETRY it comes back after each record that it kept to itself.
  if (status == Status::want_input && !starved_) {
    return {Status::ok, 0, std::exchange(records_read_, 0)};
  }
  return {status, 0, 0};
}

void Engine::on_message(int is_write, int, int content_type, const void*, std::size_t, SSL*,
                        void* engine) {
  if (is_write == 0 && content_type == SSL3_RT_HEADER) {
    ++static_cast<Engine*>(engine)->records_read_;
  }
}

bool Engine::write(ByteView plain, Bytes& out) {
  if (plain.empty()) return true;
  if (!count_written(plain.size())) return false;
  const Bio::Loan loan{*this, nullptr, out};
  std::size_t written = 0;
  const int result = SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &written);
  if (result == 1 && written == plain.size()) return true;
  (void)status_of(result);
  return false;
}

/// The KeyUpdate goes out before what is written next.
bool Engine::count_written(std::size_t plain_size) {
  records_written_ += (plain_size + kRecordSizeMax - 1) / kRecordSizeMax;
  if (records_written_ < kRecordsPerKey) return true;
  records_written_ = 0;
  if (SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1) return true;
  failure_ = take_openssl_error();
  return false;
}

void Engine::close(Bytes& out) {
  const Bio::Loan loan{*this, nullptr, out};
  (void)SSL_shutdown(ssl_.get());
}

bool Engine::has_peer_alpn() const noexcept {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return std::string_view{reinterpret_cast<const char*>(name), size} == kAlpn;
}

std::vector<Bytes> Engine::peer_chain() const {
  std::vector<Bytes> chain;
  STACK_OF(X509)* const certificates = SSL_get_peer_cert_chain(ssl_.get());
  for (int i = 0; i < sk_X509_num(certificates); ++i) {
    const X509* const certificate = sk_X509_value(certificates, i);
    const int size = i2d_X509(certificate, nullptr);
    if (size <= 0) continue;
    Bytes der(static_cast<std::size_t>(size));
    auto* end = reinterpret_cast<unsigned char*>(der.data());
    (void)i2d_X509(certificate, &end);
    chain.push_back(std::move(der));
  }
  return chain;
}

int Engine::verify_certificate(X509_STORE_CTX* store, void*) {
  const auto* const ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const engine = static_cast<Engine*>(SSL_get_app_data(ssl));
  X509* const leaf = X509_STORE_CTX_get0_cert(store);
  EVP_PKEY* const key = leaf == nullptr ? nullptr : X509_get0_pubkey(leaf);
  NodeId id;
  std::size_t size = id.bytes.size();
  const bool is_ed25519 = key != nullptr && EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 &&
                          EVP_PKEY_get_raw_public_key(
                              key, reinterpret_cast<unsigned char*>(id.bytes.data()), &size) == 1 &&
                          size == id.bytes.size();
  engine->wrong_peer_ = is_ed25519 && engine->expected_ && *engine->expected_ != id;
  if (!is_ed25519 || engine->wrong_peer_) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
  }
  engine->peer_ = id;
  return 1;
}

}  // namespace tayga::transport::tls
