#include "daemon/ingest/origin_pull.hpp"

#include "common/http/fetch.hpp"
#include "common/log/log.hpp"
#include "tests/integration/edge_bench.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/collecting_target.hpp"

#include <algorithm>
#include <mutex>
#include <optional>

using namespace tayga;
using namespace tayga::ingest;
using namespace std::chrono_literals;

namespace {

/// Serves a folder, as an origin or CDN does; fails when told to.
struct Origin {
  explicit Origin(test::Loop& loop_, const std::string& folder)
      : server{loop_, [this, folder](http::Request& request, http::RequestBody&,
                                     http::ResponseWriter& answer) {
                 return serve(request, answer, folder);
               }} {}

  async::Task<void> serve(http::Request& request, http::ResponseWriter& answer,
                          std::string folder) {
    if (down) {
      (void)co_await answer.send_text(502, "down");
      co_return;
    }
    const std::filesystem::path file = folder + request.path;
    if (!std::filesystem::is_regular_file(file)) {
      (void)co_await answer.send_text(404, "no such file");
      co_return;
    }
    const std::string text = test::read_file(file);
    http::Headers headers;
    (void)co_await answer.send(200, std::move(headers), std::string_view{text});
  }

  bool down = false;
  test::LoopServer server;
};

/// A gateway that pulls the stream "show".
struct Gateway {
  Gateway() {
    crypto::init();
    log::set_sink([this](log::Level, std::string_view line) {
      const std::lock_guard lock{mutex};
      lines += std::string{line} + "\n";
    });
    loop.run([&] {
      pool.emplace(loop.executor(), target, PublisherPoolOptions{});
      StreamOffer offer;
      offer.stream.name = "show";
      offer.key = std::make_shared<const crypto::SigningKey>(crypto::SigningKey::generate());
      pool->offer(std::move(offer));
      fetcher.emplace(loop.executor(), http::FetcherOptions{});
    });
  }
  ~Gateway() {
    loop.run([this] {
      pull.reset();
      fetcher.reset();
    });
    loop.await(pool->stop());
    loop.run([this] { pool.reset(); });
    log::set_sink({});
  }
  void start(const std::string& url) {
    loop.run([&] {
      auto started = OriginPull::start(loop.executor(), *fetcher, *pool, "show", url);
      REQUIRE(started);
      pull = std::move(*started);
    });
  }
  bool wait_for(std::chrono::seconds limit, const std::function<bool()>& done) {
    return test::eventually(loop, limit, done);
  }
  [[nodiscard]] std::size_t complete(const std::string& part) const {
    return static_cast<std::size_t>(std::ranges::count_if(target.objects, [&](const auto& object) {
      return object.complete && object.path.find(part) != std::string::npos;
    }));
  }
  [[nodiscard]] std::string log_lines() {
    const std::lock_guard lock{mutex};
    return lines;
  }

  std::mutex mutex;  // guards lines
  std::string lines;
  test::Loop loop;
  test::CollectingTarget target;
  std::optional<PublisherPool> pool;
  std::optional<http::Fetcher> fetcher;
  std::unique_ptr<OriginPull> pull;
};

/// Everything that was pulled whole has the bytes of the file.
void check_same(const Gateway& gateway, const std::string& folder) {
  std::size_t compared = 0;
  for (const auto& object : gateway.target.objects) {
    const std::string file = folder + "/" + object.path;
    if (!object.complete || is_playlist_path(object.path)) continue;
    if (!std::filesystem::exists(file)) continue;
    INFO(object.path);
    CHECK(object.bytes == test::read_file(file));
    ++compared;
  }
  CHECK(compared >= 3);
}

const std::string kOnlyFirst = "-map 0:v:0 -map 0:a -f hls -hls_time 1 -hls_list_size 5 ";

}  // namespace

