#include "tests/integration/hostile_tls_peer.hpp"

#include "common/crypto/ed25519.hpp"
#include "tests/support/catch.hpp"

#include <boost/algorithm/hex.hpp>
#include <boost/endian/conversion.hpp>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>
#include <string_view>
#include <vector>

namespace tayga::transport {
namespace {

/// OpenSSL's own socket BIO raises it.
[[maybe_unused]] const auto sigpipe_ignored = std::signal(SIGPIPE, SIG_IGN);

sockaddr_in to_sockaddr(const boost::asio::ip::address& address, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  const auto bytes = address.to_v4().to_bytes();
  std::memcpy(&result.sin_addr, bytes.data(), bytes.size());
  return result;
}

int open_connected(const Endpoint& to, const HostileTlsPeer::Options& options) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(fd >= 0);
  if (options.receive_buffer > 0) {
    const int size = options.receive_buffer;
    REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == 0);
  }
  if (options.source) {
    const sockaddr_in from = to_sockaddr(boost::asio::ip::make_address(*options.source), 0);
    REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0);
  }
  const sockaddr_in address = to_sockaddr(to.address, to.port);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

/// HKDF-Expand-Label of RFC 8446 7.1 for SHA-256, an empty context and at most one block.
template <std::size_t Size>
std::array<unsigned char, Size> expand(const std::vector<unsigned char>& secret,
                                       std::string_view label) {
  static_assert(Size <= 32);
  const std::string name = "tls13 " + std::string{label};
  std::string info{'\0', static_cast<char>(Size), static_cast<char>(name.size())};
  info += name + std::string{'\0', '\1'};  // no context, then the number of the block
  std::array<unsigned char, 32> block{};
  unsigned size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(info.data()), info.size(), block.data(), &size);
  std::array<unsigned char, Size> result{};
  std::memcpy(result.data(), block.data(), Size);
  return result;
}

}  // namespace

HostileTlsPeer::HostileTlsPeer(const Endpoint& to, const Options& options)
    : fd_{open_connected(to, options)},
      context_{tls::make_peer_context(crypto::SigningKey::generate(), Side::dialer)} {
  REQUIRE(SSL_CTX_set_ciphersuites(context_.get(), "TLS_AES_128_GCM_SHA256") == 1);
  // Whom it talks to it does not care.
  SSL_CTX_set_cert_verify_callback(
      context_.get(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  SSL_CTX_set_keylog_callback(context_.get(), &HostileTlsPeer::on_key);
  ssl_.reset(SSL_new(context_.get()));
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_fd(ssl_.get(), fd_);
  timeval patience{.tv_sec = 0, .tv_usec = 1000};
  REQUIRE(::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
  REQUIRE(::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0);
}

HostileTlsPeer::~HostileTlsPeer() {
  ::close(fd_);
}

void HostileTlsPeer::on_key(const SSL* ssl, const char* line) {
  // "CLIENT_TRAFFIC_SECRET_0 <client random> <secret>", in hex
  const std::string_view text{line};
  if (!text.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) return;
  std::vector<unsigned char> secret;
  boost::algorithm::unhex(std::string{text.substr(text.rfind(' ') + 1)},
                          std::back_inserter(secret));
  auto* const self = static_cast<HostileTlsPeer*>(SSL_get_app_data(ssl));
  self->key_ = expand<16>(secret, "key");
  self->iv_ = expand<12>(secret, "iv");
}

bool HostileTlsPeer::handshake(boost::asio::io_context& io) {
  for (int i = 0; i < 5000; ++i) {
    const int result = SSL_connect(ssl_.get());
    if (result == 1) break;
    if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) return false;
    io.restart();
    io.poll();
  }
  io.restart();
  io.run_for(std::chrono::milliseconds{20});  // until it has judged us
  return SSL_is_init_finished(ssl_.get()) == 1 && !is_closed();
}

bool HostileTlsPeer::write(ByteView data) {
  return SSL_write(ssl_.get(), data.data(), static_cast<int>(data.size())) > 0;
}

bool HostileTlsPeer::update_key() {
  return SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_REQUESTED) == 1 &&
         SSL_do_handshake(ssl_.get()) == 1;
}

bool HostileTlsPeer::write_record(ByteView data) {
  constexpr std::size_t kTagSize = 16;
  constexpr unsigned char kApplicationData = 23;
  const std::size_t sealed_size = data.size() + 1 + kTagSize;
  std::vector<unsigned char> record{kApplicationData, 3, 3,
                                    static_cast<unsigned char>(sealed_size >> 8),
                                    static_cast<unsigned char>(sealed_size)};
  record.resize(5 + sealed_size);
  std::vector<unsigned char> plain(as_uchar(data), as_uchar(data) + data.size());
  plain.push_back(kApplicationData);  // TLSInnerPlaintext: the data, its type, no padding

  std::array<unsigned char, 12> nonce = iv_;
  std::array<unsigned char, 8> number{};
  boost::endian::store_big_u64(number.data(), records_++);
  for (std::size_t i = 0; i < number.size(); ++i) nonce[4 + i] ^= number[i];

  EVP_CIPHER_CTX* const cipher = EVP_CIPHER_CTX_new();
  int size = 0;
  EVP_EncryptInit_ex(cipher, EVP_aes_128_gcm(), nullptr, key_.data(), nonce.data());
  EVP_EncryptUpdate(cipher, nullptr, &size, record.data(), 5);
  EVP_EncryptUpdate(cipher, record.data() + 5, &size, plain.data(), static_cast<int>(plain.size()));
  EVP_EncryptFinal_ex(cipher, nullptr, &size);
  EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, kTagSize,
                      record.data() + record.size() - kTagSize);
  EVP_CIPHER_CTX_free(cipher);
  return send_all(as_bytes({reinterpret_cast<const char*>(record.data()), record.size()}));
}

bool HostileTlsPeer::send_all(ByteView data) {
  const ssize_t n = ::send(fd_, data.data(), data.size(), MSG_NOSIGNAL);
  return n == static_cast<ssize_t>(data.size());
}

void HostileTlsPeer::drain() {
  std::array<char, 64 * 1024> buffer;
  while (::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) {
  }
}

bool HostileTlsPeer::is_closed() {
  char byte = 0;
  const ssize_t n = ::recv(fd_, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
  return n == 0 || (n < 0 && errno != EAGAIN);
}

}  // namespace tayga::transport
