#include "daemon/rescue/origin_rescue.hpp"

#include "common/async/timeout.hpp"
#include "common/http/range.hpp"
#include "tests/integration/edge_bench.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

using namespace tayga;
using namespace std::chrono_literals;
using rescue::OriginRescue;

namespace {

constexpr std::size_t kObjectSize = 300'000;

std::string object_bytes() {
  std::string out(kObjectSize, ' ');
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<char>('a' + i * 11 % 25);
  return out;
}

/// An origin of one object, with the manners that its path names.
struct Origin {
  explicit Origin(test::Loop& loop)
      : server{loop, [this](http::Request& request, http::RequestBody&,
                            http::ResponseWriter& answer) { return serve(request, answer); }} {}

  async::Task<void> serve(http::Request& request, http::ResponseWriter& answer) {
    ++requests;
    const std::string path = request.path;
    ranges.emplace_back(request.headers.get("Range").value_or("none"));
    http::Headers headers;
    if (path == "/live/ranged.ts") {
      const auto range = http::parse_range(request.headers.get("Range"), bytes.size());
      const bool is_part = range && *range;
      const http::ByteRange part = is_part ? **range : http::ByteRange{0, bytes.size() - 1};
      if (is_part) headers.set("Content-Range", http::content_range(part, bytes.size()));
      const std::string body = bytes.substr(part.first, part.size());
      (void)co_await answer.send(is_part ? 206 : 200, std::move(headers), std::string_view{body});
    } else if (path == "/live/whole.ts") {
      (void)co_await answer.send(200, std::move(headers), std::string_view{bytes});
    } else if (path == "/live/other.ts") {
      headers.set("Content-Range", "bytes 0-9/300000");
      const std::string body = bytes.substr(0, 10);
      (void)co_await answer.send(206, std::move(headers), std::string_view{body});
    } else if (path == "/live/cut.ts") {
      headers.set("Content-Range", "bytes 1000-1999/300000");
      (void)co_await answer.start(206, std::move(headers), 1000);
      (void)co_await answer.write(as_bytes(std::string_view{bytes}.substr(1000, 400)));
    } else if (path == "/live/stall.ts") {
      (void)co_await async::sleep_for(1h);
    } else if (path == "/live/moved.ts" || path == "/live/file.ts") {
      headers.set("Location", path == "/live/moved.ts" ? "ranged.ts" : "file:///etc/passwd");
      (void)co_await answer.send(302, std::move(headers), std::string_view{"elsewhere"});
    } else {
      (void)co_await answer.send_text(404, "no such file");
    }
  }

  const std::string bytes = object_bytes();
  std::size_t requests = 0;
  std::vector<std::string> ranges;
  test::LoopServer server;
};

/// What the relay would be told.
struct Heard final : rescue::OriginAnswers {
  void on_origin_bytes(std::uint64_t request, std::uint64_t offset, ByteView bytes) override {
    std::string& text = parts[request];
    if (text.empty()) begins[request] = offset;
    CHECK(offset == begins[request] + text.size());
    CHECK(done.count(request) == 0);
    text += as_text(bytes);
  }
  void on_origin_done(std::uint64_t request, const relay::Relay::OriginDone& how) override {
    CHECK(done.emplace(request, how).second);
    if (then) then(request);
  }
  std::map<std::uint64_t, std::string> parts;
  std::map<std::uint64_t, std::uint64_t> begins;
  std::map<std::uint64_t, relay::Relay::OriginDone> done;
  std::function<void(std::uint64_t)> then;
};

struct Bench {
  explicit Bench(OriginRescue::Options options = {}) {
    loop.run([&] { rescue.emplace(loop.executor(), heard, options); });
  }
  ~Bench() {
    loop.run([&] { rescue.reset(); });
  }
  relay::Relay::FetchOrigin action(std::uint64_t request, const std::string& path,
                                   std::uint64_t offset, std::uint64_t length) {
    relay::Relay::FetchOrigin out;
    out.request = request;
    out.origin_url = origin.server.url("/live/index.m3u8?token=secret");
    out.path = path;
    out.offset = offset;
    out.length = length;
    return out;
  }
  /// Fetches to the end; the request's number is 1.
  relay::Relay::OriginDone fetch(const std::string& path, std::uint64_t offset,
                                 std::uint64_t length) {
    loop.run([&] { rescue->fetch(action(1, path, offset, length)); });
    const bool ended = test::eventually(loop, 8s, [&] { return heard.done.count(1) == 1; });
    REQUIRE(ended);
    return heard.done.at(1);
  }

