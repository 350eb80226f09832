// The yardstick asio::ssl::stream, and the contexts of all yardsticks. Asio's own TLS code is
// compiled here, its only user.
#include "common/async/clock.hpp"
#include "common/base/bytes.hpp"
#include "common/base/check.hpp"
#include "tests/bench/ceilings.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <functional>
#include <memory>

namespace tayga::bench {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::size_t kWrite = 64 * 1024;
constexpr std::size_t kRead = 256 * 1024;
constexpr long kDay = 24L * 3600;

void use_throw_away_certificate(SSL_CTX* context) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key{
      EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free};
  const std::unique_ptr<X509, decltype(&X509_free)> certificate{X509_new(), X509_free};
  X509* raw = certificate.get();
  const bool made = key != nullptr && X509_set_version(raw, 2) == 1 &&
                    ASN1_INTEGER_set(X509_get_serialNumber(raw), 1) == 1 &&
                    X509_gmtime_adj(X509_getm_notBefore(raw), -kDay) != nullptr &&
                    X509_gmtime_adj(X509_getm_notAfter(raw), kDay) != nullptr &&
                    X509_set_pubkey(raw, key.get()) == 1 && X509_sign(raw, key.get(), nullptr) != 0;
  TAYGA_CHECK(made && SSL_CTX_use_certificate(context, raw) == 1 &&
              SSL_CTX_use_PrivateKey(context, key.get()) == 1);
}

EndFigures finish(std::uint64_t bytes, TimePoint began, double cpu_before) {
  return {bytes, std::chrono::duration<double>(async::Clock::now() - began).count(),
          process_cpu_seconds() - cpu_before};
}

}  // namespace

asio::ssl::context make_plain_tls(TlsEnd end) {
  asio::ssl::context context{end == TlsEnd::server ? asio::ssl::context::tls_server
                                                   : asio::ssl::context::tls_client};
  SSL_CTX* raw = context.native_handle();
  TAYGA_CHECK(SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION) == 1 &&
              SSL_CTX_set_ciphersuites(raw, "TLS_AES_128_GCM_SHA256") == 1 &&
              SSL_CTX_set1_groups_list(raw, "X25519") == 1);
  SSL_CTX_set_num_tickets(raw, 0);
  if (end == TlsEnd::server) use_throw_away_certificate(raw);
  return context;
}

EndFigures send_asio_tls(std::uint16_t port, double seconds) {
  asio::io_context io{1};
  asio::ssl::context context = make_plain_tls(TlsEnd::client);
  asio::ssl::stream<tcp::socket> stream{io, context};
  stream.lowest_layer().connect({asio::ip::address_v4::loopback(), port});
  stream.lowest_layer().set_option(tcp::no_delay{true});
  stream.handshake(asio::ssl::stream_base::client);
  const Bytes data(kWrite, std::byte{0x5a});
  std::uint64_t bytes = 0;
  const TimePoint began = async::Clock::now();
  const double cpu_before = process_cpu_seconds();
  const TimePoint end =
      began + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  std::function<void()> write = [&] {
    asio::async_write(stream, asio::buffer(data), [&](const auto& ec, std::size_t size) {
      bytes += size;
      if (!ec && async::Clock::now() < end) write();
    });
  };
  write();
  io.run();
  return finish(bytes, began, cpu_before);
}

EndFigures receive_asio_tls(int listener) {
  asio::io_context io{1};
  asio::ssl::context context = make_plain_tls(TlsEnd::server);
  tcp::acceptor acceptor{io, tcp::v4(), listener};
  asio::ssl::stream<tcp::socket> stream{io, context};
  acceptor.accept(stream.lowest_layer());
  stream.handshake(asio::ssl::stream_base::server);
  Bytes buffer(kRead);
  std::uint64_t bytes = 0;
  const TimePoint began = async::Clock::now();
  const double cpu_before = process_cpu_seconds();
  std::function<void()> read = [&] {
    stream.async_read_some(asio::buffer(buffer), [&](const auto& ec, std::size_t size) {
      bytes += size;
      if (!ec) read();
    });
  };
  read();
  io.run();
  return finish(bytes, began, cpu_before);
}

}  // namespace tayga::bench
