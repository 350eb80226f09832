#pragma once

#include "common/async/task.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/http/errors.hpp"
#include "common/http/request.hpp"
#include "common/http/request_body.hpp"
#include "common/http/response_writer.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace tayga::http {

/// What a server lets a stranger use. The defaults are the limits of ARCHITECTURE.md.
struct ServerOptions {
  std::size_t connections_max = 256;  ///< one more is answered 503 and closed
  std::size_t header_size_max = 8 * 1024;
  Duration header_timeout = 5s;             ///< from the first byte of a request to its empty line
  Duration idle_timeout = 60s;              ///< between requests
  std::uint64_t body_size_max = 64 * 1024;  ///< where the handler sets no other
  std::uint64_t body_rate_min_bps = 8 * 1024;  ///< bit/s, on average behind the grace
  Duration body_grace = 30s;  ///< longest pause; an encoder opens a PUT long before it fills it
  Duration write_stall_timeout = 30s;  ///< the peer must take some byte within it
  Duration half_close_grace =
      2s;                        ///< an answer without progress this long after the peer's FIN ends
  Duration linger_timeout = 2s;  ///< reads on after an early answer, so that the peer can see it
  Duration drain_timeout = 5s;   ///< stop() lets running answers finish for so long
};

/// Rising counts since the start, except connections.
struct ServerStats {
  std::size_t connections = 0;
  std::uint64_t connections_total = 0;
  std::uint64_t connections_refused_total = 0;
  std::uint64_t requests_total = 0;
  std::uint64_t requests_malformed_total = 0;
  std::uint64_t received_bytes_total = 0;
  std::uint64_t sent_bytes_total = 0;
};

/// Answers one request. The references live until the task ends, one operation on them at a time.
///
/// When the client goes away the task is cancelled: the operation it waits for ends with
/// operation_aborted and, unless it asked otherwise, its next co_await throws. A task that ends
/// without an answer, or by an exception, is answered for: 500, or what RequestBody failed with.
using Handler = std::function<async::Task<void>(Request&, RequestBody&, ResponseWriter&)>;

/// An HTTP/1.1 and 1.0 server: keep-alive, pipelining in order, streaming both ways.
///
/// Not thread-safe: lives on one thread's executor, and so do its handlers. Malformed requests are
/// answered with one line of text and closed. Outlives its connections: co_await stop() first.
class Server {
 public:
  Server(boost::asio::any_io_executor executor, ServerOptions options, Handler handler);
  /// Pre: stop() has ended, or the executor runs no more.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds and begins to accept; port 0 takes a free one. May be called for several endpoints.
  /// Error: of the system, address_in_use for a taken port; see describe_listen_error().
  Result<void> listen(const boost::asio::ip::tcp::endpoint& endpoint);
  /// Of the first listen() that succeeded. Pre: there is one.
  [[nodiscard]] boost::asio::ip::tcp::endpoint local_endpoint() const;

  /// Accepts no more, closes idle connections, lets running answers finish for drain_timeout, then
  /// cancels them. Returns when the last has ended.
  async::Task<void> stop();

  [[nodiscard]] const ServerStats& stats() const noexcept;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// "cannot listen on 127.0.0.1:8780: the port is taken; stop the program that holds it, or set
/// another address with `setting`".
std::string describe_listen_error(const boost::asio::ip::tcp::endpoint& endpoint,
                                  const error_code& error, std::string_view setting);

}  // namespace tayga::http
