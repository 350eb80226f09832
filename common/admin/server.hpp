#pragma once

#include "common/admin/errors.hpp"
#include "common/admin/message.hpp"
#include "common/async/task.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/json/object.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace tayga::admin {

/// Carries out one command, in short time: it keeps one of clients_max places, also when its client
/// has gone. An exception becomes the failure "internal".
using Handler = std::function<async::Task<Answer>(std::string command, boost::json::object args)>;

struct ServerOptions {
  std::size_t clients_max = 16;  ///< one more is closed at once
  Duration idle_timeout = 60s;   ///< between requests, and for a client to take its answer
};

/// The control socket of a running daemon: a unix socket that only its owner may use (0600).
///
/// Not thread-safe: lives on one thread's executor, and so does its handler. co_await stop() before
/// its end.
class Server {
 public:
  Server(boost::asio::any_io_executor executor, ServerOptions options, Handler handler);
  ~Server();  ///< Removes the socket file.
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Binds and begins to accept. The file of a dead program is replaced. The folder is made (0700)
  /// when it is missing. Errors: already_running, unsafe_folder, bad_path, or the system's.
  Result<void> listen(const std::string& path);
  /// Accepts no more, cancels what runs, returns when all has ended.
  async::Task<void> stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace tayga::admin
