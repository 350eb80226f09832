#include "common/http/server.hpp"

#include "common/async/event.hpp"
#include "common/async/timeout.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/http/server_fixture.hpp"

#include <atomic>

using namespace tayga;
using namespace tayga::http;
using namespace tayga::http::testing;
using async::Task;

namespace {

/// Answers with the method, the path and the size of the body.
Task<void> describe(Request& request, RequestBody& body, ResponseWriter& writer) {
  const auto text = co_await body.read_all();
  if (!text) co_return;
  std::string answer{to_string(request.method)};
  answer += " " + request.path + " " + std::to_string(text->size());
  Headers headers;
  headers.add("X-Tag", "t");
  (void)co_await writer.send(200, std::move(headers), std::string_view{answer});
}

/// Sends the body back as it comes, in pieces of at most 5 bytes.
Task<void> echo(Request&, RequestBody& body, ResponseWriter& writer) {
  Headers headers;
  if (!co_await writer.start(200, std::move(headers), body.content_length())) co_return;
  std::array<std::byte, 5> piece{};
  for (;;) {
    const auto size = co_await body.read_some(piece);
    if (!size) co_return;
    if (*size == 0) break;
    if (!co_await writer.write(ByteView{piece}.first(*size))) co_return;
  }
  (void)co_await writer.finish();
}

}  // namespace

TEST_CASE("a request is answered with its length, the date and the fields given") {
  RunningServer server{{}, describe};
  Client client{server};
  client.write("GET /a%20b?x=1 HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string answer = client.read_answer();
  CHECK(status_line(answer) == "HTTP/1.1 200 OK");
  CHECK(body_of(answer) == "GET /a b 0");
  CHECK(answer.find("X-Tag: t\r\n") != std::string::npos);
  CHECK(answer.find(" GMT\r\n") != std::string::npos);
  CHECK(answer.find("Connection:") == std::string::npos);
}

TEST_CASE("requests sent at once are answered in their order on one connection") {
  RunningServer server{{}, describe};
  Client client{server};
  std::string all;
  for (int i = 0; i < 1000; ++i) {
    all += "POST /" + std::to_string(i) + " HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
  }
  std::thread writer{[&] { client.write(all); }};
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(body_of(client.read_answer()) == "POST /" + std::to_string(i) + " 3");
  }
  writer.join();
  CHECK(server.stats().connections_total == 1);
  CHECK(server.stats().requests_total == 1000);
}

TEST_CASE("HEAD is answered with the length of the body and without the body") {
  RunningServer server{{}, describe};
  Client client{server};
  client.write("HEAD /x HTTP/1.1\r\nHost: h\r\n\r\nGET /y HTTP/1.1\r\nHost: h\r\n\r\n");
  const std::string head = client.read_until("\r\n\r\n");
  CHECK(head.find("Content-Length: 9\r\n") != std::string::npos);
  CHECK(body_of(client.read_answer()) == "GET /y 0");
}

