#include "common/transport/tls/chain_fetch.hpp"

#include "common/async/timeout.hpp"
#include "common/transport/tls/context.hpp"
#include "common/transport/tls/engine.hpp"
#include "common/transport/transport.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>

#include <utility>

namespace tayga::transport::tls {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Chain = std::vector<Bytes>;

constexpr std::size_t kReadSize = 8 * 1024;

async::Task<Result<Chain>> run_handshake(tcp::socket socket, SSL_CTX* context, std::string name) {
  Engine engine{context, Side::dialer, std::nullopt, name};
  Bytes buffer(kReadSize);
  ByteView in;
  for (;;) {
    Bytes out;
    const Engine::Status status = engine.handshake(in, out);
    if (!out.empty()) {
      const auto [failed, sent] =
          co_await asio::async_write(socket, asio::buffer(out), async::as_values);
      if (failed) co_return TransportErrc::handshake_failed;
    }
    if (status == Engine::Status::ok) co_return engine.peer_chain();
    if (status != Engine::Status::want_input) co_return TransportErrc::handshake_failed;
    const auto [ended, size] =
        co_await socket.async_read_some(asio::buffer(buffer), async::as_values);
    if (ended) co_return TransportErrc::handshake_failed;
    in = ByteView{buffer}.first(size);
  }
}

async::Task<Result<Chain>> run_fetch(Context context, std::string host, std::uint16_t port) {
  const auto executor = co_await asio::this_coro::executor;
  tcp::resolver resolver{executor};
  const std::string service = std::to_string(port);
  const auto [unknown, endpoints] =
      co_await resolver.async_resolve(host, service, async::as_values);
  if (unknown) co_return TransportErrc::connect_failed;
  tcp::socket socket{executor};
  const auto [refused, endpoint] =
      co_await asio::async_connect(socket, endpoints, async::as_values);
  if (refused) co_return TransportErrc::connect_failed;

  error_code is_name;
  (void)asio::ip::make_address(host, is_name);
  std::string server_name = is_name ? host : std::string{};
  co_return co_await run_handshake(std::move(socket), context.get(), std::move(server_name));
}

async::Task<Result<Chain>> run_bounded(Context context, std::string host, std::uint16_t port,
                                       Duration timeout) {
  async::Task<Result<Chain>> fetch = run_fetch(std::move(context), std::move(host), port);
  Result<Chain> chain = co_await async::with_timeout(std::move(fetch), timeout);
  if (!chain && chain.error() == asio::error::timed_out) co_return TransportErrc::timed_out;
  co_return chain;
}

}  // namespace

async::Task<Result<Chain>> fetch_certificate_chain(std::string host, std::uint16_t port,
                                                   const crypto::SigningKey& identity,
                                                   Duration timeout) {
  return run_bounded(make_fetch_context(identity), std::move(host), port, timeout);
}

}  // namespace tayga::transport::tls
