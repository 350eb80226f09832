#include "common/admin/server.hpp"

#include "common/async/task_group.hpp"
#include "common/async/timeout.hpp"
#include "common/base/check.hpp"
#include "common/log/log.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <exception>
#include <filesystem>
#include <utility>

namespace tayga::admin {
namespace {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using async::as_values;
using async::Task;

constexpr Duration kAcceptRetryDelay = 100ms;

error_code last_error() noexcept {
  return {errno, boost::system::system_category()};
}

/// Whoever may write to the folder could put his own socket in the place of ours. A folder with the
/// sticky bit (/tmp) is no better: the name is free before we start.
Result<void> check_folder(const std::filesystem::path& folder) {
  std::error_code made;
  std::filesystem::create_directories(folder.parent_path(), made);
  if (::mkdir(folder.c_str(), S_IRWXU) == 0) return {};
  if (errno != EEXIST) return last_error();
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) return last_error();
  if (!S_ISDIR(info.st_mode)) return AdminErrc::bad_path;
  const bool ours = info.st_uid == ::geteuid() || info.st_uid == 0;
  if (!ours || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) return AdminErrc::unsafe_folder;
  return {};
}

/// Removes a socket file that nobody answers on.
Result<void> remove_stale(asio::any_io_executor executor, const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return {};
    return last_error();
  }
  if (!S_ISSOCK(info.st_mode)) return AdminErrc::bad_path;
  stream_protocol::socket probe{std::move(executor)};
  error_code error;
  probe.connect(stream_protocol::endpoint{path}, error);
  if (!error || error == asio::error::try_again) return AdminErrc::already_running;
  if (error != asio::error::connection_refused) return error;
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return last_error();
  return {};
}

}  // namespace

/// Shared with the tasks, which may be destroyed with their io_context after the server itself.
struct Server::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::any_io_executor executor, ServerOptions opts, Handler h)
      : options{opts},
        handler{std::move(h)},
        acceptor{executor},
        tasks{executor, "admin server", options.clients_max + 1} {}

  static Task<void> run_accept(std::shared_ptr<Impl> self);
  static Task<void> run_client(std::shared_ptr<Impl> self, stream_protocol::socket socket);
  static Task<void> run_stop(std::shared_ptr<Impl> self);
  Task<std::string> answer(std::string line);
  void remove_file() noexcept;

  const ServerOptions options;
  const Handler handler;
  stream_protocol::acceptor acceptor;
  std::string path;
  ino_t inode = 0;
  bool stopping = false;
  async::TaskGroup tasks;
};

Task<void> Server::Impl::run_accept(std::shared_ptr<Impl> self) {
  while (!self->stopping) {
    auto [error, socket] = co_await self->acceptor.async_accept(as_values);
    if (!error) {
      // Refused when clients_max talk already: the socket closes with the unstarted task.
      (void)self->tasks.spawn(run_client(self, std::move(socket)));
      continue;
    }
    if (error == asio::error::operation_aborted || self->stopping) co_return;
    static log::SiteLimit limit{1, 60s};
    log::at(limit, log::Level::warn, "cannot accept a control client", log::field("error", error));
    const error_code slept = co_await async::sleep_for(kAcceptRetryDelay);
    if (slept) co_return;
  }
}

namespace {

/// The next line. Error: the client has gone, or sends more than a request.
Task<Result<std::string>> read_line(stream_protocol::socket& socket, std::string& buffer) {
  auto dynamic = asio::dynamic_buffer(buffer, kRequestSizeMax);
  const auto [error, size] = co_await asio::async_read_until(socket, dynamic, '\n', as_values);
  if (error) co_return error;
  std::string line = buffer.substr(0, size);
  buffer.erase(0, size);
  co_return line;
}

Task<Result<void>> write_all(stream_protocol::socket& socket, const std::string& text) {
  const auto [error, size] = co_await asio::async_write(socket, asio::buffer(text), as_values);
  if (error) co_return error;
  co_return Result<void>{};
}

}  // namespace

Task<void> Server::Impl::run_client(std::shared_ptr<Impl> self, stream_protocol::socket socket) {
  std::string buffer;
  while (!self->stopping) {
    Task<Result<std::string>> reading = read_line(socket, buffer);
    const auto line = co_await async::with_timeout(std::move(reading), self->options.idle_timeout);
    if (!line) co_return;
    const std::string text = co_await self->answer(*line);
    Task<Result<void>> writing = write_all(socket, text);
    const auto written =
        co_await async::with_timeout(std::move(writing), self->options.idle_timeout);
    if (!written) co_return;
  }
}

Task<std::string> Server::Impl::answer(std::string line) {
  auto request = parse_request(line);
  if (!request) {
    const Answer refusal = Failure{"bad_request", "a request is one line of JSON with a command"};
    co_return serialize(refusal);
  }
  std::string failure;
  try {
    const Answer given = co_await handler(std::move(request->command), std::move(request->args));
    co_return serialize(given);
  } catch (const std::exception& e) {
    failure = e.what();
  }
  const Answer broken = Failure{"internal", std::move(failure)};
  co_return serialize(broken);
}

/// Only while it is still ours: another daemon may have replaced it.
void Server::Impl::remove_file() noexcept {
  struct stat info {};
  if (path.empty() || ::lstat(path.c_str(), &info) != 0 || info.st_ino != inode) return;
  ::unlink(path.c_str());
}

Task<void> Server::Impl::run_stop(std::shared_ptr<Impl> self) {
  self->stopping = true;
  error_code ignored;
  self->acceptor.close(ignored);
  self->remove_file();
  self->tasks.cancel();
  co_await self->tasks.join();
}

Server::Server(asio::any_io_executor executor, ServerOptions options, Handler handler)
    : impl_{std::make_shared<Impl>(std::move(executor), options, std::move(handler))} {}

Server::~Server() {
  impl_->remove_file();
}

Result<void> Server::listen(const std::string& path) {
  TAYGA_CHECK(!impl_->acceptor.is_open() && !impl_->stopping);
  if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) return AdminErrc::bad_path;
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  if (const auto checked = check_folder(folder); !checked) return checked.error();
  const auto removed = remove_stale(impl_->acceptor.get_executor(), path);
  if (!removed) return removed.error();
  error_code error;
  impl_->acceptor.open(stream_protocol{}, error);
  // The mode of the file is that of the socket under the umask; nobody can connect before listen().
  if (!error) impl_->acceptor.bind(stream_protocol::endpoint{path}, error);
  if (!error && ::chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0) error = last_error();
  struct stat info {};
  if (!error && ::lstat(path.c_str(), &info) != 0) error = last_error();
  if (!error) impl_->acceptor.listen(static_cast<int>(impl_->options.clients_max), error);
  if (error) {
    error_code ignored;
    impl_->acceptor.close(ignored);
    return error;
  }
  impl_->path = path;
  impl_->inode = info.st_ino;
  TAYGA_CHECK(impl_->tasks.spawn(Impl::run_accept(impl_)));
  return {};
}

Task<void> Server::stop() {
  return Impl::run_stop(impl_);
}

}  // namespace tayga::admin
