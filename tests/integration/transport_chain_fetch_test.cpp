#include "common/crypto/certificate.hpp"
#include "common/transport/tls/chain_fetch.hpp"
#include "tests/integration/transport_peers.hpp"

#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

namespace tayga::transport {
namespace {

X509* to_x509(const std::string& pem) {
  BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* const certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  REQUIRE(certificate != nullptr);
  return certificate;
}

int select_h2(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
              unsigned in_size, void*) {
  static constexpr unsigned char kH2[] = {2, 'h', '2'};
  unsigned char* selected = nullptr;
  if (SSL_select_next_proto(&selected, out_size, kH2, sizeof kH2, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

/// A server as the orchestrator's gRPC port is one: it serves one connection, demands h2 and some
/// client certificate, and presents its own certificate with the network CA behind it.
struct Server {
  Server() {
    const crypto::SigningKey ca_key = crypto::SigningKey::generate();
    const crypto::SigningKey key = crypto::SigningKey::generate();
    ca_pem = crypto::make_ca_certificate({ca_key, crypto::SigningKey::generate().public_key()});
    server_pem = crypto::make_server_certificate(
        {ca_key, ca_pem, key.public_key(), "orchestrator.test", 1'700'000'000, 30});

    context = SSL_CTX_new(TLS_server_method());
    X509* const leaf = to_x509(server_pem);
    SSL_CTX_use_certificate(context, leaf);
    X509_free(leaf);
    SSL_CTX_add_extra_chain_cert(context, to_x509(ca_pem));
    const std::string key_pem = crypto::to_pkcs8_pem(key);
    BIO* const bio = BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size()));
    EVP_PKEY* const private_key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    REQUIRE(SSL_CTX_use_PrivateKey(context, private_key) == 1);
    EVP_PKEY_free(private_key);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       [](int, X509_STORE_CTX*) { return 1; });
    SSL_CTX_set_alpn_select_cb(context, &select_h2, nullptr);

    listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener, 4) == 0);
    REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port = ntohs(address.sin_port);
    thread = std::thread{[this] { serve_one(); }};
  }
  ~Server() {
    ::shutdown(listener, SHUT_RDWR);  // ends a waiting accept
    thread.join();
    ::close(listener);
    SSL_CTX_free(context);
  }
  void serve_one() {
    const int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0) return;
    SSL* const ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    handshake_ok = SSL_accept(ssl) == 1;
    SSL_free(ssl);
    ::close(fd);
  }

  std::string ca_pem;
  std::string server_pem;
  SSL_CTX* context = nullptr;
  int listener = -1;
  std::uint16_t port = 0;
  std::atomic<bool> handshake_ok{false};
  std::thread thread;
};

Result<std::vector<Bytes>> fetch(const std::string& host, std::uint16_t port,
                                 Duration timeout = 5s) {
  boost::asio::io_context io;
  async::TaskGroup group{io.get_executor(), "fetch", 1};
  std::optional<Result<std::vector<Bytes>>> result;
  const crypto::SigningKey identity = crypto::SigningKey::generate();
  const auto store = [](auto task, auto& out) -> async::Task<void> {
    out.emplace(co_await std::move(task));
  };
  REQUIRE(group.spawn(store(tls::fetch_certificate_chain(host, port, identity, timeout), result)));
  REQUIRE(run_until(io, [&] { return result.has_value(); }));
  return *result;
}

}  // namespace

TEST_CASE("the fetched chain is what the server presents: its certificate, then the network CA") {
  Server server;
  const auto chain = fetch(GENERATE("127.0.0.1", "localhost"), server.port);
  REQUIRE(chain.has_value());
  REQUIRE(chain->size() == 2);
  CHECK(chain->at(0) == crypto::certificate_der(server.server_pem));
  CHECK(chain->at(1) == crypto::certificate_der(server.ca_pem));
  server.thread.join();
  CHECK(server.handshake_ok);
  server.thread = std::thread{[] {}};
}

TEST_CASE("a server that is not there, does not speak TLS or never answers is told apart") {
  int silent = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(silent, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::getsockname(silent, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const std::uint16_t port = ntohs(address.sin_port);

  CHECK(fetch("127.0.0.1", port).error() == TransportErrc::connect_failed);
  CHECK(fetch("no-such-host.invalid", port).error() == TransportErrc::connect_failed);
  REQUIRE(::listen(silent, 4) == 0);
  CHECK(fetch("127.0.0.1", port, 100ms).error() == TransportErrc::timed_out);

  std::thread greeter{[&] {
    for (int i = 0; i < 2; ++i) {  // the first is the connection that timed out
      const int fd = ::accept(silent, nullptr, nullptr);
      (void)::send(fd, "220 hello\r\n", 11, MSG_NOSIGNAL);
      char byte = 0;
      (void)::recv(fd, &byte, 1, 0);
      ::close(fd);
    }
  }};
  CHECK(fetch("127.0.0.1", port).error() == TransportErrc::handshake_failed);
  greeter.join();
  ::close(silent);
}

}  // namespace tayga::transport
