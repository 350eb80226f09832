#include "common/transport/tls/socket.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace tayga::transport::tls {
namespace {

using boost::asio::ip::tcp;

constexpr int kListenBacklog = 1024;

error_code last_error() noexcept {
  return {errno, boost::system::system_category()};
}

Result<UniqueFd> open_socket(const boost::asio::ip::address& address) {
  const int family = address.is_v6() ? AF_INET6 : AF_INET;
  UniqueFd fd{::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd) return last_error();
  return fd;
}

void set_option(const UniqueFd& socket, int level, int name, int value) noexcept {
  (void)::setsockopt(socket.get(), level, name, &value, sizeof value);
}

error_code bind_to(const UniqueFd& socket, const tcp::endpoint& local) noexcept {
  if (::bind(socket.get(), local.data(), static_cast<socklen_t>(local.size())) == 0) return {};
  return last_error();
}

/// A dual-stack listener shows IPv4 peers as ::ffff:a.b.c.d; everyone else means the IPv4 address.
Endpoint to_endpoint(const tcp::endpoint& from) {
  const boost::asio::ip::address address = from.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return {boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6()),
            from.port()};
  }
  return {address, from.port()};
}

}  // namespace

void UniqueFd::reset(int fd) noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<UniqueFd> open_listener(const Endpoint& local, PortSharing sharing) {
  Result<UniqueFd> fd = open_socket(local.address);
  if (!fd) return fd;
  set_option(*fd, SOL_SOCKET, SO_REUSEADDR, 1);  // connections in TIME_WAIT do not hold the port
  if (local.address.is_v6()) set_option(*fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  // SO_REUSEPORT lets any process of this user join a group: a second daemon on the port would take
  // half of the connections without a word. So the first of a group binds without it, which the
  // kernel refuses while anybody else has the port, and opens the group only then. What counts for
  // the further ones is the option at the time when they bind.
  if (sharing == PortSharing::further) set_option(*fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (const error_code ec = bind_to(*fd, tcp::endpoint{local.address, local.port})) return ec;
  if (sharing == PortSharing::first) set_option(*fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (::listen(fd->get(), kListenBacklog) != 0) return last_error();
  return fd;
}

Result<UniqueFd> begin_connect(const Endpoint& remote,
                               const std::optional<boost::asio::ip::address>& source) {
  Result<UniqueFd> fd = open_socket(remote.address);
  if (!fd) return fd;
  if (source && source->is_v6() == remote.address.is_v6()) {
    if (const error_code ec = bind_to(*fd, tcp::endpoint{*source, 0})) return ec;
  }
  const tcp::endpoint to{remote.address, remote.port};
  if (::connect(fd->get(), to.data(), static_cast<socklen_t>(to.size())) != 0 &&
      errno != EINPROGRESS) {
    return last_error();
  }
  return fd;
}

error_code connect_error(const UniqueFd& socket) {
  int value = 0;
  socklen_t size = sizeof value;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &value, &size) != 0) return last_error();
  return {value, boost::system::system_category()};
}

Result<Accepted> accept_one(const UniqueFd& listener) {
  tcp::endpoint remote;
  socklen_t size = static_cast<socklen_t>(remote.capacity());
  UniqueFd fd{::accept4(listener.get(), remote.data(), &size, SOCK_NONBLOCK | SOCK_CLOEXEC)};
  if (!fd) {
    if (errno == EAGAIN) return error_code{boost::asio::error::would_block};
    return last_error();
  }
  remote.resize(size);
  return Accepted{std::move(fd), to_endpoint(remote)};
}

void tune(const UniqueFd& socket) {
  constexpr std::string_view kCongestionControl = "bbr";
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kKernelBacklog);
  (void)::setsockopt(socket.get(), IPPROTO_TCP, TCP_CONGESTION, kCongestionControl.data(),
                     static_cast<socklen_t>(kCongestionControl.size()));
}

void limit_stall(const UniqueFd& socket, Duration time) noexcept {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(ms));
}

Result<Endpoint> local_endpoint(const UniqueFd& socket) {
  tcp::endpoint local;
  socklen_t size = static_cast<socklen_t>(local.capacity());
  if (::getsockname(socket.get(), local.data(), &size) != 0) return last_error();
  local.resize(size);
  return to_endpoint(local);
}

Result<std::size_t> send_some(const UniqueFd& socket, ByteView data) {
  for (;;) {
    const ssize_t n = ::send(socket.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EAGAIN) return std::size_t{0};
    if (errno != EINTR) return last_error();
  }
}

Result<std::size_t> receive_some(const UniqueFd& socket, std::span<std::byte> into) {
  for (;;) {
    const ssize_t n = ::recv(socket.get(), into.data(), into.size(), 0);
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno == EAGAIN) return error_code{boost::asio::error::would_block};
    if (errno != EINTR) return last_error();
  }
}

void end_sending(const UniqueFd& socket) noexcept {
  (void)::shutdown(socket.get(), SHUT_WR);
}

Duration smoothed_rtt(const UniqueFd& socket) noexcept {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket.get(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return Duration{0};
  return Duration{info.tcpi_rtt};
}

}  // namespace tayga::transport::tls
