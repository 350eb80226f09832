#pragma once

#include "common/base/bytes.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/transport/session.hpp"
#include "common/transport/tls/tls_transport.hpp"

#include <boost/asio/ip/address.hpp>

#include <optional>
#include <utility>

namespace tayga::transport::tls {

/// Unsent bytes that the kernel may hold for one connection: more would only age there, out of
/// reach of the owner who drops what is late.
inline constexpr int kKernelBacklog = 128 * 1024;

/// Owns a file descriptor.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) noexcept : fd_{fd} {}
  UniqueFd(UniqueFd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~UniqueFd() { reset(); }

  void reset(int fd = -1) noexcept;
  [[nodiscard]] int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// A non-blocking listening socket. Errors: the system's own.
Result<UniqueFd> open_listener(const Endpoint& local, PortSharing sharing);

/// A non-blocking socket whose connect is under way: wait until it is writable, then ask
/// connect_error(). Errors: the system's own.
Result<UniqueFd> begin_connect(const Endpoint& remote,
                               const std::optional<boost::asio::ip::address>& source);
error_code connect_error(const UniqueFd& socket);

struct Accepted {
  UniqueFd socket;
  Endpoint remote;
};
/// The next waiting connection. Errors: the system's own; would_block when there is none.
Result<Accepted> accept_one(const UniqueFd& listener);

/// no-delay, a bounded backlog in the kernel, BBR where it has it. What fails is left as it is.
void tune(const UniqueFd& socket);

/// The kernel breaks the connection when the peer has acknowledged nothing, or shown no room, for
/// so long while bytes wait for it: receive_some then gives timed_out.
void limit_stall(const UniqueFd& socket, Duration time) noexcept;

Result<Endpoint> local_endpoint(const UniqueFd& socket);

/// Sends without blocking and without SIGPIPE; 0 = the kernel takes nothing now.
Result<std::size_t> send_some(const UniqueFd& socket, ByteView data);
/// Receives without blocking; 0 = the peer has ended its side. Errors: would_block when there is
/// none.
Result<std::size_t> receive_some(const UniqueFd& socket, std::span<std::byte> into);
/// Ends our side in order; the peer then reads its end of file.
void end_sending(const UniqueFd& socket) noexcept;

/// The kernel's smoothed estimate; 0 when it has none.
Duration smoothed_rtt(const UniqueFd& socket) noexcept;

}  // namespace tayga::transport::tls
