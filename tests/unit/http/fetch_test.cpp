#include "common/http/fetch.hpp"

#include "common/async/timeout.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/http/server_fixture.hpp"

#include <boost/asio/io_context.hpp>

using namespace tayga;
using namespace tayga::http;
using namespace tayga::http::testing;
using async::Task;

namespace {

constexpr std::size_t kLargeSize = 5'000'000;

std::string pattern(std::size_t size) {
  std::string out(size, ' ');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + i * 7 % 23);
  return out;
}

Task<void> origin(Request& request, RequestBody&, ResponseWriter& writer) {
  Headers headers;
  headers.add("X-Token", std::string{request.headers.get("X-Token").value_or("none")});
  if (request.path == "/loop" || request.path == "/moved" || request.path == "/ftp") {
    const std::string to = request.path == "/moved" ? "/whole"
                           : request.path == "/ftp" ? "ftp://127.0.0.1/x"
                                                    : "/loop";
    headers.add("Location", to);
    (void)co_await writer.send(302, std::move(headers), std::string_view{"elsewhere"});
  } else if (request.path == "/whole") {
    const std::string body{request.headers.get("Range").value_or("all of it")};
    (void)co_await writer.send(200, std::move(headers), std::string_view{body});
  } else if (request.path == "/large") {
    const std::string body = pattern(kLargeSize);
    (void)co_await writer.start(200, std::move(headers), std::nullopt);
    (void)co_await writer.write(as_bytes(body));
    (void)co_await writer.finish();
  } else if (request.path == "/cut") {
    (void)co_await writer.start(200, std::move(headers), 100);
    (void)co_await writer.write(as_bytes("only this"));
  } else if (request.path == "/never") {
    (void)co_await async::sleep_for(1h);
  } else {
    (void)co_await writer.send_text(404, "there is nothing here");
  }
}

std::string url_of(const RunningServer& server, std::string_view path) {
  return "http://127.0.0.1:" + std::to_string(server.endpoint().port()) + std::string{path};
}

FetchRequest request_for(const RunningServer& server, std::string_view path) {
  FetchRequest request;
  request.url = url_of(server, path);
  return request;
}

/// Runs one transfer to its end.
Fetched fetch(FetchRequest request) {
  boost::asio::io_context io{1};
  Fetcher fetcher{io.get_executor(), {}};
  Fetched out;
  fetcher.get(
      std::move(request),
      [&](ByteView bytes) { out.body.insert(out.body.end(), bytes.begin(), bytes.end()); },
      [&](const FetchDone& done) { out.done = done; });
  io.run();
  return out;
}

}  // namespace

TEST_CASE("a file is fetched whole, with its fields") {
  RunningServer server{{}, origin};
  FetchRequest request = request_for(server, "/whole");
  request.headers.add("X-Token", "t 1");
  const Fetched fetched = fetch(std::move(request));
  CHECK(fetched.done.ok());
  CHECK(fetched.done.status == 200);
  CHECK(fetched.done.message.empty());
  CHECK(fetched.done.headers.get("x-token") == "t 1");
  CHECK(as_text(fetched.body) == "all of it");
  CHECK(fetched.done.body_size == 9);
}

TEST_CASE("a large file of unknown length arrives in order and unchanged") {
  RunningServer server{{}, origin};
  const Fetched fetched = fetch(request_for(server, "/large"));
  CHECK(fetched.done.ok());
  CHECK((as_text(fetched.body) == pattern(kLargeSize)));
}

TEST_CASE("a range is asked for") {
  RunningServer server{{}, origin};
  FetchRequest request = request_for(server, "/whole");
  request.range = ByteRange{5, 9};
  CHECK(as_text(fetch(std::move(request)).body) == "bytes=5-9");
  FetchRequest open = request_for(server, "/whole");
  open.range = ByteRange{5, ByteRange::kOpenEnd};
  CHECK(as_text(fetch(std::move(open)).body) == "bytes=5-");
}

TEST_CASE("the head of an answer comes before its bytes, once, from behind all redirects") {
  RunningServer server{{}, origin};
  boost::asio::io_context io{1};
  Fetcher fetcher{io.get_executor(), {}};
  std::string order;
  FetchHead head;
  const auto on_head = [&](const FetchHead& told) {
    order += 'h';
    head = told;
  };
  const auto on_data = [&](ByteView) { order += 'd'; };
  const auto on_done = [&](const FetchDone&) { order += 'e'; };
  FetchRequest request = request_for(server, "/moved");
  request.headers.add("X-Token", "t 2");
  fetcher.get(std::move(request), on_head, on_data, on_done);
  io.run();
  CHECK(order == "hde");
  CHECK(head.status == 200);
  CHECK(head.headers.get("x-token") == "t 2");
  CHECK_FALSE(head.headers.contains("location"));
}

TEST_CASE("an answer that is no success has no head") {
  RunningServer server{{}, origin};
  boost::asio::io_context io{1};
  Fetcher fetcher{io.get_executor(), {}};
  std::string order;
  const auto on_head = [&](const FetchHead&) { order += 'h'; };
  const auto on_data = [&](ByteView) { order += 'd'; };
  const auto on_done = [&](const FetchDone& done) { order += std::to_string(done.status); };
  fetcher.get(request_for(server, "/absent"), on_head, on_data, on_done);
  io.run();
  CHECK(order == "404");
}

