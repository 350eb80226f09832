#include "common/async/clock.hpp"
#include "daemon/ingest/ingest_handler.hpp"
#include "daemon/playback/playback_error.hpp"
#include "daemon/playback/player_handler.hpp"
#include "daemon/playback/ready_audit.hpp"
#include "tests/integration/edge_bench.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/object_stores.hpp"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <optional>
#include <thread>

using namespace tayga;
using namespace tayga::playback;
using namespace std::chrono_literals;
using test::call;

namespace {

const std::string kKey = "key";

/// A network of one hop: what is published arrives in the viewer's stores after `delay`, of the
/// tracks that are wanted; a track that is joined later brings what was kept of it.
class OneHop final : public ingest::PublishTarget, public StreamLibrary {
 public:
  OneHop(boost::asio::any_io_executor executor, Duration delay)
      : executor_{executor}, delay_{delay}, changed_{executor} {}

  void on_started(const relay::StreamDescriptor& stream, PublisherEpoch) override {
    id_ = stream.id;
  }
  void on_slice(media::SignedSlice slice) override {
    if (delay_ == Duration{0}) return arrive(slice);
    auto timer = std::make_shared<boost::asio::steady_timer>(executor_, delay_);
    timer->async_wait([this, timer, slice = std::move(slice)](const error_code& error) {
      if (!error) arrive(slice);
    });
  }
  void on_tracks(const StreamId&, PublisherEpoch, const std::vector<relay::TrackInfo>&) override {}
  void on_stopped(const StreamId&) override {}

  async::Task<Result<StreamId>> open(std::string name, TimePoint) override {
    if (name == "offline") co_return PlaybackErrc::not_live;
    if (name != "show") co_return PlaybackErrc::unknown_stream;
    co_return id_;
  }
  void set_wanted_tracks(const std::string&, std::vector<TrackId> tracks) override {
    wanted = std::move(tracks);
    std::erase_if(stores_, [this](const auto& entry) { return !is_wanted(entry.first); });
    for (const media::SignedSlice& slice : kept_) {
      if (is_wanted(slice.header.track) && !stores_.contains(slice.header.track)) {
        joining_.push_back(slice.header.track);
      }
    }
    for (const media::SignedSlice& slice : kept_) {
      if (std::ranges::count(joining_, slice.header.track) > 0) store(slice);
    }
    joining_.clear();
    changed_.pulse();
  }
  void close(const std::string&) override { ++closed; }
  const relay::ObjectStore* objects(const StreamId&, TrackId track) const override {
    const auto store = stores_.find(track);
    return store == stores_.end() ? nullptr : &store->second;
  }
  async::Event& changed(const StreamId&) override { return changed_; }
  void count_served(const StreamId&, std::uint64_t bytes) override { served += bytes; }

  std::vector<TrackId> wanted;
  std::uint64_t served = 0;
  std::size_t closed = 0;

 private:
  [[nodiscard]] bool is_wanted(TrackId track) const {
    return track == kPresentationTrack || std::ranges::count(wanted, track) > 0;
  }
  void arrive(const media::SignedSlice& slice) {
    kept_.push_back(slice);
    if (is_wanted(slice.header.track)) store(slice);
    changed_.pulse();
  }
  void store(const media::SignedSlice& slice) {
    const relay::Now now{async::Clock::now(), async::Clock::wall_now()};
    test::store_slice(stores_[slice.header.track], slice, now);
  }

  boost::asio::any_io_executor executor_;
  Duration delay_;
  async::Event changed_;
  StreamId id_;
  std::map<TrackId, relay::ObjectStore> stores_;
  std::vector<media::SignedSlice> kept_;
  std::vector<TrackId> joining_;
};

/// A gateway and a viewer in one: encoders upload at the same server from which players read.
struct Network {
  explicit Network(Duration delay = Duration{0}, PlayerOptions options = {}) {
    crypto::init();
    loop.run([&] {
      hop.emplace(loop.executor(), delay);
      pool.emplace(loop.executor(), *hop, ingest::PublisherPoolOptions{});
      ingest::StreamOffer offer;
      offer.stream.name = "show";
      offer.stream.stripe_count = 4;
      offer.key = std::make_shared<const crypto::SigningKey>(crypto::SigningKey::generate());
      offer.ingest_key_sha256 = crypto::sha256(as_bytes(kKey));
      pool->offer(std::move(offer));
      ingest.emplace(*pool);
      player.emplace(loop.executor(), *hop, options);
    });
    server.emplace(loop, [this](http::Request& request, http::RequestBody& body,
                                http::ResponseWriter& answer) {
      if (request.path.starts_with("/ingest/")) return ingest->handle(request, body, answer);
      return player->handle(request, body, answer);
    });
  }
  ~Network() {
    server->stop();
    loop.await(player->stop());
    loop.await(pool->stop());
    loop.run([this] {
      player.reset();
      pool.reset();
      hop.reset();
    });
  }

