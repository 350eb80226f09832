#include "common/base/encoding.hpp"
#include "common/log/log.hpp"
#include "daemon/ingest/ingest_handler.hpp"
#include "tests/integration/edge_bench.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/collecting_target.hpp"

#include <algorithm>
#include <optional>

using namespace tayga;
using namespace tayga::ingest;
using test::call;

namespace {

const std::string kKey = "correct-horse";

/// A gateway's ingest side with one offered stream, "show".
struct Gateway {
  explicit Gateway(PublisherPoolOptions options = {}, std::uint64_t size_max = 64ULL << 20)
      : size_max_{size_max} {
    crypto::init();
    loop.run([&] {
      pool.emplace(loop.executor(), target, options);
      StreamOffer offer;
      offer.stream.name = "show";
      offer.stream.stripe_count = 4;
      offer.key = std::make_shared<const crypto::SigningKey>(crypto::SigningKey::generate());
      offer.ingest_key_sha256 = crypto::sha256(as_bytes(kKey));
      pool->offer(std::move(offer));
      pool->set_offers_known();
      handler.emplace(*pool, size_max_);
    });
    server.emplace(loop, [this](http::Request& request, http::RequestBody& body,
                                http::ResponseWriter& answer) {
      return handler->handle(request, body, answer);
    });
  }
  ~Gateway() {
    server->stop();
    loop.await(pool->stop());
    loop.run([this] { pool.reset(); });
  }

  test::Reply put(const std::string& path, std::string_view body) {
    return call(server->port(), "PUT", "/ingest/" + kKey + "/show/" + path, {}, body);
  }
  [[nodiscard]] std::string base() const { return server->url("/ingest/" + kKey + "/show/"); }
  [[nodiscard]] std::size_t complete(const std::string& part) {
    return static_cast<std::size_t>(std::ranges::count_if(target.objects, [&](const auto& object) {
      return object.complete && object.path.find(part) != std::string::npos;
    }));
  }

  std::uint64_t size_max_;
  test::Loop loop;
  test::CollectingTarget target;
  std::optional<PublisherPool> pool;
  std::optional<IngestHandler> handler;
  std::optional<test::LoopServer> server;
};

std::string list_of(const std::string& segment) {
  return "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n" + segment + "\n";
}

/// Every file that the reference run wrote to `folder` was published with the same bytes.
void check_same_segments(Gateway& gateway, const std::string& folder, std::size_t at_least) {
  std::size_t compared = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator{folder}) {
    const std::string path = std::filesystem::relative(entry.path(), folder).string();
    if (!entry.is_regular_file() || is_playlist_path(path)) continue;
    const auto* object = gateway.target.find(path);
    if (object == nullptr) continue;  // the reference ran a moment longer
    INFO(path);
    CHECK(object->complete);
    CHECK(to_hex(crypto::sha256(as_bytes(object->bytes))) ==
          to_hex(crypto::sha256(as_bytes(test::read_file(entry.path())))));
    ++compared;
  }
  CHECK(compared >= at_least);
}

const std::string kMaps =
    "-map 0:v:0 -map 0:a -map 0:v:1 -map 0:a -map 0:v:2 -map 0:a -f hls "
    "-var_stream_map 'v:0,a:0 v:1,a:1 v:2,a:2' -hls_time 1 -hls_list_size 4 "
    "-master_pl_name master.m3u8 ";

}  // namespace

TEST_CASE("a TS ladder that ffmpeg uploads becomes three tracks, byte for byte") {
  Gateway gateway;
  test::TemporaryFolder folder;
  const auto arguments = [&](const std::string& base, const std::string& method) {
    return kMaps + "-hls_flags program_date_time+omit_endlist " + method +
           "-hls_segment_filename '" + base + "v%v/seg_%05d.ts' '" + base + "v%v/index.m3u8'";
  };
  auto upload = test::start_command(
      test::ladder_input(5) + arguments(gateway.base(), "-method PUT -http_persistent 1 "), 15,
      folder.path("log"));
  REQUIRE(test::run_command(test::ladder_input(5, true) + arguments(folder.path("ref") + "/", ""),
                            15, folder.path("ref.log")) == 0);
  const int status = upload.get();
  INFO(test::read_file(folder.path("log")));
  REQUIRE(status == 0);
  gateway.loop.run([&] {
    CHECK(gateway.target.bad == 0);
    check_same_segments(gateway, folder.path("ref"), 12);
    REQUIRE(gateway.target.find("v0/seg_00000.ts") != nullptr);
    CHECK(gateway.target.find("v0/seg_00000.ts")->track ==
          gateway.target.find("v0/index.m3u8")->track);
    const auto catalog = parse_catalog(gateway.target.find(std::string{kCatalogPath})->bytes);
    REQUIRE(catalog);
    CHECK(catalog->master == "master.m3u8");
    CHECK(catalog->tracks.size() == 3);
    CHECK(gateway.pool->status()[0].counters.aborted == 0);
    CHECK(gateway.handler->counters().uploads_refused == 0);
  });
}

