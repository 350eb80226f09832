#include "common/http/server.hpp"

#include "common/async/clock.hpp"
#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/async/timeout.hpp"
#include "common/base/check.hpp"
#include "common/http/connection.hpp"
#include "common/log/log.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/this_coro.hpp>

#include <array>
#include <list>
#include <sstream>
#include <unordered_set>
#include <utility>

namespace tayga::http {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using async::as_values;
using async::Clock;
using async::Task;

constexpr std::size_t kEndpointsMax = 4;
constexpr int kBacklog = 1024;
/// After "too many open files": accepting at once again would spin.
constexpr Duration kAcceptRetryDelay = 100ms;

}  // namespace

/// Shared with the tasks, which may be destroyed with their io_context after the server itself.
struct Server::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::any_io_executor ex, ServerOptions opts, Handler h)
      : executor{ex},
        options{std::move(opts)},
        handler{std::move(h)},
        connection_ended{ex},
        tasks{ex, "http server", options.connections_max + kEndpointsMax} {}

  static Task<void> run_accept(std::shared_ptr<Impl> self, tcp::acceptor& acceptor);
  static Task<void> run_connection(std::shared_ptr<Impl> self, std::shared_ptr<Connection> one);
  void on_accepted(tcp::socket socket);
  void refuse(tcp::socket socket);
  static Task<void> run_stop(std::shared_ptr<Impl> self);

  asio::any_io_executor executor;
  const ServerOptions options;
  const Handler handler;
  ServerStats stats;
  std::list<tcp::acceptor> acceptors;  // a list: the accept tasks hold references
  std::unordered_set<Connection*> connections;
  async::Event connection_ended;
  bool stopping = false;
  async::TaskGroup tasks;
};

Task<void> Server::Impl::run_accept(std::shared_ptr<Impl> self, tcp::acceptor& acceptor) {
  while (!self->stopping) {
    auto [error, socket] = co_await acceptor.async_accept(as_values);
    if (!error) {
      self->on_accepted(std::move(socket));
      continue;
    }
    if (error == asio::error::operation_aborted || self->stopping) co_return;
    static log::SiteLimit limit{1, 60s};
    log::at(limit, log::Level::warn, "cannot accept a connection", log::field("error", error));
    const error_code ended = co_await async::sleep_for(kAcceptRetryDelay);
    if (ended) co_return;
  }
}

void Server::Impl::on_accepted(tcp::socket socket) {
  ++stats.connections_total;
  if (connections.size() >= options.connections_max) return refuse(std::move(socket));
  auto one = std::make_shared<Connection>(std::move(socket), options, handler, stats);
  connections.insert(one.get());
  stats.connections = connections.size();
  Connection* const key = one.get();
  if (!tasks.spawn(run_connection(shared_from_this(), std::move(one)))) {
    connections.erase(key);
    stats.connections = connections.size();
  }
}

/// Never waits: what does not fit into the fresh socket's buffer is not worth a coroutine.
void Server::Impl::refuse(tcp::socket socket) {
  constexpr std::string_view kAnswer =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "Content-Length: 21\r\nRetry-After: 5\r\nConnection: close\r\n\r\ntoo many connections\n";
  ++stats.connections_refused_total;
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(kAnswer), ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
  std::array<char, 4096> request{};  // read, so that closing does not reset the answer away
  socket.read_some(asio::buffer(request), ignored);
}

Task<void> Server::Impl::run_connection(std::shared_ptr<Impl> self,
                                        std::shared_ptr<Connection> one) {
  co_await asio::this_coro::throw_if_cancelled(false);
  struct Leave {
    Impl& impl;
    Connection* connection;
    ~Leave() {
      impl.connections.erase(connection);
      impl.stats.connections = impl.connections.size();
      impl.connection_ended.pulse();
    }
  };
  const Leave leave{*self, one.get()};
  co_await one->run();
}

Task<void> Server::Impl::run_stop(std::shared_ptr<Impl> self) {
  self->stopping = true;
  for (tcp::acceptor& acceptor : self->acceptors) {
    error_code ignored;
    acceptor.close(ignored);
  }
  for (Connection* connection : self->connections) connection->drain();
  const TimePoint deadline = Clock::now() + self->options.drain_timeout;
  while (!self->connections.empty()) {
    const async::WaitResult waited = co_await self->connection_ended.wait(deadline);
    if (waited != async::WaitResult::signalled) break;
  }
  self->tasks.cancel();
  co_await self->tasks.join();
}

Server::Server(asio::any_io_executor executor, ServerOptions options, Handler handler)
    : impl_{std::make_shared<Impl>(std::move(executor), std::move(options), std::move(handler))} {}

Server::~Server() = default;

Result<void> Server::listen(const tcp::endpoint& endpoint) {
  TAYGA_CHECK(!impl_->stopping && impl_->acceptors.size() < kEndpointsMax);
  tcp::acceptor acceptor{impl_->executor};
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  // Not reuse_port: a second server on a taken port must fail, not share its clients.
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address{true}, error);
  if (!error && endpoint.address().is_v6()) {
    acceptor.set_option(boost::asio::ip::v6_only{true}, error);
  }
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(kBacklog, error);
  if (error) return error;
  impl_->acceptors.push_back(std::move(acceptor));
  TAYGA_CHECK(impl_->tasks.spawn(Impl::run_accept(impl_, impl_->acceptors.back())));
  return {};
}

tcp::endpoint Server::local_endpoint() const {
  TAYGA_CHECK(!impl_->acceptors.empty());
  error_code ignored;
  return impl_->acceptors.front().local_endpoint(ignored);
}

Task<void> Server::stop() {
  return Impl::run_stop(impl_);
}

const ServerStats& Server::stats() const noexcept {
  return impl_->stats;
}

std::string describe_listen_error(const tcp::endpoint& endpoint, const error_code& error,
                                  std::string_view setting) {
  std::ostringstream text;
  text << "cannot listen on " << endpoint << ": ";
  if (error == asio::error::address_in_use) {
    text << "the port is taken; stop the program that holds it, or set another address with `"
         << setting << "`";
  } else if (error == asio::error::access_denied) {
    text << "this port needs more rights; set one above 1023 with `" << setting << "`";
  } else {
    text << error.message() << "; check the address given with `" << setting << "`";
  }
  return text.str();
}

}  // namespace tayga::http
