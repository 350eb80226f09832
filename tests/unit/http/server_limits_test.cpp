#include "common/http/server.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/http/server_fixture.hpp"

using namespace tayga;
using namespace tayga::http;
using namespace tayga::http::testing;
using async::Task;

namespace {

Task<void> read_body(Request& request, RequestBody& body, ResponseWriter& writer) {
  if (request.path == "/large") body.set_size_max(100'000);
  const auto text = co_await body.read_all();
  if (!text) co_return;
  (void)co_await writer.send_text(200, std::to_string(text->size()));
}

Task<void> refuse_unread(Request&, RequestBody&, ResponseWriter& writer) {
  (void)co_await writer.send_text(401, "a key is needed");
}

std::string put(std::string_view path, std::size_t size) {
  return "PUT " + std::string{path} +
         " HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
}

std::chrono::steady_clock::duration time_to_end(Client& client, std::string& answer) {
  const auto begin = std::chrono::steady_clock::now();
  answer = client.read_to_end();
  return std::chrono::steady_clock::now() - begin;
}

}  // namespace

TEST_CASE("a body beyond the route's maximum gives 413, announced or not") {
  ServerOptions options;
  options.body_size_max = 1000;
  RunningServer server{options, read_body};
  const std::string too_large = "HTTP/1.1 413 Content Too Large";
  SECTION("Content-Length is refused before the body is sent") {
    Client client{server};
    client.write(put("/", 1001));
    const std::string answer = client.read_to_end();
    CHECK(status_line(answer) == too_large);
    CHECK(body_of(answer) == "the request body is too large for this resource\n");
  }
  SECTION("a chunked body is refused when it passes the maximum") {
    Client client{server};
    client.write("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.write("3e9\r\n" + std::string(1001, 'a') + "\r\n");
    CHECK(status_line(client.read_to_end()) == too_large);
  }
  SECTION("what fits exactly is taken, and another route has its own maximum") {
    Client client{server};
    client.write(put("/", 1000) + std::string(1000, 'a'));
    CHECK(body_of(client.read_answer()) == "1000\n");
    client.write(put("/large", 100'000) + std::string(100'000, 'a'));
    CHECK(body_of(client.read_answer()) == "100000\n");
  }
}

TEST_CASE("an answer given before the body was read arrives although the client still sends") {
  RunningServer server{{}, refuse_unread};
  Client client{server};
  client.write(put("/", 500'000));
  client.write(std::string(500'000, 'a'));
  const std::string answer = client.read_to_end();
  CHECK(status_line(answer) == "HTTP/1.1 401 Unauthorized");
  CHECK(answer.find("Connection: close\r\n") != std::string::npos);
  CHECK(body_of(answer) == "a key is needed\n");
}

TEST_CASE("a header that trickles in is cut at the header time, whatever it sends meanwhile") {
  ServerOptions options;
  options.header_timeout = 150ms;
  options.linger_timeout = 10ms;
  RunningServer server{options, read_body};
  Client client{server};
  client.write("GET / HTTP/1.1\r\n");
  std::atomic<bool> ended{false};
  std::thread trickle{[&] {
    while (!ended) {
      client.write("A: b\r\n");
      std::this_thread::sleep_for(20ms);
    }
  }};
  std::string answer;
  const auto took = time_to_end(client, answer);
  ended = true;
  trickle.join();
  CHECK(status_line(answer) == "HTTP/1.1 408 Request Timeout");
  CHECK(body_of(answer) == "the request header came too slowly\n");
  CHECK(took >= 100ms);
  CHECK(took < 5s);
}

TEST_CASE("a connection without a request is closed without a word") {
  ServerOptions options;
  options.header_timeout = 50ms;
  options.idle_timeout = 100ms;
  RunningServer server{options, read_body};
  Client silent{server};
  CHECK(silent.read_to_end().empty());
  Client used{server};
  used.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(body_of(used.read_answer()) == "0\n");
  CHECK(used.read_to_end().empty());
}

TEST_CASE("a body slower than the smallest rate gives 408, a pause within the grace does not") {
  ServerOptions options;
  options.body_grace = 200ms;
  options.body_rate_min_bps = 8 * 1'000'000;
  options.linger_timeout = 10ms;
  RunningServer server{options, read_body};
  SECTION("silence") {
    Client client{server};
    client.write(put("/", 10) + "abc");
    std::string answer;
    CHECK(time_to_end(client, answer) >= 150ms);
    CHECK(status_line(answer) == "HTTP/1.1 408 Request Timeout");
    CHECK(body_of(answer) == "the request body came too slowly\n");
  }
  SECTION("trickle") {
    Client client{server};
    client.write(put("/", 1000));
    std::atomic<bool> ended{false};
    std::thread trickle{[&] {
      while (!ended) {
        client.write("a");
        std::this_thread::sleep_for(10ms);
      }
    }};
    CHECK(status_line(client.read_to_end()) == "HTTP/1.1 408 Request Timeout");
    ended = true;
    trickle.join();
  }
  SECTION("pause") {
    Client client{server};
    client.write(put("/", 4) + "ab");
    std::this_thread::sleep_for(50ms);
    client.write("cd");
    CHECK(body_of(client.read_answer()) == "4\n");
  }
}

TEST_CASE("a client that closes in the middle of its body is not answered and not counted on") {
  std::promise<error_code> seen;
  RunningServer server{{}, [&](Request&, RequestBody& body, ResponseWriter&) -> Task<void> {
                         const auto text = co_await body.read_all();
                         seen.set_value(text.error());
                       }};
  Client client{server};
  client.write(put("/", 10) + "abc");
  client.close();
  CHECK(seen.get_future().get() == make_error_code(HttpErrc::truncated));
}

TEST_CASE("a client that reads nothing stalls its own answer only, for the stall time") {
  ServerOptions options;
  options.write_stall_timeout = 150ms;
  std::promise<error_code> ended;
  RunningServer server{
      options, [&](Request& request, RequestBody&, ResponseWriter& writer) -> Task<void> {
        if (request.path != "/endless") {
          (void)co_await writer.send_text(200, "quick");
          co_return;
        }
        const std::string piece(64 * 1024, 'x');
        Headers headers;
        auto written = co_await writer.start(200, std::move(headers), std::nullopt);
        while (written) written = co_await writer.write(as_bytes(piece));
        ended.set_value(written.error());
      }};
  Client stalled{server};
  stalled.write("GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
  Client other{server};
  other.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  CHECK(body_of(other.read_answer()) == "quick\n");
  CHECK(ended.get_future().get() == make_error_code(HttpErrc::write_stalled));
}

TEST_CASE("one connection too many is told so, and a freed place can be used") {
  ServerOptions options;
  options.connections_max = 2;
  RunningServer server{options, read_body};
  const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
  std::optional<Client> first{server};
  Client second{server};
  for (Client* client : {&*first, &second}) {
    client->write(get);
    CHECK(body_of(client->read_answer()) == "0\n");
  }
  Client third{server};
  const std::string answer = third.read_to_end();
  CHECK(status_line(answer) == "HTTP/1.1 503 Service Unavailable");
  CHECK(body_of(answer) == "too many connections\n");
  first.reset();
  while (server.stats().connections > 1) std::this_thread::yield();
  Client fourth{server};
  fourth.write(get);
  CHECK(body_of(fourth.read_answer()) == "0\n");
  CHECK(server.stats().connections_refused_total == 1);
}
