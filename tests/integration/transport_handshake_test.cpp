#include "common/crypto/certificate.hpp"
#include "common/transport/transport.hpp"
#include "tests/integration/transport_peers.hpp"

#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string>
#include <thread>

namespace tayga::transport {
namespace {

/// The foreign ends of these tests write through OpenSSL's own sockets, which raise it.
[[maybe_unused]] const auto sigpipe_ignored = std::signal(SIGPIPE, SIG_IGN);

int open_connected(const Endpoint& to, const char* source = nullptr) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (source != nullptr) {
    const auto bytes = boost::asio::ip::make_address_v4(source).to_bytes();
    std::memcpy(&address.sin_addr, bytes.data(), bytes.size());
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  }
  const auto bytes = to.address.to_v4().to_bytes();
  std::memcpy(&address.sin_addr, bytes.data(), bytes.size());
  address.sin_port = htons(to.port);
  REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

enum class Certificate { ed25519, none, p256 };

/// How a foreign TLS client differs from ours.
struct Client {
  Certificate certificate = Certificate::ed25519;
  int version = TLS1_3_VERSION;
  std::string alpn = "tayga/1";
};

void use_p256(SSL_CTX* context) {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  REQUIRE(X509_sign(certificate, key, EVP_sha256()) > 0);
  SSL_CTX_use_certificate(context, certificate);
  SSL_CTX_use_PrivateKey(context, key);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

void use_ed25519(SSL_CTX* context) {
  const crypto::SigningKey key = crypto::SigningKey::generate();
  const std::string pem = crypto::make_self_signed_certificate(key, "client") + to_pkcs8_pem(key);
  BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* const certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  EVP_PKEY* const private_key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  SSL_CTX_use_certificate(context, certificate);
  SSL_CTX_use_PrivateKey(context, private_key);
  X509_free(certificate);
  EVP_PKEY_free(private_key);
  BIO_free(bio);
}

/// Handshakes on a blocking socket and then waits for the server's verdict: true = it keeps us.
bool is_welcome(const Client& client, int fd) {
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, client.version);
  SSL_CTX_set_max_proto_version(context, client.version);
  if (client.certificate == Certificate::ed25519) use_ed25519(context);
  if (client.certificate == Certificate::p256) use_p256(context);
  if (!client.alpn.empty()) {
    const std::string wire = std::string(1, static_cast<char>(client.alpn.size())) + client.alpn;
    SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(wire.data()),
                            static_cast<unsigned>(wire.size()));
  }
  SSL* const ssl = SSL_new(context);
  timeval patience{.tv_sec = 0, .tv_usec = 700'000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  SSL_set_fd(ssl, fd);
  bool welcome = SSL_connect(ssl) == 1;
  if (welcome) {  // in TLS 1.3 the client is done before the server has judged it
    char byte = 0;
    const ssize_t n = ::recv(fd, &byte, 1, 0);
    welcome = n < 0 && errno == EAGAIN;
  }
  SSL_free(ssl);
  SSL_CTX_free(context);
  ::close(fd);
  return welcome;
}

/// Runs the client on a thread of its own while the node serves.
bool is_welcome_at(Node& node, const Endpoint& at, const Client& client) {
  std::atomic<bool> done{false};
  bool welcome = false;
  const int fd = open_connected(at);
  std::thread thread{[&] {
    welcome = is_welcome(client, fd);
    done = true;
  }};
  const bool ended = run_until(node.io, [&] { return done.load(); });
  thread.join();
  REQUIRE(ended);
  return welcome;
}

/// The kernel takes connections to it, nobody ever answers.
Endpoint listen_silently(int fd) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(fd, 1) == 0);
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return loopback(ntohs(address.sin_port));
}

bool is_closed_by_peer(int fd) {
  char byte = 0;
  const ssize_t n = ::recv(fd, &byte, 1, MSG_DONTWAIT);
  return n == 0 || (n < 0 && errno != EAGAIN);
}

}  // namespace

TEST_CASE("a dialer that finds another key than the expected one gets wrong_peer") {
  boost::asio::io_context io;
  Node server{io};
  Node other{io};
  Node client{io};
  const Endpoint at = server.listen();
  const auto result = client.dial(at, other.id());
  REQUIRE(result.has_error());
  CHECK(result.error() == TransportErrc::wrong_peer);
  run_for(io, 100ms);
  CHECK(server.accepted.empty());
  CHECK(client.dial(at, server.id()).has_value());
}

TEST_CASE("an acceptor takes a client like ours and refuses every other kind") {
  boost::asio::io_context io;
  tls::TlsOptions options;
  options.handshake_timeout = 10s;  // so that only a verdict ends a handshake
  Node server{io, options};
  const Endpoint at = server.listen();

  CHECK(is_welcome_at(server, at, {}));
  CHECK(server.accepted.size() == 1);
  server.accepted.clear();

  CHECK_FALSE(is_welcome_at(server, at, {.certificate = Certificate::none}));
  CHECK_FALSE(is_welcome_at(server, at, {.certificate = Certificate::p256}));
  CHECK_FALSE(is_welcome_at(server, at, {.version = TLS1_2_VERSION}));
  CHECK_FALSE(is_welcome_at(server, at, {.alpn = "h2"}));
  CHECK_FALSE(is_welcome_at(server, at, {.alpn = ""}));
  CHECK(server.accepted.empty());

  Node client{io};
  CHECK(client.dial(at, server.id()).has_value());
}