TEST_CASE("a chunked upload reaches the handler joined") {
  RunningServer server{{}, describe};
  Client client{server};
  client.write("PUT /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 100; ++i) client.write("a\r\n0123456789\r\n");
  client.write("0\r\n\r\n");
  CHECK(body_of(client.read_answer()) == "PUT /up 1000");
}

TEST_CASE("an answer of unknown length is chunked, and ends the connection for HTTP/1.0") {
  RunningServer server{{}, echo};
  Client client{server};
  client.write("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  const std::string head = client.read_until("\r\n\r\n");
  CHECK(head.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
  CHECK(client.read_until("abc\r\n") == "3\r\nabc\r\n");  // before the request has ended
  client.write("2\r\nde\r\n0\r\n\r\n");
  CHECK(client.read_until("0\r\n\r\n") == "2\r\nde\r\n0\r\n\r\n");

  RunningServer old_server{{}, [](Request&, RequestBody&, ResponseWriter& writer) -> Task<void> {
                             Headers headers;
                             (void)co_await writer.start(200, std::move(headers), std::nullopt);
                             (void)co_await writer.write(as_bytes("plain"));
                             (void)co_await writer.finish();
                           }};
  Client old{old_server};
  old.write("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const std::string answer = old.read_to_end();
  CHECK(answer.find("Connection: close\r\n") != std::string::npos);
  CHECK(body_of(answer) == "plain");
}

TEST_CASE("HTTP/1.0 keeps the connection only when asked to") {
  RunningServer server{{}, describe};
  Client closing{server};
  closing.write("GET / HTTP/1.0\r\n\r\n");
  CHECK(closing.read_to_end().find("Connection: close\r\n") != std::string::npos);
  Client keeping{server};
  keeping.write("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(keeping.read_answer().find("Connection: keep-alive\r\n") != std::string::npos);
  keeping.write("GET /again HTTP/1.0\r\n\r\n");
  CHECK(body_of(keeping.read_answer()) == "GET /again 0");
}

TEST_CASE("a client that waits for 100 Continue gets it once the handler reads") {
  RunningServer server{{}, describe};
  Client client{server};
  client.write("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  client.write("ab");
  CHECK(body_of(client.read_answer()) == "PUT / 2");
}

TEST_CASE("malformed input is answered with one line of text and the connection ends") {
  RunningServer server{{}, describe};
  const std::vector<std::pair<std::string, std::string>> cases{
      {"nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request"},
      {"GET /../etc HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 400 Bad Request"},
      {"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 501 Not Implemented"},
      {"GET / HTTP/3.0\r\nHost: h\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported"},
      {"GET / HTTP/1.1\r\nHost: h\r\nA: " + std::string(9000, 'a') + "\r\n\r\n",
       "HTTP/1.1 431 Request Header Fields Too Large"},
      {"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
       "HTTP/1.1 400 Bad Request"},
  };
  for (const auto& [request, status] : cases) {
    CAPTURE(request);
    Client client{server};
    client.write(request);
    const std::string answer = client.read_to_end();
    CHECK(status_line(answer) == status);
    CHECK(answer.find("Connection: close\r\n") != std::string::npos);
    const std::string text = body_of(answer);
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  }
  CHECK(server.stats().requests_malformed_total == 5);
}

TEST_CASE("a handler that throws or forgets to answer gives 500 and the server goes on") {
  RunningServer server{{},
                       [](Request& request, RequestBody&, ResponseWriter& writer) -> Task<void> {
                         if (request.path == "/throw") throw std::runtime_error{"broken"};
                         if (request.path == "/ok") (void)co_await writer.send_text(200, "fine");
                       }};
  Client client{server};
  client.write("GET /throw HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(status_line(client.read_answer()) == "HTTP/1.1 500 Internal Server Error");
  client.write("GET /silent HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(status_line(client.read_answer()) == "HTTP/1.1 500 Internal Server Error");
  client.write("GET /ok HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(body_of(client.read_answer()) == "fine\n");
}

TEST_CASE("an answer that is not finished as announced is cut, never passed off as whole") {
  RunningServer server{{},
                       [](Request& request, RequestBody&, ResponseWriter& writer) -> Task<void> {
                         Headers headers;
                         std::optional<std::uint64_t> length;
                         if (request.path == "/short") length = 10;
                         (void)co_await writer.start(200, std::move(headers), length);
                         (void)co_await writer.write(as_bytes("part"));
                         if (request.path == "/short") {
                           const auto finished = co_await writer.finish();
                           if (finished) std::abort();
                         }
                       }};
  for (const char* path : {"/short", "/chunked"}) {
    CAPTURE(path);
    Client client{server};
    client.write("GET " + std::string{path} + " HTTP/1.1\r\nHost: h\r\n\r\n");
    const std::string answer = client.read_to_end();
    CHECK(body_of(answer).find("0\r\n\r\n") == std::string::npos);
    CHECK(body_of(answer).size() < 10);
  }
}

TEST_CASE("a field with a line break is refused before a byte of it is sent") {
  RunningServer server{{}, [](Request&, RequestBody&, ResponseWriter& writer) -> Task<void> {
                         Headers headers;
                         headers.add("Location", "/x\r\nSet-Cookie: a=b");
                         (void)co_await writer.send(302, std::move(headers), std::string_view{});
                       }};
  Client client{server};
  client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(client.read_to_end().empty());
}

TEST_CASE("a handler that waits is cancelled when its client has gone") {
  std::atomic<int> waiting{0};
  std::atomic<int> cancelled{0};
  ServerOptions options;
  options.half_close_grace = 20ms;
  auto wait_for_ever = [&](Request&, RequestBody&, ResponseWriter& writer) -> Task<void> {
    struct OnEnd {
      std::atomic<int>& count;
      ~OnEnd() { ++count; }
    };
    const OnEnd on_end{cancelled};
    Headers headers;
    (void)co_await writer.start(200, std::move(headers), std::nullopt);
    ++waiting;
    (void)co_await async::sleep_for(1h);
    (void)co_await writer.write(as_bytes("never"));
  };
  RunningServer server{options, wait_for_ever};
  Client closing{server};
  Client resetting{server};
  for (Client* client : {&closing, &resetting}) {
    client->write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    client->read_until("\r\n\r\n");
  }
  CHECK(cancelled == 0);
  closing.close();
  resetting.abort();
  const auto give_up = std::chrono::steady_clock::now() + 10s;
  while (server.stats().connections > 0 && std::chrono::steady_clock::now() < give_up) {
    std::this_thread::yield();
  }
  CHECK(waiting == 2);
  CHECK(cancelled == 2);
}

TEST_CASE("a client that stops sending but goes on reading gets its whole answer") {
  constexpr std::size_t kPieces = 400;
  RunningServer server{{}, [](Request&, RequestBody&, ResponseWriter& writer) -> Task<void> {
                         const std::string piece(64 * 1024, 'x');
                         Headers headers;
                         (void)co_await writer.start(200, std::move(headers),
                                                     kPieces * piece.size());
                         for (std::size_t i = 0; i < kPieces; ++i) {
                           if (!co_await writer.write(as_bytes(piece))) co_return;
                         }
                         (void)co_await writer.finish();
                       }};
  Client client{server};
  client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  client.shutdown_send();
  CHECK(body_of(client.read_to_end()).size() == kPieces * 64 * 1024);
}

TEST_CASE("a taken port is an error that says so and what to do") {
  RunningServer server{{}, describe};
  boost::asio::io_context io;
  Server second{io.get_executor(), {}, describe};
  const auto listening = second.listen(server.endpoint());
  REQUIRE(listening.has_error());
  CHECK(listening.error() == boost::asio::error::address_in_use);
  const boost::asio::ip::tcp::endpoint place{boost::asio::ip::address_v4::loopback(), 8780};
  CHECK(
      describe_listen_error(place, listening.error(), "playback.listen") ==
      "cannot listen on 127.0.0.1:8780: the port is taken; stop the program that holds it, or set "
      "another address with `playback.listen`");
}

TEST_CASE("stopping closes idle connections at once and lets a running answer finish") {
  std::promise<void> running;
  std::promise<void> release;
  auto released = release.get_future().share();
  RunningServer server{{},
                       [&](Request& request, RequestBody&, ResponseWriter& writer) -> Task<void> {
                         if (request.path == "/slow") {
                           running.set_value();
                           while (released.wait_for(0s) != std::future_status::ready) {
                             (void)co_await async::sleep_for(1ms);
                           }
                         }
                         (void)co_await writer.send_text(200, "done");
                       }};
  Client idle{server};
  idle.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(body_of(idle.read_answer()) == "done\n");
  Client slow{server};
  slow.write("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  running.get_future().wait();
  std::thread stopper{[&] { server.stop(); }};
  CHECK(idle.read_to_end().empty());  // closed while the slow one still runs
  release.set_value();
  const std::string answer = slow.read_to_end();
  CHECK(body_of(answer) == "done\n");
  CHECK(answer.find("Connection: close\r\n") != std::string::npos);
  stopper.join();
}

TEST_CASE("stopping cancels an answer that does not end within the drain time") {
  ServerOptions options;
  options.drain_timeout = 20ms;
  std::promise<void> running;
  RunningServer server{options, [&](Request&, RequestBody&, ResponseWriter&) -> Task<void> {
                         running.set_value();
                         (void)co_await async::sleep_for(1h);
                       }};
  Client client{server};
  client.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  running.get_future().wait();
  server.stop();
  CHECK(client.read_to_end().empty());
}
