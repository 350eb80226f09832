#include "common/admin/client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>

namespace tayga::admin {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

class Socket {
 public:
  Socket() noexcept : fd_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)} {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  [[nodiscard]] int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

error_code to_error(int error) noexcept {
  if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR) return AdminErrc::not_running;
  if (error == EACCES || error == EPERM) return AdminErrc::permission_denied;
  if (error == EPIPE || error == ECONNRESET) return AdminErrc::protocol;
  return {error, boost::system::system_category()};
}

error_code wait_for(const Socket& socket, short events, SteadyTime deadline) {
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return AdminErrc::timeout;
    const auto limit = std::min<std::int64_t>(left.count(), std::numeric_limits<int>::max());
    pollfd poll_one{socket.fd(), events, 0};
    const int ready = ::poll(&poll_one, 1, static_cast<int>(limit));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return to_error(errno);
  }
}

error_code connect_to(const Socket& socket, const std::string& path, SteadyTime deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return AdminErrc::bad_path;
  std::memcpy(address.sun_path, path.data(), path.size());
  for (;;) {
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (::connect(socket.fd(), generic, sizeof address) == 0) return {};
    // EAGAIN: the daemon's backlog is full, and a unix socket cannot be polled for room in it.
    if (errno != EAGAIN && errno != EINTR) return to_error(errno);
    if (std::chrono::steady_clock::now() >= deadline) return AdminErrc::timeout;
    (void)::poll(nullptr, 0, 10);
  }
}

error_code send_all(const Socket& socket, std::string_view text, SteadyTime deadline) {
  while (!text.empty()) {
    if (const auto error = wait_for(socket, POLLOUT, deadline)) return error;
    const ssize_t size = ::send(socket.fd(), text.data(), text.size(), MSG_NOSIGNAL);
    if (size >= 0) {
      text.remove_prefix(static_cast<std::size_t>(size));
    } else if (errno != EAGAIN && errno != EINTR) {
      return to_error(errno);
    }
  }
  return {};
}

Result<std::string> receive_line(const Socket& socket, SteadyTime deadline) {
  std::string line;
  std::array<char, 16384> piece;  // NOLINT: recv fills it
  for (;;) {
    if (const auto error = wait_for(socket, POLLIN, deadline)) return error;
    const ssize_t size = ::recv(socket.fd(), piece.data(), piece.size(), 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (size < 0) return to_error(errno);
    if (size == 0) return AdminErrc::protocol;
    const std::string_view text{piece.data(), static_cast<std::size_t>(size)};
    const auto end = text.find('\n');
    line += text.substr(0, end);
    if (end != std::string_view::npos) return line;
    if (line.size() > kAnswerSizeMax) return AdminErrc::protocol;
  }
}

}  // namespace

Result<Answer> call(const std::string& socket_path, std::string_view command,
                    boost::json::object args, Duration timeout) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + timeout;
  const Socket socket;
  if (socket.fd() < 0) return to_error(errno);
  if (const auto error = connect_to(socket, socket_path, deadline)) return error;
  const std::string line = serialize(Request{std::string{command}, std::move(args)});
  if (line.size() > kRequestSizeMax) return AdminErrc::protocol;
  if (const auto error = send_all(socket, line, deadline)) return error;
  const auto answer = receive_line(socket, deadline);
  if (!answer) return answer.error();
  return parse_answer(*answer);
}

}  // namespace tayga::admin