TEST_CASE("an fMP4 ladder that ffmpeg uploads keeps its init segments, and DELETE is accepted") {
  Gateway gateway;
  test::TemporaryFolder folder;
  const auto arguments = [&](const std::string& base, const std::string& flags) {
    return kMaps + "-hls_segment_type fmp4 -hls_flags omit_endlist" + flags +
           " -hls_segment_filename '" + base +
           "v%v_%05d.m4s' -hls_fmp4_init_filename init_%v.mp4 '" + base + "v%v.m3u8'";
  };
  auto upload = test::start_command(
      test::ladder_input(6) + arguments(gateway.base(),
                                        "+delete_segments -hls_delete_threshold 1"
                                        " -method PUT -http_persistent 1"),
      15, folder.path("log"));
  std::filesystem::create_directories(folder.path("ref"));
  REQUIRE(test::run_command(test::ladder_input(6, true) + arguments(folder.path("ref") + "/", ""),
                            15, folder.path("ref.log")) == 0);
  const int status = upload.get();
  INFO(test::read_file(folder.path("log")));
  REQUIRE(status == 0);
  gateway.loop.run([&] {
    CHECK(gateway.target.bad == 0);
    check_same_segments(gateway, folder.path("ref"), 15);
    for (const auto* path : {"init_0.mp4", "init_1.mp4", "init_2.mp4"}) {
      CHECK(gateway.target.find(path)->kind == media::ObjectKind::init);
    }
    CHECK(gateway.handler->counters().uploads_refused == 0);
  });
}

TEST_CASE("low latency CMAF is published while ffmpeg still writes the segment") {
  Gateway gateway;
  test::TemporaryFolder folder;
  auto upload = test::start_command(
      test::ladder_input(6) +
          "-map 0:v:0 -map 0:v:1 -map 0:a -f dash -seg_duration 2 -streaming 1 -ldash 1 "
          "-hls_playlist 1 -window_size 4 -remove_at_exit 0 -method PUT -http_persistent 1 '" +
          gateway.base() + "manifest.mpd'",
      15, folder.path("log"));
  // The third segment's stem is known; its bytes are out before its upload ends.
  const bool cut_through = test::eventually(gateway.loop, std::chrono::seconds{10}, [&] {
    return std::ranges::any_of(gateway.target.objects, [](const auto& object) {
      return object.path.find("chunk-stream0-00003") == 0 && !object.complete && object.slices >= 2;
    });
  });
  CHECK(cut_through);
  const int status = upload.get();
  INFO(test::read_file(folder.path("log")));
  CHECK(status == 0);
  gateway.loop.run([&] {
    CHECK(gateway.target.bad == 0);
    CHECK(gateway.complete("chunk-stream0-") >= 2);
    CHECK(gateway.complete("manifest.mpd") >= 1);
    const auto catalog = parse_catalog(gateway.target.find(std::string{kCatalogPath})->bytes);
    REQUIRE(catalog);
    CHECK(catalog->tracks.size() == 3);
  });
}

TEST_CASE("keys, names and methods are answered with what is wrong and what to do") {
  Gateway gateway;
  const std::uint16_t port = gateway.server->port();
  const auto wrong = call(port, "PUT", "/ingest/guess/show/a.ts", {}, "x");
  CHECK(wrong.status == 403);
  CHECK(wrong.body.find("guess") == std::string::npos);
  CHECK(wrong.body.find("stream add") != std::string::npos);
  CHECK(call(port, "PUT", "/ingest/" + kKey + "/other/a.ts", {}, "x").status == 404);
  CHECK(call(port, "PUT", "/ingest/" + kKey, {}, "x").status == 404);
  CHECK(call(port, "PATCH", "/ingest/" + kKey + "/show/a.ts").status == 405);
  CHECK(call(port, "DELETE", "/ingest/" + kKey + "/show/a.ts").status == 204);
  const http::Headers bearer{{"Authorization", "Bearer " + kKey}};
  CHECK(call(port, "PUT", "/ingest/show/b.mpd", bearer, "x").status == 201);
  CHECK(call(port, "PUT", "/ingest/show/b.mpd", {{"Authorization", "Bearer no"}}, "x").status ==
        403);
  CHECK(call(port, "POST", "/ingest/" + kKey + "/show/c.mpd", {}, "x").status == 201);
  gateway.loop.run([&] {
    CHECK(gateway.target.order() == std::vector<std::string>{"0:b.mpd", "0:c.mpd"});
    CHECK(gateway.handler->counters().wrong_keys == 2);
  });
}

TEST_CASE("before the orchestrator said what it offers an encoder is told to retry") {
  test::Loop loop;
  test::CollectingTarget target;
  std::optional<PublisherPool> pool;
  loop.run([&] { pool.emplace(loop.executor(), target, PublisherPoolOptions{}); });
  IngestHandler handler{*pool};
  {
    test::LoopServer server{
        loop, [&](http::Request& request, http::RequestBody& body, http::ResponseWriter& answer) {
          return handler.handle(request, body, answer);
        }};
    const auto reply = call(server.port(), "PUT", "/ingest/k/show/a.ts", {}, "x");
    CHECK(reply.status == 503);
    CHECK(reply.headers.get("Retry-After") == "2");
  }
  loop.await(pool->stop());
  loop.run([&] { pool.reset(); });
}

