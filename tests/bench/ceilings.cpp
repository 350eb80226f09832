#include "tests/bench/ceilings.hpp"

#include "common/async/clock.hpp"
#include "common/base/bytes.hpp"
#include "common/base/check.hpp"
#include "tests/bench/bench.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace tayga::bench {
namespace {

constexpr std::size_t kWrite = 128 * 1024;
constexpr std::size_t kRecord = 16 * 1024;
constexpr std::size_t kReadBuffer = 256 * 1024;
constexpr std::size_t kSegment = 1452;
constexpr std::size_t kSegments = 44;      // what one datagram of 64 KiB holds
constexpr std::size_t kPacketHeader = 12;  // about that of a QUIC packet
constexpr std::size_t kTag = 16;
constexpr int kUdpBuffer = 8 * 1024 * 1024;

int require(int result, const char* what) {
  if (result < 0) throw std::system_error{errno, std::generic_category(), what};
  return result;
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Descriptors live as long as the role that opens them.
int open_socket(int type) {
  const int fd = require(::socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
  if (type == SOCK_DGRAM) {
    (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kUdpBuffer, sizeof kUdpBuffer);
  } else {
    const int one = 1;
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  return fd;
}

std::uint16_t bind_loopback(int fd) {
  sockaddr_in address = loopback(0);
  require(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  socklen_t size = sizeof address;
  require(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return ntohs(address.sin_port);
}

int connect_loopback(int type, std::uint16_t port) {
  const int fd = open_socket(type);
  const sockaddr_in address = loopback(port);
  require(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
  return fd;
}

/// Figures from the first byte on.
class Meter {
 public:
  void add(std::size_t bytes) {
    if (figures_.bytes == 0) begin();
    figures_.bytes += bytes;
  }
  void begin() {
    began_ = async::Clock::now();
    cpu_ = process_cpu_seconds();
  }
  [[nodiscard]] double elapsed() const {
    return std::chrono::duration<double>(async::Clock::now() - began_).count();
  }
  [[nodiscard]] EndFigures end() {
    figures_.seconds = elapsed();
    figures_.cpu_s = process_cpu_seconds() - cpu_;
    return figures_;
  }

 private:
  EndFigures figures_;
  TimePoint began_{};
  double cpu_ = 0;
};

bool send_all(int fd, const std::byte* data, std::size_t size) {
  while (size > 0) {
    const auto sent = ::send(fd, data, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

EndFigures send_tcp(std::uint16_t port, double seconds) {
  const int fd = connect_loopback(SOCK_STREAM, port);
  const Bytes data(kWrite, std::byte{0x5a});
  Meter meter;
  do {
    if (!send_all(fd, data.data(), data.size())) break;
    meter.add(data.size());
  } while (meter.elapsed() < seconds);
  const EndFigures figures = meter.end();
  ::close(fd);
  return figures;
}

EndFigures receive_tcp(int listener) {
  const int fd = require(::accept(listener, nullptr, nullptr), "accept");
  Bytes buffer(kReadBuffer);
  Meter meter;
  for (;;) {
    const auto size = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (size <= 0) return meter.end();
    meter.add(static_cast<std::size_t>(size));
  }
}

using SslPointer = std::unique_ptr<SSL, decltype(&SSL_free)>;

EndFigures send_tls(std::uint16_t port, double seconds) {
  auto context = make_plain_tls(TlsEnd::client);
  const int fd = connect_loopback(SOCK_STREAM, port);
  const SslPointer ssl{SSL_new(context.native_handle()), SSL_free};
  SSL_set_fd(ssl.get(), fd);
  if (SSL_connect(ssl.get()) != 1) throw std::runtime_error{"TLS connect failed"};
  BIO* memory = BIO_new(BIO_s_mem());
  SSL_set0_wbio(ssl.get(), memory);
  const Bytes data(kRecord, std::byte{0x5a});
  Meter meter;
  do {
    for (std::size_t written = 0; written < kWrite; written += data.size()) {
      TAYGA_CHECK(SSL_write(ssl.get(), data.data(), static_cast<int>(data.size())) > 0);
      meter.add(data.size());
    }
    char* sealed = nullptr;
    const long size = BIO_get_mem_data(memory, &sealed);
    if (!send_all(fd, reinterpret_cast<const std::byte*>(sealed), static_cast<std::size_t>(size))) {
      break;
    }
    (void)BIO_reset(memory);
  } while (meter.elapsed() < seconds);
  const EndFigures figures = meter.end();
  ::close(fd);
  return figures;
}

EndFigures receive_tls(int listener) {
  auto context = make_plain_tls(TlsEnd::server);
  const int fd = require(::accept(listener, nullptr, nullptr), "accept");
  const SslPointer ssl{SSL_new(context.native_handle()), SSL_free};
  SSL_set_read_ahead(ssl.get(), 1);
  SSL_set_default_read_buffer_len(ssl.get(), kWrite);
  SSL_set_fd(ssl.get(), fd);
  if (SSL_accept(ssl.get()) != 1) throw std::runtime_error{"TLS accept failed"};
  Bytes buffer(kReadBuffer);
  Meter meter;
  for (;;) {
    const int size = SSL_read(ssl.get(), buffer.data(), static_cast<int>(buffer.size()));
    if (size <= 0) return meter.end();
    meter.add(static_cast<std::size_t>(size));
  }
}

/// AES-128-GCM with one key and a counted nonce, as a packet protection does it.
class Sealer {
 public:
  Sealer() : context_{EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free} {
    const std::array<unsigned char, 16> key{1, 2, 3};
    TAYGA_CHECK(
        EVP_EncryptInit_ex(context_.get(), EVP_aes_128_gcm(), nullptr, key.data(), nullptr) == 1);
  }
  /// `out` takes size + kTag bytes.
  void seal(const std::byte* header, const std::byte* in, std::size_t size, std::byte* out) {
    ++nonce_;
    std::array<unsigned char, 12> nonce{};
    std::memcpy(nonce.data() + 4, &nonce_, sizeof nonce_);
    int written = 0;
    auto* to = reinterpret_cast<unsigned char*>(out);
    const int ok =
        EVP_EncryptInit_ex(context_.get(), nullptr, nullptr, nullptr, nonce.data()) &
        EVP_EncryptUpdate(context_.get(), nullptr, &written,
                          reinterpret_cast<const unsigned char*>(header), kPacketHeader) &
        EVP_EncryptUpdate(context_.get(), to, &written, reinterpret_cast<const unsigned char*>(in),
                          static_cast<int>(size)) &
        EVP_EncryptFinal_ex(context_.get(), to + size, &written) &
        EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_GCM_GET_TAG, kTag, to + size);
    TAYGA_CHECK(ok == 1);
  }

 private:
  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context_;
  std::uint64_t nonce_ = 0;
};

EndFigures send_udp(std::uint16_t port, double seconds, Sealer* sealer) {
  const int fd = connect_loopback(SOCK_DGRAM, port);
  const int segment = kSegment;
  if (::setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment) != 0) {
    throw std::runtime_error{"this kernel has no UDP segmentation offload"};
  }
  constexpr std::size_t kPlain = kSegment - kPacketHeader - kTag;
  const Bytes plain(kSegments * kPlain, std::byte{0x5a});
  Bytes batch(kSegments * kSegment, std::byte{0x40});
  Meter meter;
  do {
    for (std::size_t i = 0; sealer != nullptr && i < kSegments; ++i) {
      std::byte* packet = batch.data() + i * kSegment;
      sealer->seal(packet, plain.data() + i * kPlain, kPlain, packet + kPacketHeader);
    }
    if (::send(fd, batch.data(), batch.size(), 0) > 0) {
      meter.add(sealer != nullptr ? plain.size() : batch.size());
    }
  } while (meter.elapsed() < seconds);
  const EndFigures figures = meter.end();
  ::close(fd);
  return figures;
}

EndFigures receive_udp(int fd, Way way, const Channel& channel) {
  const int gro = way == Way::udp_gso_no_gro ? 0 : 1;
  (void)::setsockopt(fd, IPPROTO_UDP, UDP_GRO, &gro, sizeof gro);
  const double payload_share = way == Way::udp_gso_cipher
                                   ? static_cast<double>(kSegment - kPacketHeader - kTag) / kSegment
                                   : 1.0;
  constexpr std::size_t kMessages = 32;
  Bytes memory(kMessages * 65'536);
  std::array<iovec, kMessages> parts{};
  std::array<mmsghdr, kMessages> heads{};
  for (std::size_t i = 0; i < kMessages; ++i) {
    parts[i] = {memory.data() + i * 65'536, 65'536};
    heads[i].msg_hdr.msg_iov = &parts[i];
    heads[i].msg_hdr.msg_iovlen = 1;
  }
  Meter meter;
  for (;;) {
    std::array<pollfd, 2> wait{{{fd, POLLIN, 0}, {channel.fd(), POLLIN, 0}}};
    require(::poll(wait.data(), wait.size(), -1), "poll");
    const int count = ::recvmmsg(fd, heads.data(), kMessages, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < count; ++i) meter.add(heads[static_cast<std::size_t>(i)].msg_len);
    if (count <= 0 && wait[1].revents != 0) break;  // told to end, and empty
  }
  (void)channel.receive(1s);  // what is unread when we end would reset the line under our answer
  EndFigures figures = meter.end();
  figures.bytes = static_cast<std::uint64_t>(static_cast<double>(figures.bytes) * payload_share);
  return figures;
}

bool is_udp(Way way) {
  return way == Way::udp_gso || way == Way::udp_gso_no_gro || way == Way::udp_gso_cipher;
}

EndFigures run_sender(Way way, std::uint16_t port, double seconds) {
  Sealer sealer;
  switch (way) {
    case Way::tcp_plain:
      return send_tcp(port, seconds);
    case Way::tls_memory_bio:
      return send_tls(port, seconds);
    case Way::tls_asio:
      return send_asio_tls(port, seconds);
    case Way::udp_gso:
    case Way::udp_gso_no_gro:
      return send_udp(port, seconds, nullptr);
    case Way::udp_gso_cipher:
      return send_udp(port, seconds, &sealer);
  }
  return {};
}

EndFigures run_receiver(Way way, int fd, const Channel& channel) {
  switch (way) {
    case Way::tcp_plain:
      return receive_tcp(fd);
    case Way::tls_memory_bio:
      return receive_tls(fd);
    case Way::tls_asio:
      return receive_asio_tls(fd);
    case Way::udp_gso:
    case Way::udp_gso_no_gro:
    case Way::udp_gso_cipher:
      return receive_udp(fd, way, channel);
  }
  return {};
}

double number(const boost::json::object& figures, const char* key) {
  return figures.at(key).to_number<double>();
}

}  // namespace

boost::json::object Throughput::to_json() const {
  return {{"gbps", gbps},
          {"sender_core_s_per_gbit", sender_core_s_per_gbit},
          {"receiver_core_s_per_gbit", receiver_core_s_per_gbit}};
}

boost::json::object EndFigures::to_json() const {
  return {{"bytes", bytes}, {"seconds", seconds}, {"cpu_s", cpu_s}};
}

Throughput measure_way(Way way, double seconds) {
  Role receiver{"receiving", cpu_for(1), [&](Channel& channel) {
                  const int fd = open_socket(is_udp(way) ? SOCK_DGRAM : SOCK_STREAM);
                  const std::uint16_t port = bind_loopback(fd);
                  if (!is_udp(way)) require(::listen(fd, 1), "listen");
                  channel.send({{"port", port}});
                  channel.send(run_receiver(way, fd, channel).to_json());
                }};
  const auto port = receiver.receive().at("port").to_number<std::uint16_t>();
  Role sender{"sending", cpu_for(0),
              [&](Channel& channel) { channel.send(run_sender(way, port, seconds).to_json()); }};
  const boost::json::object sent = sender.receive();
  if (is_udp(way)) receiver.tell("end");
  const boost::json::object received = receiver.receive();
  const double gbit_sent = number(sent, "bytes") * 8 / 1e9;
  const double gbit_received = number(received, "bytes") * 8 / 1e9;
  return {gbit_received / number(sent, "seconds"), number(sent, "cpu_s") / gbit_sent,
          number(received, "cpu_s") / gbit_received};
}

double measure_cipher_gbps(Sealing sealing, double seconds) {
  Role role{"cipher", cpu_for(0), [&](Channel& channel) {
              const std::size_t size = sealing == Sealing::packets ? 1400 : kRecord;
              const Bytes plain(size, std::byte{0x5a});
              Bytes sealed(size + kTag);
              Sealer sealer;
              const Cost cost = measure(seconds, [&](std::uint64_t) {
                sealer.seal(plain.data(), plain.data(), size, sealed.data());
              });
              channel.send({{"gbps", cost.per_second() * static_cast<double>(size) * 8 / 1e9}});
            }};
  return number(role.receive(), "gbps");
}

}  // namespace tayga::bench