  void put(const std::string& path, std::string_view body) {
    const std::string target = "/ingest/" + kKey + "/show/" + path;
    REQUIRE(call(server->port(), "PUT", target, {}, body).status == 201);
  }
  test::Reply get(const std::string& path, const http::Headers& headers = {}) {
    return call(server->port(), "GET", "/live/show/" + path, headers);
  }
  ingest::PublisherPool::Upload begin(const std::string& path) {
    return loop.run([&] { return std::move(*pool->begin("show", path)); });
  }
  void add(ingest::PublisherPool::Upload& upload, const std::string& bytes) {
    loop.run([&] { REQUIRE(upload.append(as_bytes(bytes))); });
  }

  test::Loop loop;
  std::optional<OneHop> hop;
  std::optional<ingest::PublisherPool> pool;
  std::optional<ingest::IngestHandler> ingest;
  std::optional<PlayerHandler> player;
  std::optional<test::LoopServer> server;
};

std::string list_of(const std::vector<std::string>& segments) {
  std::string text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n";
  for (const std::string& segment : segments) text += "#EXTINF:1,\n" + segment + "\n";
  return text;
}

const std::string kMaster = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=9000\nv.m3u8\n";

/// A stream with one rendition of three segments, and what a player asks for first.
void publish_show(Network& network) {
  for (const auto* path : {"s_1.ts", "s_2.ts", "s_3.ts"}) network.put(path, std::string(9000, 'x'));
  network.put("v.m3u8", list_of({"s_1.ts", "s_2.ts", "s_3.ts"}));
  network.put("master.m3u8", kMaster);
  REQUIRE(network.get("v.m3u8").status == 200);
}

}  // namespace

TEST_CASE("a player gets the published playlists byte for byte, uncached and for any origin") {
  Network network;
  publish_show(network);
  const auto master = network.get("master.m3u8?CMCD=bl%3D0");
  CHECK(master.status == 200);
  CHECK(master.body == kMaster);
  CHECK(master.headers.get("Content-Type") == "application/vnd.apple.mpegurl");
  CHECK(master.headers.get("Cache-Control") == "no-cache");
  CHECK(master.headers.get("Access-Control-Allow-Origin") == "*");
  const auto list = network.get("v.m3u8");
  CHECK(list.body == list_of({"s_1.ts", "s_2.ts", "s_3.ts"}));
  network.loop.run([&] { CHECK(network.hop->wanted == std::vector<TrackId>{TrackId{1}}); });
}

TEST_CASE("a segment that is here is served with length, tag, range and HEAD") {
  Network network;
  publish_show(network);
  const auto whole = network.get("s_2.ts");
  CHECK(whole.status == 200);
  CHECK(whole.body == std::string(9000, 'x'));
  CHECK(whole.headers.get("Content-Type") == "video/mp2t");
  CHECK(whole.headers.get("Cache-Control") == "max-age=31536000, immutable");
  CHECK(whole.headers.get("Accept-Ranges") == "bytes");
  const auto part = network.get("s_2.ts", {{"Range", "bytes=8990-"}});
  CHECK(part.status == 206);
  CHECK(part.body.size() == 10);
  CHECK(part.headers.get("Content-Range") == "bytes 8990-8999/9000");
  const auto beyond = network.get("s_2.ts", {{"Range", "bytes=9000-"}});
  CHECK(beyond.status == 416);
  CHECK(beyond.headers.get("Content-Range") == "bytes */9000");
  const std::string tag{*whole.headers.get("ETag")};
  CHECK(network.get("s_2.ts", {{"If-None-Match", tag}}).status == 304);
  const auto head = call(network.server->port(), "HEAD", "/live/show/s_2.ts");
  CHECK(head.status == 200);
  CHECK(head.headers.get("Content-Length") == "9000");
  CHECK(head.whole);
  network.loop.run([&] {
    CHECK(network.hop->served == network.player->counters()[0].served_bytes);
    CHECK(network.hop->served >= 9010);
  });
}