TEST_CASE("a transfer may be cancelled by its head") {
  RunningServer server{{}, origin};
  boost::asio::io_context io{1};
  Fetcher fetcher{io.get_executor(), {}};
  std::string order;
  TransferId id{0};
  const auto on_head = [&](const FetchHead&) {
    order += 'h';
    fetcher.cancel(id);
  };
  const auto on_data = [&](ByteView) { order += 'd'; };
  const auto on_done = [&](const FetchDone&) { order += 'e'; };
  id = fetcher.get(request_for(server, "/large"), on_head, on_data, on_done);
  io.run();
  CHECK(order == "h");
}

TEST_CASE("redirects are followed, but not for ever and not to other schemes") {
  RunningServer server{{}, origin};
  const Fetched moved = fetch(request_for(server, "/moved"));
  CHECK(moved.done.ok());
  CHECK(moved.done.url == url_of(server, "/whole"));
  CHECK(as_text(moved.body) == "all of it");
  CHECK(fetch(request_for(server, "/loop")).done.error ==
        make_error_code(HttpErrc::too_many_redirects));
  CHECK(fetch(request_for(server, "/ftp")).done.error == make_error_code(HttpErrc::bad_url));
}

TEST_CASE("a status is not an error, but its body is not the file") {
  RunningServer server{{}, origin};
  const Fetched missing = fetch(request_for(server, "/missing"));
  CHECK_FALSE(missing.done.error);
  CHECK_FALSE(missing.done.ok());
  CHECK(missing.done.status == 404);
  CHECK(missing.body.empty());
}

TEST_CASE("each failure has its error, and a message with the URL and without its secrets") {
  RunningServer server{{}, origin};
  SECTION("cut off") {
    const FetchDone done = fetch(request_for(server, "/cut?key=secret")).done;
    CHECK(done.error == make_error_code(HttpErrc::protocol_failed));
    CHECK(done.message.find("cannot fetch " + url_of(server, "/cut") + ": ") == 0);
    CHECK(done.message.find("secret") == std::string::npos);
  }
  SECTION("too large") {
    FetchRequest request = request_for(server, "/large");
    request.max_bytes = 100'000;
    const Fetched fetched = fetch(std::move(request));
    CHECK(fetched.done.error == make_error_code(HttpErrc::answer_too_large));
    CHECK(fetched.body.size() <= 100'000);
  }
  SECTION("too slow") {
    FetchRequest request = request_for(server, "/never");
    request.timeout = 50ms;
    CHECK(fetch(std::move(request)).done.error == make_error_code(HttpErrc::too_slow));
  }
  SECTION("nobody listens") {
    FetchRequest request = request_for(server, "/whole");
    server.stop();
    CHECK(fetch(std::move(request)).done.error == make_error_code(HttpErrc::connect_failed));
  }
  SECTION("not a URL of ours") {
    for (const char* url : {"", "file:///etc/passwd", "ftp://h/x", "http://h/a b", "http:/"}) {
      CAPTURE(url);
      FetchRequest request;
      request.url = url;
      CHECK(fetch(std::move(request)).done.error == make_error_code(HttpErrc::bad_url));
    }
  }
}

TEST_CASE("a cancelled transfer calls nobody") {
  RunningServer server{{}, origin};
  boost::asio::io_context io{1};
  Fetcher fetcher{io.get_executor(), {}};
  bool called = false;
  const TransferId id = fetcher.get(
      request_for(server, "/never"), [&](ByteView) { called = true; },
      [&](const FetchDone&) { called = true; });
  fetcher.cancel(id);
  fetcher.cancel(id);
  io.run();  // ends, since nothing is left to wait for
  CHECK_FALSE(called);
  CHECK(fetcher.transfer_count() == 0);
}

TEST_CASE("more transfers than allowed at once wait, and more than queued are refused") {
  RunningServer server{{}, origin};
  boost::asio::io_context io{1};
  FetcherOptions options;
  options.transfers_max = 2;
  options.queued_max = 10;
  Fetcher fetcher{io.get_executor(), options};
  int fetched = 0;
  int refused = 0;
  for (int i = 0; i < 12; ++i) {
    fetcher.get(
        request_for(server, "/whole"), [](ByteView) {},
        [&](const FetchDone& done) {
          if (done.ok()) ++fetched;
          if (done.error == make_error_code(HttpErrc::queue_full)) ++refused;
        });
  }
  io.run();
  CHECK(fetched == 10);
  CHECK(refused == 2);
  CHECK(server.stats().connections_total <= 2);  // kept and used again
}

TEST_CASE("a task gets a whole file, and gives it up when it is cancelled") {
  RunningServer server{{}, origin};
  boost::asio::io_context io{1};
  Fetcher fetcher{io.get_executor(), {}};
  async::TaskGroup tasks{io.get_executor(), "test", 2};
  Fetched fetched;
  auto run = [&](std::string path, Duration limit) -> Task<void> {
    Task<Fetched> task = fetch_whole(fetcher, request_for(server, path));
    auto result = co_await async::with_timeout(std::move(task), limit);
    if (result) fetched = std::move(*result);
  };
  REQUIRE(tasks.spawn(run("/whole", 10s)));
  REQUIRE(tasks.spawn(run("/never", 20ms)));
  io.run();
  CHECK(as_text(fetched.body) == "all of it");
  CHECK(fetcher.transfer_count() == 0);
}

TEST_CASE("a URL is printed without user, password and query") {
  CHECK(printable_url("https://u:p@h:1/a/b?k=v#f") == "https://h:1/a/b");
  CHECK(printable_url("http://h") == "http://h");
  CHECK(printable_url("http://h/a@b") == "http://h/a@b");
  CHECK(printable_url("x") == "x");
}