TEST_CASE("bytes that are not TLS end the connection at once and harm nobody") {
  boost::asio::io_context io;
  Node server{io};
  const Endpoint at = server.listen();
  const int fd = open_connected(at);
  const std::string request = "GET / HTTP/1.1\r\nHost: tayga\r\n\r\n";
  REQUIRE(::send(fd, request.data(), request.size(), 0) == static_cast<ssize_t>(request.size()));
  char buffer[256];
  CHECK(run_until(
      io,
      [&] {
        const ssize_t n = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        return n == 0 || (n < 0 && errno != EAGAIN);
      },
      2s));
  ::close(fd);
  CHECK(server.accepted.empty());
  Node client{io};
  CHECK(client.dial(at, server.id()).has_value());
}

TEST_CASE("a handshake that stalls is ended by the timeout, on either side") {
  boost::asio::io_context io;
  tls::TlsOptions options;
  options.handshake_timeout = 200ms;
  Node server{io, options};
  const int fd = open_connected(server.listen());
  CHECK(run_until(
      io, [&] { return is_closed_by_peer(fd); }, 2s));
  ::close(fd);

  const int silent = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const Endpoint at = listen_silently(silent);
  Node client{io};
  const auto result = client.dial(at, server.id(), 100ms);
  REQUIRE(result.has_error());
  CHECK(result.error() == TransportErrc::timed_out);
  ::close(silent);
}

TEST_CASE("nobody listening is connect_failed, and so is a dial after stop") {
  boost::asio::io_context io;
  Node client{io};
  Node server{io};
  const Endpoint at = server.listen();
  server.transport->stop();
  const auto refused = client.dial(at, server.id());
  REQUIRE(refused.has_error());
  CHECK(refused.error() == TransportErrc::connect_failed);
  client.transport->stop();
  const auto stopped = client.dial(at, server.id());
  REQUIRE(stopped.has_error());
  CHECK(stopped.error() == TransportErrc::connect_failed);
}

TEST_CASE("a taken port is address_in_use, an address that is not ours listen_failed") {
  boost::asio::io_context io;
  Node first{io};
  Node second{io};
  const Endpoint at = first.listen();
  const auto taken = second.transport->listen(at, [](std::unique_ptr<Session>) {});
  REQUIRE(taken.has_error());
  CHECK(taken.error() == TransportErrc::address_in_use);
  const Endpoint foreign{boost::asio::ip::make_address("192.0.2.1"), 0};
  const auto failed = second.transport->listen(foreign, [](std::unique_ptr<Session>) {});
  REQUIRE(failed.has_error());
  CHECK(failed.error() == TransportErrc::listen_failed);
}

TEST_CASE("a flood of half-open connections takes one network's share, others still get in") {
  boost::asio::io_context io;
  tls::TlsOptions options;
  options.handshake_timeout = 1500ms;
  Node server{io, options};
  const Endpoint at = server.listen();
  std::vector<int> flood;
  for (int i = 0; i < 400; ++i) {
    flood.push_back(open_connected(at, "127.0.0.1"));
    io.restart();
    io.poll();
  }
  const auto open_count = [&] {
    return std::count_if(flood.begin(), flood.end(), [](int fd) { return !is_closed_by_peer(fd); });
  };
  REQUIRE(run_until(
      io, [&] { return open_count() <= 32; }, 1s));
  CHECK(open_count() == 32);

  tls::TlsOptions elsewhere;
  elsewhere.source_address = boost::asio::ip::make_address("127.0.1.1");
  Node neighbour{io, elsewhere};
  CHECK(neighbour.dial(at, server.id()).has_value());
  Node same_network{io};
  CHECK(same_network.dial(at, server.id()).has_error());

  REQUIRE(run_until(io, [&] { return open_count() == 0; }));
  CHECK(same_network.dial(at, server.id()).has_value());
  for (const int fd : flood) ::close(fd);
}

TEST_CASE("sessions_max bounds the sessions of a node, dialed and accepted, and frees up again") {
  boost::asio::io_context io;
  tls::TlsOptions two;
  two.sessions_max = 2;
  Node server{io, two};
  const Endpoint at = server.listen();
  Node client{io};
  std::vector<std::unique_ptr<Session>> dialed;
  for (int i = 0; i < 2; ++i) dialed.push_back(std::move(client.dial(at, server.id()).value()));
  CHECK(client.dial(at, server.id()).has_error());
  REQUIRE(server.accepted.size() == 2);

  Node target{io};
  const auto too_many = server.dial(target.listen(), target.id());
  REQUIRE(too_many.has_error());
  CHECK(too_many.error() == TransportErrc::too_many_sessions);

  server.accepted.pop_back();
  CHECK(client.dial(at, server.id()).has_value());
}

TEST_CASE("a cancelled dial ends at once and leaves nothing behind") {
  boost::asio::io_context io;
  Node server{io};
  Node client{io};
  std::optional<error_code> ended;
  const auto dial = [](Transport& transport, Endpoint to, NodeId id,
                       std::optional<error_code>& out) -> async::Task<void> {
    const auto result = co_await transport.connect(to, id, 1h);
    out = result.has_error() ? result.error() : error_code{};
  };
  const int silent = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const Endpoint at = listen_silently(silent);
  async::TaskGroup group{io.get_executor(), "dial", 1};
  REQUIRE(group.spawn(dial(*client.transport, at, server.id(), ended)));
  run_for(io, 50ms);
  CHECK_FALSE(ended);
  group.cancel();
  REQUIRE(run_until(
      io, [&] { return ended.has_value(); }, 1s));
  CHECK(*ended == boost::asio::error::operation_aborted);
  ::close(silent);
}

}  // namespace tayga::transport
