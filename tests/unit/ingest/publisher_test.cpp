#include "daemon/ingest/publisher.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/collecting_target.hpp"

#include <string>

using namespace tayga;
using namespace tayga::ingest;
using Strings = std::vector<std::string>;

namespace {

/// One publisher with its encoder's hand: uploads at a virtual time.
struct Bench {
  explicit Bench(PublisherLimits limits = {}) {
    crypto::init();
    Publisher::Options options;
    options.stream.id = key.stream_id();
    options.stream.name = "show";
    options.stream.stripe_count = 4;
    options.epoch = PublisherEpoch{1'700'000'000};
    options.limits = limits;
    options.on_object = [this](const PublishedObject& object) { whole.push_back(object); };
    publisher.emplace(key, target, options);
  }

  [[nodiscard]] relay::Now now() const { return {TimePoint{clock}, WallTime{clock}}; }
  void wait(Duration time) {
    const Duration end = clock + time;
    while (const auto due = publisher->next_timeout()) {
      if (due->time_since_epoch() > end) break;
      clock = std::max(clock, due->time_since_epoch());
      publisher->on_timeout(now());
    }
    clock = end;
  }

  UploadId begin(const std::string& path) {
    const auto id = publisher->begin(path, now());
    REQUIRE(id);
    return *id;
  }
  void add(UploadId id, const std::string& bytes) {
    REQUIRE(publisher->append(id, as_bytes(bytes), now()));
  }
  IngestResult<void> end(UploadId id) { return publisher->finish(id, now()); }
  void put(const std::string& path, const std::string& bytes) {
    const UploadId id = begin(path);
    add(id, bytes);
    REQUIRE(end(id));
  }

  crypto::SigningKey key = crypto::SigningKey::generate();
  test::CollectingTarget target;
  std::optional<Publisher> publisher;
  std::vector<PublishedObject> whole;
  Duration clock = 1000s;
};

std::string list_of(const Strings& segments, const std::string& map = {}) {
  std::string text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";
  if (!map.empty()) text += "#EXT-X-MAP:URI=\"" + map + "\"\n";
  for (const std::string& segment : segments) text += "#EXTINF:2,\n" + segment + "\n";
  return text;
}

std::string master_of(const Strings& variants) {
  std::string text = "#EXTM3U\n";
  for (const std::string& uri : variants) {
    text += "#EXT-X-STREAM-INF:BANDWIDTH=500000\n" + uri + "\n";
  }
  return text;
}

}  // namespace

TEST_CASE("the order in which ffmpeg uploads a TS ladder is published track by track") {
  Bench b;
  b.put("v0/seg_0.ts", std::string(100'000, 'a'));
  b.put("v0/index.m3u8", list_of({"seg_0.ts"}));
  b.put("v1/seg_0.ts", std::string(50'000, 'b'));
  b.put("v1/index.m3u8", list_of({"seg_0.ts"}));
  b.put("master.m3u8", master_of({"v0/index.m3u8", "v1/index.m3u8"}));
  CHECK(b.target.order() == Strings{"1:v0/seg_0.ts", "1:v0/index.m3u8", "2:v1/seg_0.ts",
                                    "2:v1/index.m3u8", "0:master.m3u8"});
  CHECK(b.target.bad == 0);
  CHECK(b.target.find("v0/seg_0.ts")->bytes == std::string(100'000, 'a'));
  CHECK(b.target.find("v0/seg_0.ts")->key_frame);
  REQUIRE(b.target.started.size() == 1);
  CHECK(b.target.started[0].name == "show");
  const auto catalog = parse_catalog(b.target.find(std::string{kCatalogPath})->bytes);
  REQUIRE(catalog);
  CHECK(catalog->stripe_count == 4);
  CHECK(catalog->master == "master.m3u8");
  REQUIRE(catalog->tracks.size() == 2);
  CHECK(catalog->tracks[1].playlist_path == "v1/index.m3u8");
}

TEST_CASE("init segments that come long before their playlist are published before it, as such") {
  Bench b;
  const UploadId init = b.begin("init_0.mp4");  // ffmpeg keeps it open for a whole segment
  b.wait(1s);
  b.add(init, "ftyp");
  REQUIRE(b.end(init));
  b.put("v0_0.m4s", "moof");
  CHECK(b.target.objects.empty());
  b.put("v0.m3u8", list_of({"v0_0.m4s"}, "init_0.mp4"));
  CHECK(b.target.order() == Strings{"1:init_0.mp4", "1:v0_0.m4s", "1:v0.m3u8"});
  CHECK(b.target.find("init_0.mp4")->kind == media::ObjectKind::init);
  CHECK(b.target.find("v0_0.m4s")->kind == media::ObjectKind::segment);
  CHECK(b.target.find("v0.m3u8")->kind == media::ObjectKind::playlist);
}

TEST_CASE("a segment whose stem is known is sliced while it arrives, within 40 ms") {
  Bench b;
  b.put("v0_1.m4s", "x");
  b.put("v0_2.m4s", "x");
  b.put("v0.m3u8", list_of({"v0_1.m4s", "v0_2.m4s"}));
  const UploadId segment = b.begin("v0_3.m4s");
  CHECK(b.target.find("v0_3.m4s") == nullptr);
  b.add(segment, "first fragment");
  b.wait(40ms);
  REQUIRE(b.target.find("v0_3.m4s") != nullptr);
  CHECK(b.target.find("v0_3.m4s")->bytes == "first fragment");
  b.add(segment, std::string(70'000, 'y'));
  CHECK(b.target.find("v0_3.m4s")->bytes.size() == 14 + 64 * 1024);
  REQUIRE(b.end(segment));
  CHECK(b.target.find("v0_3.m4s")->complete);
  CHECK(b.target.bad == 0);
}

TEST_CASE("a segment that is still arriving when its playlist comes goes on live") {
  Bench b;
  const UploadId segment = b.begin("a.ts");
  b.add(segment, "one,");
  b.put("v.m3u8", list_of({"a.ts"}));
  b.add(segment, "two");
  REQUIRE(b.end(segment));
  b.wait(1s);
  CHECK(b.target.find("a.ts")->bytes == "one,two");
  CHECK(b.target.order() == Strings{"1:a.ts", "1:v.m3u8"});
}

TEST_CASE(
    "a playlist waits for the first slice of an open segment that it lists, but not for long") {
  Bench b;
  b.put("s_1.ts", "x");
  b.put("s_2.ts", "x");
  b.put("v.m3u8", list_of({"s_1.ts", "s_2.ts"}));
  const UploadId segment = b.begin("s_3.ts");
  const std::string newer = list_of({"s_2.ts", "s_3.ts"});
  b.put("v.m3u8", newer);
  CHECK(b.target.find("v.m3u8")->bytes != newer);
  SECTION("the slice comes") {
    b.add(segment, "x");
    b.wait(40ms);
    CHECK(b.target.order().back() == "1:v.m3u8");
    CHECK(b.target.find("v.m3u8")->bytes == newer);
  }
  SECTION("the uploader goes away") {
    b.publisher->abort(segment, b.now());
    CHECK(b.target.find("v.m3u8")->bytes == newer);
  }
  SECTION("nothing comes in time") {
    b.wait(249ms);
    CHECK(b.target.find("v.m3u8")->bytes != newer);
    b.wait(1ms);
    CHECK(b.target.find("v.m3u8")->bytes == newer);
  }
  SECTION("a still newer version goes behind it") {
    b.put("v.m3u8", list_of({"s_4.ts"}));
    CHECK(b.target.objects.back().bytes == list_of({"s_4.ts"}));
    CHECK(b.target.objects[b.target.objects.size() - 2].bytes == newer);
  }
}

TEST_CASE("files of an ambiguous stem wait for the playlist that lists them") {
  Bench b;
  b.put("v.m3u8", list_of({"s_1.ts", "s_3.ts"}));
  b.put("a.m3u8", list_of({"s_2.ts", "s_4.ts"}));
  b.put("s_5.ts", "video");
  b.put("s_6.ts", "audio");
  CHECK(b.target.find("s_5.ts") == nullptr);
  b.put("a.m3u8", list_of({"s_4.ts", "s_6.ts"}));
  CHECK(b.target.find("s_6.ts")->track == TrackId{2});
  CHECK(b.target.find("s_5.ts") == nullptr);
  b.put("v.m3u8", list_of({"s_3.ts", "s_5.ts"}));
  CHECK(b.target.find("s_5.ts")->track == TrackId{1});
}

TEST_CASE("media that no playlist lists is dropped after 30 s and counted") {
  Bench b;
  b.put("stray.ts", "x");
  b.wait(29s);
  CHECK(b.publisher->counters().unlisted_dropped == 0);
  b.wait(2s);
  CHECK(b.publisher->counters().unlisted_dropped == 1);
  CHECK(b.publisher->last_unlisted() == "stray.ts");
  b.put("v.m3u8", list_of({"stray.ts"}));
  CHECK(b.target.find("stray.ts") == nullptr);
}

TEST_CASE("what waits for a playlist is bounded in bytes") {
  PublisherLimits limits;
  limits.unlisted_bytes_max = 100;
  Bench b{limits};
  b.put("a.ts", std::string(60, 'x'));
  const UploadId second = b.begin("b.ts");
  const auto refused = b.publisher->append(second, as_bytes(std::string(41, 'x')), b.now());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == IngestErrc::unlisted_full);
  b.publisher->remove("a.ts");  // the encoder gave it up: its room is free again
  b.put("c.ts", std::string(100, 'x'));
}

TEST_CASE("an object beyond its limit is given up, everything else goes on") {
  PublisherLimits limits;
  limits.object_size_max = 200'000;
  Bench b{limits};
  b.put("s_1.ts", "x");
  b.put("s_2.ts", "x");
  b.put("v.m3u8", list_of({"s_1.ts", "s_2.ts"}));
  const UploadId huge = b.begin("s_3.ts");
  b.add(huge, std::string(200'000, 'x'));
  const auto refused = b.publisher->append(huge, as_bytes("x"), b.now());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == IngestErrc::too_large);
  CHECK(refused.error().message.find("s_3.ts is larger than 200000 bytes") == 0);
  CHECK_FALSE(b.target.find("s_3.ts")->complete);
  CHECK_FALSE(b.publisher->finish(huge, b.now()));
  b.put("s_4.ts", "x");
  CHECK(b.target.find("s_4.ts")->complete);
  CHECK(b.publisher->counters().aborted == 1);
  CHECK(b.target.bad == 0);
}

TEST_CASE("a playlist that is none is refused with the line, the one before stays") {
  Bench b;
  b.put("v.m3u8", list_of({"a.ts"}));
  const UploadId id = b.begin("v.m3u8");
  b.add(id, "<html>not found</html>");
  const auto refused = b.end(id);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == IngestErrc::not_a_playlist);
  CHECK(
      refused.error().message ==
      "v.m3u8 is not an HLS playlist: line 1: must be #EXTM3U, but is \"<html>not found</html>\"");
  CHECK(*b.publisher->playlist("v.m3u8") == list_of({"a.ts"}));
  CHECK(b.publisher->counters().playlists_refused == 1);
}

TEST_CASE("unsafe paths, our own catalog and too many uploads are refused") {
  PublisherLimits limits;
  limits.open_max = 2;
  Bench b{limits};
  for (const auto* path : {"", "/a.ts", "a/../b.ts", "a//b.ts", ".tayga/catalog.json"}) {
    const auto refused = b.publisher->begin(path, b.now());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == IngestErrc::bad_path);
  }
  b.begin("a.ts");
  const UploadId second = b.begin("b.ts");
  const auto refused = b.publisher->begin("c.ts", b.now());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == IngestErrc::too_many_objects);
  REQUIRE(b.end(second));  // waits for its playlist now, but is no open upload
  b.begin("c.ts");
}

TEST_CASE("the same playlist text within two seconds is published once") {
  Bench b;
  b.put("v.m3u8", list_of({"a.ts"}));
  b.put("v.m3u8", list_of({"a.ts"}));
  CHECK(b.target.order() == Strings{"1:v.m3u8"});
  b.wait(2s);
  b.put("v.m3u8", list_of({"a.ts"}));
  CHECK(b.target.order() == Strings{"1:v.m3u8", "1:v.m3u8"});
}

TEST_CASE("the catalog waits half a second for a master playlist, then says there is none") {
  Bench b;
  b.put("v.m3u8", list_of({"a.ts"}));
  b.wait(499ms);
  CHECK(b.target.find(std::string{kCatalogPath}) == nullptr);
  b.wait(1ms);
  const auto* object = b.target.find(std::string{kCatalogPath});
  REQUIRE(object != nullptr);
  CHECK(object->track == kPresentationTrack);
  CHECK(object->kind == media::ObjectKind::catalog);
  CHECK_FALSE(parse_catalog(object->bytes)->master);
}

TEST_CASE("a rendition's bitrate is that of its last three segments, announced by quarters") {
  Bench b;
  const auto segment = [&](int n, std::size_t size) {
    b.put("s_" + std::to_string(n) + ".ts", std::string(size, 'x'));
  };
  segment(1, 250'000);
  b.put("v.m3u8", list_of({"s_1.ts"}));
  REQUIRE_FALSE(b.target.tracks.empty());
  CHECK(b.target.tracks.back()[1].bitrate_bps == 1'000'000);
  const std::size_t announced = b.target.tracks.size();
  segment(2, 270'000);
  segment(3, 280'000);
  b.put("v.m3u8", list_of({"s_1.ts", "s_2.ts", "s_3.ts"}));
  CHECK(b.target.tracks.size() == announced);
  segment(4, 550'000);
  b.put("v.m3u8", list_of({"s_1.ts", "s_2.ts", "s_3.ts", "s_4.ts"}));
  CHECK(b.target.tracks.size() == announced + 1);
  const relay::TrackInfo expected{TrackId{1}, "v.m3u8", (270'000 + 280'000 + 550'000) * 8 / 6};
  CHECK(b.target.tracks.back()[1] == expected);
  CHECK(b.target.tracks.back()[0].id == kPresentationTrack);
}

TEST_CASE("a master playlist's bitrates stand until the first segment is measured") {
  Bench b;
  b.put("master.m3u8", master_of({"v0.m3u8"}));
  CHECK(b.target.tracks.back()[1] == relay::TrackInfo{TrackId{1}, "v0.m3u8", 500'000});
}

TEST_CASE("an encoder that starts over with its old names is published on") {
  Bench b;
  b.put("s_8.ts", "old");
  b.put("s_9.ts", "old");
  b.put("v.m3u8", list_of({"s_8.ts", "s_9.ts"}));
  b.put("s_0.ts", "new");
  b.put("v.m3u8", list_of({"s_0.ts"}));
  CHECK(b.target.find("s_0.ts")->bytes == "new");
  CHECK(b.target.find("s_0.ts")->track == TrackId{1});
  CHECK(b.target.bad == 0);
}

TEST_CASE("files that are neither playlists nor media go to the presentation track at once") {
  Bench b;
  b.put("manifest.mpd", "<MPD/>");
  CHECK(b.target.order() == Strings{"0:manifest.mpd"});
  CHECK(b.target.find("manifest.mpd")->kind == media::ObjectKind::other);
}

TEST_CASE("every whole object is reported with its size and hash, broken ones are not") {
  Bench b;
  const UploadId broken = b.begin("b.ts");
  b.put("a.ts", "media");
  b.put("v.m3u8", list_of({"a.ts", "b.ts"}));
  b.add(broken, "half");
  b.publisher->abort(broken, b.now());
  REQUIRE(b.whole.size() == 2);
  CHECK(b.whole[0].path == "a.ts");
  CHECK(b.whole[0].size == 5);
  CHECK(b.whole[0].sha256 == crypto::sha256(as_bytes("media")));
  CHECK(b.whole[0].track == TrackId{1});
  CHECK(b.whole[1].path == "v.m3u8");
}

TEST_CASE("a learned playlist places its segments and is not published") {
  Bench b;
  REQUIRE(b.publisher->learn("v.m3u8", list_of({"a.ts"}), b.now()));
  b.put("a.ts", "x");
  CHECK(b.target.order() == Strings{"1:a.ts"});
}

TEST_CASE("a stopped publisher tells its target once and refuses what comes") {
  Bench b;
  b.put("v.m3u8", list_of({"a.ts"}));
  const UploadId open = b.begin("a.ts");
  b.publisher->stop();
  b.publisher->stop();
  CHECK(b.target.stopped == 1);
  CHECK_FALSE(b.publisher->append(open, as_bytes("x"), b.now()));
  CHECK(b.publisher->begin("b.ts", b.now()).error().code == IngestErrc::stopped);
  CHECK_FALSE(b.publisher->next_timeout());
}
