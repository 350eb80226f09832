#pragma once

#include "common/async/task_group.hpp"
#include "common/http/server.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

namespace tayga::http::testing {

/// A server on a free loopback port, running in its own thread until destroyed.
class RunningServer {
 public:
  RunningServer(ServerOptions options, Handler handler);
  ~RunningServer();
  RunningServer(const RunningServer&) = delete;
  RunningServer& operator=(const RunningServer&) = delete;

  [[nodiscard]] boost::asio::ip::tcp::endpoint endpoint() const { return endpoint_; }
  /// Stops gracefully and waits for the end. Also done by the destructor.
  void stop();
  /// A copy, read in the server's thread.
  [[nodiscard]] ServerStats stats();

 private:
  boost::asio::io_context io_{1};
  Server server_;
  async::TaskGroup tasks_;
  boost::asio::ip::tcp::endpoint endpoint_;
  std::thread thread_;
  bool stopped_ = false;
};

/// A blocking client that never waits longer than 10 s.
class Client {
 public:
  explicit Client(const RunningServer& server);

  void write(std::string_view text);
  /// Until `end` was seen or the connection ended; returns what came.
  std::string read_until(std::string_view end);
  std::string read_to_end() { return read_until({}); }
  /// Head and Content-Length body of the next answer.
  std::string read_answer();
  void shutdown_send();
  void close();
  /// Closes with a reset.
  void abort();

 private:
  bool fill();

  boost::asio::io_context io_{1};
  boost::asio::ip::tcp::socket socket_{io_};
  std::string buffer_;
};

/// "HTTP/1.1 200 OK" of an answer.
std::string status_line(std::string_view answer);
std::string body_of(std::string_view answer);

}  // namespace tayga::http::testing