TEST_CASE("an fMP4 media playlist that is being written is followed, segment by segment") {
  test::TemporaryFolder folder;
  test::ladder_file();
  auto encoder = test::start_command(test::ladder_input(7) + kOnlyFirst +
                                         "-hls_segment_type fmp4 -hls_flags temp_file " +
                                         folder.path("live.m3u8"),
                                     15, folder.path("log"));
  Gateway gateway;
  Origin origin{gateway.loop, folder.path()};
  gateway.start(origin.server.url("/live.m3u8"));  // at first it is not there
  CHECK(gateway.wait_for(15s, [&] { return gateway.complete(".m4s") >= 5; }));
  CHECK(encoder.get() == 0);
  CHECK(gateway.wait_for(5s, [&] {
    const auto* list = gateway.target.find("live.m3u8");
    return list != nullptr && list->bytes.find("#EXT-X-ENDLIST") != std::string::npos;
  }));
  gateway.loop.run([&] {
    CHECK(gateway.target.bad == 0);
    CHECK(gateway.target.find("init.mp4")->kind == media::ObjectKind::init);
    CHECK(gateway.target.find("live.m3u8")->bytes == test::read_file(folder.path("live.m3u8")));
    CHECK(gateway.complete("init.mp4") == 1);
    CHECK(gateway.pull->counters().gaps == 0);
    check_same(gateway, folder.path());
  });
}

TEST_CASE("a TS master playlist leads to all its renditions") {
  test::TemporaryFolder folder;
  auto encoder = test::start_command(
      test::ladder_input(6) +
          "-map 0:v:0 -map 0:a -map 0:v:1 -map 0:a -f hls -var_stream_map 'v:0,a:0 v:1,a:1' "
          "-hls_time 1 -hls_list_size 5 -hls_flags temp_file -master_pl_name m.m3u8 "
          "-hls_segment_filename '" +
          folder.path("v%v/s_%03d.ts") + "' '" + folder.path("v%v/i.m3u8") + "'",
      15, folder.path("log"));
  Gateway gateway;
  Origin origin{gateway.loop, folder.path()};
  gateway.start(origin.server.url("/m.m3u8"));
  CHECK(gateway.wait_for(
      15s, [&] { return gateway.complete("v0/s_") >= 3 && gateway.complete("v1/s_") >= 3; }));
  CHECK(encoder.get() == 0);
  gateway.loop.run([&] {
    CHECK(gateway.target.bad == 0);
    CHECK(gateway.target.find("m.m3u8")->bytes == test::read_file(folder.path("m.m3u8")));
    CHECK(gateway.target.find("v0/i.m3u8")->track == TrackId{1});
    CHECK(gateway.target.find("v1/i.m3u8")->track == TrackId{2});
    check_same(gateway, folder.path());
  });
}

TEST_CASE("an origin that is away is named in the log with its status, and found again") {
  test::TemporaryFolder folder;
  test::write_file(folder.path("i.m3u8"), "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ns.ts\n");
  test::write_file(folder.path("s.ts"), "media");
  Gateway gateway;
  Origin origin{gateway.loop, folder.path()};
  origin.down = true;
  gateway.start(origin.server.url("/i.m3u8"));
  CHECK(gateway.wait_for(5s, [&] { return gateway.pull->counters().playlist_failures >= 1; }));
  gateway.loop.run([&] { origin.down = false; });
  CHECK(gateway.wait_for(5s, [&] { return gateway.complete("s.ts") == 1; }));
  const std::string lines = gateway.log_lines();
  CHECK_THAT(lines, test::contains("/i.m3u8"));
  CHECK_THAT(lines, test::contains("HTTP 502"));
  CHECK_THAT(lines, test::contains("stream=show"));
}

TEST_CASE("an origin URL that leads to no playlist is a clear line in the log") {
  test::TemporaryFolder folder;
  test::write_file(folder.path("i.m3u8"), "<html>sign in</html>");
  Gateway gateway;
  Origin origin{gateway.loop, folder.path()};
  gateway.start(origin.server.url("/i.m3u8"));
  CHECK(gateway.wait_for(5s, [&] { return gateway.pull->counters().playlist_failures >= 1; }));
  CHECK_THAT(gateway.log_lines(), test::contains("not an HLS playlist: line 1"));
  gateway.loop.run([&] {
    CHECK_FALSE(OriginPull::start(gateway.loop.executor(), *gateway.fetcher, *gateway.pool, "show",
                                  "file:///etc/passwd"));
  });
}
