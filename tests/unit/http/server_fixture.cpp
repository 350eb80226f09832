#include "tests/unit/http/server_fixture.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <stdexcept>

namespace tayga::http::testing {

namespace asio = boost::asio;
using asio::ip::tcp;

RunningServer::RunningServer(ServerOptions options, Handler handler)
    : server_{io_.get_executor(), std::move(options), std::move(handler)},
      tasks_{io_.get_executor(), "test", 1} {
  server_.listen(tcp::endpoint{asio::ip::address_v4::loopback(), 0}).value();
  endpoint_ = server_.local_endpoint();
  thread_ = std::thread{[this] { io_.run(); }};
}

RunningServer::~RunningServer() {
  stop();
}

void RunningServer::stop() {
  if (stopped_) return;
  stopped_ = true;
  asio::post(io_, [this] { (void)tasks_.spawn(server_.stop()); });
  thread_.join();  // run() returns when the last connection and timer are gone
}

ServerStats RunningServer::stats() {
  std::promise<ServerStats> promise;
  asio::post(io_, [&] { promise.set_value(server_.stats()); });
  return promise.get_future().get();
}

Client::Client(const RunningServer& server) {
  socket_.connect(server.endpoint());
  const timeval limit{10, 0};
  ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

void Client::write(std::string_view text) {
  boost::system::error_code ignored;  // a server may cut us off in the middle: the answer tells
  asio::write(socket_, asio::buffer(text), ignored);
}

/// Not through Asio, which would wait again, without a limit, after SO_RCVTIMEO has passed.
bool Client::fill() {
  std::array<char, 16384> piece{};
  const ssize_t size = ::recv(socket_.native_handle(), piece.data(), piece.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    throw std::runtime_error{"no answer within 10 s; so far: " + buffer_};
  }
  if (size <= 0) return false;
  buffer_.append(piece.data(), static_cast<std::size_t>(size));
  return true;
}

std::string Client::read_until(std::string_view end) {
  std::size_t found = std::string::npos;
  for (;;) {
    if (!end.empty()) found = buffer_.find(end);
    if (found != std::string::npos || !fill()) break;
  }
  const std::size_t size = found == std::string::npos ? buffer_.size() : found + end.size();
  std::string out = buffer_.substr(0, size);
  buffer_.erase(0, size);
  return out;
}

std::string Client::read_answer() {
  constexpr std::string_view kField = "Content-Length: ";
  std::string answer = read_until("\r\n\r\n");
  const auto field = answer.find(kField);
  std::size_t length = 0;
  if (field != std::string::npos) {
    std::from_chars(answer.data() + field + kField.size(), answer.data() + answer.size(), length);
  }
  while (buffer_.size() < length && fill()) {
  }
  answer += buffer_.substr(0, length);
  buffer_.erase(0, length);
  return answer;
}

void Client::shutdown_send() {
  socket_.shutdown(tcp::socket::shutdown_send);
}

void Client::close() {
  socket_.close();
}

void Client::abort() {
  socket_.set_option(asio::socket_base::linger{true, 0});
  socket_.close();
}

std::string status_line(std::string_view answer) {
  return std::string{answer.substr(0, answer.find('\r'))};
}

std::string body_of(std::string_view answer) {
  const auto end = answer.find("\r\n\r\n");
  return end == std::string_view::npos ? std::string{} : std::string{answer.substr(end + 4)};
}

}  // namespace tayga::http::testing