  Heard heard;
  test::Loop loop;
  Origin origin{loop};
  std::optional<OriginRescue> rescue;
};

}  // namespace

TEST_CASE("a part comes by range from an origin that knows ranges") {
  Bench bench;
  const auto done = bench.fetch("ranged.ts", 1000, 200'000);
  CHECK(done.ok);
  CHECK(done.size == kObjectSize);
  CHECK((bench.heard.parts[1] == bench.origin.bytes.substr(1000, 200'000)));
  CHECK(bench.heard.begins[1] == 1000);
  CHECK(bench.origin.ranges == std::vector<std::string>{"bytes=1000-200999"});
  CHECK(bench.rescue->counters().failed == 0);
}

TEST_CASE("what is asked to the end comes to the end") {
  Bench bench;
  const auto done = bench.fetch("ranged.ts", 299'000, 0);
  CHECK(done.ok);
  CHECK(done.size == kObjectSize);
  CHECK((bench.heard.parts[1] == bench.origin.bytes.substr(299'000)));
  CHECK(bench.origin.ranges == std::vector<std::string>{"bytes=299000-"});
}

TEST_CASE("a whole object is asked for without a range") {
  Bench bench;
  CHECK(bench.fetch("ranged.ts", 0, 0).ok);
  CHECK((bench.heard.parts[1] == bench.origin.bytes));
  CHECK(bench.origin.ranges == std::vector<std::string>{"none"});
}

TEST_CASE("an origin that leaves ranges out is read up to the part, and no further") {
  Bench bench;
  const auto done = bench.fetch("whole.ts", 1000, 2000);
  CHECK(done.ok);
  CHECK(done.size == kObjectSize);
  CHECK((bench.heard.parts[1] == bench.origin.bytes.substr(1000, 2000)));
}

TEST_CASE("what an origin does not have, or gives otherwise, is told as failed") {
  Bench bench;
  SECTION("404") {
    CHECK_FALSE(bench.fetch("gone.ts", 0, 100).ok);
    CHECK(bench.heard.parts.empty());
  }
  SECTION("another part") {
    CHECK_FALSE(bench.fetch("other.ts", 1000, 100).ok);
    CHECK(bench.heard.parts.empty());
  }
  SECTION("an address that is none") {
    auto action = bench.action(1, "ranged.ts", 0, 100);
    action.origin_url = "http://127.0.0.1:1/live/index.m3u8";
    bench.loop.run([&] { bench.rescue->fetch(action); });
    CHECK(test::eventually(bench.loop, 5s, [&] { return bench.heard.done.count(1) == 1; }));
    CHECK_FALSE(bench.heard.done.at(1).ok);
  }
  CHECK(bench.rescue->counters().failed == 1);
}

TEST_CASE("what came of a body that was cut is given, and told as not all") {
  Bench bench;
  const auto done = bench.fetch("cut.ts", 1000, 1000);
  CHECK_FALSE(done.ok);
  CHECK((bench.heard.parts[1] == bench.origin.bytes.substr(1000, 400)));
}

TEST_CASE("an origin that stalls is given up in time") {
  Bench bench{OriginRescue::Options{.timeout = 300ms}};
  const auto began = std::chrono::steady_clock::now();
  CHECK_FALSE(bench.fetch("stall.ts", 0, 100).ok);
  const auto took = std::chrono::steady_clock::now() - began;
  CHECK(took >= 250ms);
  CHECK(took < 5s);
}

TEST_CASE("a redirect is followed with its range, but never to another scheme") {
  Bench bench;
  SECTION("to where the object is") {
    CHECK(bench.fetch("moved.ts", 500, 100).ok);
    CHECK((bench.heard.parts[1] == bench.origin.bytes.substr(500, 100)));
    CHECK(bench.origin.ranges == std::vector<std::string>{"bytes=500-599", "bytes=500-599"});
  }
  SECTION("to a file") {
    CHECK_FALSE(bench.fetch("file.ts", 0, 100).ok);
    CHECK(bench.heard.parts.empty());
  }
}

TEST_CASE("what the origin cannot have fails at once and asks nobody") {
  Bench bench;
  bench.loop.run([&] {
    bench.rescue->fetch(bench.action(1, "_ext/0123.ts", 0, 100));
    CHECK(bench.heard.done.count(1) == 1);
    auto other = bench.action(2, "ranged.ts", 0, 100);
    other.origin_url = "file:///etc/index.m3u8";
    bench.rescue->fetch(other);
    CHECK(bench.heard.done.count(2) == 1);
    bench.rescue->fetch(bench.action(3, "ranged.ts", 64ULL << 20, 1));
    CHECK(bench.heard.done.count(3) == 1);
    bench.rescue->fetch(bench.action(4, "ranged.ts", 1, ~std::uint64_t{0}));
    CHECK(bench.heard.done.count(4) == 1);
  });
  for (const auto& [request, done] : bench.heard.done) CHECK_FALSE(done.ok);
  CHECK(bench.origin.requests == 0);
}

TEST_CASE("few transfers run at once, and the oldest that waits gives way to a further one") {
  Bench bench{OriginRescue::Options{.transfers_max = 2, .queued_max = 3, .timeout = 500ms}};
  bench.loop.run([&] {
    for (std::uint64_t id = 1; id <= 6; ++id) {
      bench.rescue->fetch(bench.action(id, id <= 2 ? "stall.ts" : "ranged.ts", id, 10));
    }
    CHECK(bench.heard.done.size() == 1);
    CHECK(bench.heard.done.count(3) == 1);  // 1 and 2 run, 3 to 5 waited
    CHECK(bench.rescue->counters().overflowed == 1);
  });
  CHECK(test::eventually(bench.loop, 5s, [&] { return bench.heard.done.size() == 6; }));
  for (const std::uint64_t id : {4U, 5U, 6U}) {
    CHECK(bench.heard.done.at(id).ok);
    CHECK((bench.heard.parts[id] == bench.origin.bytes.substr(id, 10)));
  }
  CHECK_FALSE(bench.heard.done.at(1).ok);
  CHECK(bench.origin.requests == 5);
}

TEST_CASE("an answer may lead to the next request") {
  Bench bench;
  bench.heard.then = [&](std::uint64_t request) {
    if (request < 3) bench.rescue->fetch(bench.action(request + 1, "ranged.ts", request, 10));
  };
  bench.loop.run([&] { bench.rescue->fetch(bench.action(1, "ranged.ts", 0, 10)); });
  CHECK(test::eventually(bench.loop, 5s, [&] { return bench.heard.done.count(3) == 1; }));
  CHECK(bench.heard.done.at(3).ok);
}

TEST_CASE("stopping fails what is under way and what comes later") {
  Bench bench{OriginRescue::Options{.transfers_max = 1}};
  bench.loop.run([&] {
    bench.rescue->fetch(bench.action(1, "stall.ts", 0, 10));
    bench.rescue->fetch(bench.action(2, "stall.ts", 0, 10));
    bench.rescue->stop();
    bench.rescue->fetch(bench.action(3, "ranged.ts", 0, 10));
    CHECK(bench.heard.done.size() == 3);
  });
}