TEST_CASE("a segment goes out while it arrives, and ends well") {
  Network network;
  publish_show(network);
  auto upload = network.begin("s_4.ts");
  network.add(upload, std::string(70'000, 'a'));
  auto reply = std::async(std::launch::async, [&] { return network.get("s_4.ts"); });
  CHECK(test::eventually(network.loop, 5s, [&] { return network.hop->served >= 70'000; }));
  CHECK(reply.wait_for(0s) == std::future_status::timeout);
  network.loop.run([&] {
    REQUIRE(upload.append(as_bytes("end")));
    REQUIRE(upload.finish());
  });
  const auto got = reply.get();
  CHECK(got.status == 200);
  CHECK(got.headers.get("Transfer-Encoding") == "chunked");
  CHECK(got.whole);
  CHECK(got.body == std::string(70'000, 'a') + "end");
}

TEST_CASE("a segment that never completes ends without its last chunk") {
  PlayerOptions options;
  options.stall_max = 300ms;
  Network network{Duration{0}, options};
  publish_show(network);
  auto upload = network.begin("s_4.ts");
  network.add(upload, "half");
  CHECK(test::eventually(network.loop, 5s, [&] {  // its slice is cut after 40 ms
    return network.hop->objects({}, TrackId{1})->find("s_4.ts").has_value();
  }));
  const auto got = network.get("s_4.ts");
  CHECK(got.status == 200);
  CHECK(got.body == "half");
  CHECK_FALSE(got.whole);
  network.loop.run([&] { CHECK(network.player->counters()[0].truncated == 1); });
}

TEST_CASE("a listed segment that has not begun is waited for, an unknown one is 404 at once") {
  PlayerOptions options;
  options.listed_max = 3s;
  Network network{Duration{0}, options};
  publish_show(network);
  network.put("v.m3u8", list_of({"s_2.ts", "s_3.ts", "s_4.ts"}));
  CHECK(network.get("v.m3u8").status == 200);
  auto reply = std::async(std::launch::async, [&] { return network.get("s_4.ts"); });
  CHECK(reply.wait_for(100ms) == std::future_status::timeout);
  network.put("s_4.ts", "media");
  CHECK(reply.get().body == "media");
  const auto unknown = network.get("s_99.ts");
  CHECK(unknown.status == 404);
  CHECK_THAT(unknown.body, test::contains("s_99.ts"));
  CHECK(unknown.headers.get("Access-Control-Allow-Origin") == "*");
  CHECK(network.get(".tayga/catalog.json").status == 404);
}

TEST_CASE("a lost segment is given up quickly when a later one is here") {
  Network network;
  publish_show(network);
  network.put("s_6.ts", "media");
  network.put("v.m3u8", list_of({"s_4.ts", "s_5.ts", "s_6.ts"}));
  const auto began = std::chrono::steady_clock::now();
  CHECK(network.get("v.m3u8").status == 200);
  CHECK(network.get("s_5.ts").status == 404);
  CHECK(std::chrono::steady_clock::now() - began < 5s);
}

TEST_CASE("a master playlist in a sub-directory is redirected to") {
  Network network;
  network.put("a%20b/v.m3u8", list_of({}));
  network.put("a%20b/main.m3u8", kMaster);
  const auto reply = network.get("master.m3u8");
  CHECK(reply.status == 302);
  CHECK(reply.headers.get("Location") == "/live/show/a%20b/main.m3u8");
  CHECK(network.get("a%20b/main.m3u8").body == kMaster);
  CHECK(call(network.server->port(), "GET", "/live/show").headers.get("Location") ==
        "/live/show/master.m3u8");
}

TEST_CASE("a stream without a master playlist gets one that names its media playlist") {
  Network network;
  network.put("v.m3u8", list_of({}));
  const auto reply = network.get("master.m3u8");
  CHECK(reply.status == 200);
  CHECK_THAT(reply.body, test::contains("#EXT-X-STREAM-INF:BANDWIDTH="));
  CHECK_THAT(reply.body, test::contains("\nv.m3u8\n"));
}

TEST_CASE("what cannot be played is said with the fitting status") {
  PlayerOptions options;
  options.open_max = 300ms;
  Network network{Duration{0}, options};
  const std::uint16_t port = network.server->port();
  CHECK(call(port, "GET", "/live/other/master.m3u8").status == 404);
  const auto offline = call(port, "GET", "/live/offline/master.m3u8");
  CHECK(offline.status == 503);
  CHECK(offline.headers.get("Retry-After") == "2");
  CHECK(network.get("master.m3u8").status == 504);  // nothing was published
  const auto preflight = call(port, "OPTIONS", "/live/show/s.ts");
  CHECK(preflight.status == 204);
  CHECK(preflight.headers.get("Access-Control-Allow-Methods") == "GET, HEAD, OPTIONS");
  CHECK(call(port, "DELETE", "/live/show/s.ts").status == 405);
}

TEST_CASE("the list names the streams that are played here") {
  Network network;
  CHECK(call(network.server->port(), "GET", "/live/").body == "{\"streams\":[]}\n");
  publish_show(network);
  CHECK_THAT(call(network.server->port(), "GET", "/live/").body,
             test::contains(R"({"name":"show","url":"/live/show/master.m3u8","playing_tracks":1)"));
}

TEST_CASE("a rendition that nobody asks for is left, and joined again for its segments") {
  PlayerOptions options;
  options.limits.track_idle_min = 200ms;
  options.limits.track_idle_targets = 0;
  options.limits.stream_idle_max = 60s;
  Network network{Duration{0}, options};
  publish_show(network);
  CHECK(test::eventually(network.loop, 5s, [&] { return network.hop->wanted.empty(); }));
  CHECK(network.get("s_3.ts").status == 200);
}

TEST_CASE("a stream that nobody asks for is closed") {
  PlayerOptions options;
  options.limits.stream_idle_max = 200ms;
  Network network{Duration{0}, options};
  publish_show(network);
  CHECK(test::eventually(network.loop, 5s, [&] { return network.hop->closed >= 1; }));
}

TEST_CASE("ffmpeg plays what ffmpeg published, over a hop of 80 ms") {
  const bool fmp4 = GENERATE(false, true);
  Network network{80ms};
  test::TemporaryFolder folder;
  const std::string base = network.server->url("/ingest/" + kKey + "/show/");
  const std::string type =
      fmp4 ? "-hls_segment_type fmp4 -hls_fmp4_init_filename init_%v.mp4 " : "";
  auto upload = test::start_command(
      test::ladder_input(9) +
          "-map 0:v:0 -map 0:a -map 0:v:1 -map 0:a -map 0:v:2 -map 0:a -f hls " + type +
          "-var_stream_map 'v:0,a:0 v:1,a:1 v:2,a:2' -hls_time 1 -hls_list_size 5 "
          "-master_pl_name master.m3u8 -hls_flags delete_segments+independent_segments "
          "-method PUT -http_persistent 1 -hls_segment_filename '" +
          base + "v%v_%05d." + (fmp4 ? "m4s" : "ts") + "' '" + base + "v%v.m3u8'",
      20, folder.path("up.log"));
  CHECK(test::eventually(network.loop, 8s, [&] {
    const auto* objects = network.hop->objects({}, kPresentationTrack);
    return objects != nullptr && objects->find("master.m3u8");
  }));
  const std::string url = network.server->url("/live/show/master.m3u8");
  // All three renditions at once, to the end of the stream: any decoding error fails it.
  const int played = test::run_command(
      "ffmpeg -v error -xerror -err_detect explode -i " + url + " -map 0 -f null -", 20,
      folder.path("play.log"));
  INFO(test::read_file(folder.path("play.log")));
  CHECK(played == 0);
  CHECK(test::read_file(folder.path("play.log")).empty());
  CHECK(upload.get() == 0);
  network.loop.run([&] {
    const auto counters = network.player->counters();
    CHECK(counters[0].objects >= 12);
    CHECK(counters[0].truncated == 0);
    CHECK(counters[0].not_found == 0);
    CHECK(counters[0].wanted.size() == 3);
  });
}

TEST_CASE("the audit notes each object once, with the hash that the gateway noted") {
  test::TemporaryFolder folder;
  const auto journal = ingest::ObjectJournal::open(folder.path("journal"));
  REQUIRE(journal);
  crypto::init();
  test::StoringTarget target;
  const crypto::SigningKey key = crypto::SigningKey::generate();
  ingest::Publisher::Options options;
  options.stream.id = key.stream_id();
  options.stream.name = "show";
  options.epoch = PublisherEpoch{7};
  options.on_object = [&](const ingest::PublishedObject& object) {
    (*journal)->published("show", object);
  };
  ingest::Publisher publisher{key, target, options};
  const relay::Now now{TimePoint{1s}, WallTime{1s}};
  const auto id = publisher.begin("a.mpd", now);
  REQUIRE(id);
  REQUIRE(publisher.append(*id, as_bytes(std::string(5000, 'x')), now));
  REQUIRE(publisher.finish(*id, now));
  ReadyAudit audit{**journal};
  audit.on_progress("show", kPresentationTrack, target.stores[kPresentationTrack]);
  audit.on_progress("show", kPresentationTrack, target.stores[kPresentationTrack]);
  const std::string text = test::read_file(folder.path("journal"));
  REQUIRE(std::ranges::count(text, '\n') == 2);
  const std::size_t second = text.find('\n') + 1;
  const std::string fields = text.substr(0, second).substr(21);
  const std::string published = fields.substr(0, fields.find('}'));
  CHECK_THAT(text.substr(second), test::contains(published));  // same object, same hash
  CHECK_THAT(text.substr(second), test::contains("\"late\":false}"));
}