TEST_CASE("bad uploads get one clear message each, and everything else keeps being served") {
  Gateway gateway{{}, 100'000};
  const std::uint16_t port = gateway.server->port();
  const auto no_playlist = gateway.put("v.m3u8", "<html>");
  CHECK(no_playlist.status == 422);
  CHECK_THAT(no_playlist.body, test::contains("v.m3u8 is not an HLS playlist: line 1"));
  const auto announced = gateway.put("a.ts", std::string(100'001, 'x'));
  CHECK(announced.status == 413);
  CHECK_THAT(announced.body, test::contains("a.ts announces 100001 bytes, more than 100000"));
  const auto unsafe = call(port, "PUT", "/ingest/" + kKey + "/show/a//b.ts", {}, "x");
  CHECK(unsafe.status == 400);
  test::send_and_leave(port, "PUT /ingest/" + kKey +
                                 "/show/half.mpd HTTP/1.1\r\nHost: t\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
  CHECK(test::eventually(gateway.loop, std::chrono::seconds{5},
                         [&] { return gateway.handler->counters().uploads_broken == 1; }));
  CHECK(gateway.put("s.ts", "media").status == 201);
  CHECK(gateway.put("v.m3u8", list_of("s.ts")).status == 201);
  gateway.loop.run([&] {
    CHECK(gateway.target.find("s.ts")->bytes == "media");
    const auto* half = gateway.target.find("half.mpd");
    CHECK((half == nullptr || !half->complete));
  });
}

TEST_CASE("a 100 MiB segment is refused while it arrives") {
  Gateway gateway;
  const std::string chunk(1 << 20, 'x');
  std::string body;
  for (int i = 0; i < 100; ++i) body += "100000\r\n" + chunk + "\r\n";
  body += "0\r\n\r\n";
  REQUIRE(gateway.put("s.ts", "x").status == 201);
  REQUIRE(gateway.put("v.m3u8", list_of("s.ts") + "#EXTINF:2,\nhuge.ts\n").status == 201);
  const auto reply = call(gateway.server->port(), "PUT", "/ingest/" + kKey + "/show/huge.ts",
                          {{"Transfer-Encoding", "chunked"}}, body);
  // The server stops reading, so a client that only writes may see a reset instead of the answer.
  CHECK((reply.status == 413 || reply.status == 0));
  CHECK(test::eventually(gateway.loop, std::chrono::seconds{5},
                         [&] { return gateway.handler->counters().uploads_refused == 1; }));
  CHECK(gateway.put("v.m3u8", list_of("t.ts")).status == 201);
  gateway.loop.run([&] { CHECK_FALSE(gateway.target.find("huge.ts")->complete); });
}

TEST_CASE("a playlist can be read back, as ffmpeg's append_list does") {
  Gateway gateway;
  const std::string target = "/ingest/" + kKey + "/show/v.m3u8";
  CHECK(call(gateway.server->port(), "GET", target).status == 404);
  REQUIRE(gateway.put("v.m3u8", list_of("s.ts")).status == 201);
  const auto reply = call(gateway.server->port(), "GET", target);
  CHECK(reply.status == 200);
  CHECK(reply.body == list_of("s.ts"));
  CHECK(reply.headers.get("Content-Type") == "application/vnd.apple.mpegurl");
}

TEST_CASE("a stream that was idle ends, and the next upload begins a newer epoch") {
  PublisherPoolOptions options;
  options.idle_max = 300ms;
  Gateway gateway{options};
  REQUIRE(gateway.put("a.mpd", "x").status == 201);
  CHECK(test::eventually(gateway.loop, std::chrono::seconds{5},
                         [&] { return gateway.target.stopped == 1; }));
  REQUIRE(gateway.put("a.mpd", "x").status == 201);
  gateway.loop.run([&] {
    REQUIRE(gateway.target.epochs.size() == 2);
    CHECK(gateway.target.epochs[0] < gateway.target.epochs[1]);
  });
}

TEST_CASE("the journal has one line for each whole object") {
  test::TemporaryFolder folder;
  const auto journal = ObjectJournal::open(folder.path("journal"));
  REQUIRE(journal);
  PublisherPoolOptions options;
  options.journal = journal->get();
  {
    Gateway gateway{options};
    REQUIRE(gateway.put("a.mpd", "x").status == 201);
  }
  const std::string text = test::read_file(folder.path("journal"));
  CHECK(std::ranges::count(text, '\n') == 1);
  CHECK_THAT(text, test::contains(R"({"event":"published","stream":"show","track":0,"epoch":)"));
  CHECK_THAT(text, test::contains("\"path\":\"a.mpd\",\"bytes\":1,\"sha256\":\"" +
                                  to_hex(crypto::sha256(as_bytes("x"))) + "\",\"complete_us\":"));
  CHECK_FALSE(ObjectJournal::open(folder.path("no/such/folder/journal")));
}
