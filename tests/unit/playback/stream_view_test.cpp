#include "daemon/playback/stream_view.hpp"

#include "daemon/ingest/publisher.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/object_stores.hpp"

using namespace tayga;
using namespace tayga::playback;

namespace {

struct Bench {
  Bench() {
    crypto::init();
    ingest::Publisher::Options options;
    options.stream.id = key.stream_id();
    options.stream.name = "show";
    options.epoch = PublisherEpoch{7};
    publisher.emplace(key, target, options);
  }
  void put(const std::string& path, const std::string& bytes) {
    const auto id = publisher->begin(path, now);
    REQUIRE(id);
    REQUIRE(publisher->append(*id, as_bytes(bytes), now));
    REQUIRE(publisher->finish(*id, now));
  }
  [[nodiscard]] relay::ObjectStore& track(std::uint32_t id) { return target.stores[TrackId{id}]; }

  crypto::SigningKey key = crypto::SigningKey::generate();
  test::StoringTarget target;
  std::optional<ingest::Publisher> publisher;
  relay::Now now{TimePoint{1000s}, WallTime{1000s}};
};

std::string list_of(const std::vector<std::string>& segments) {
  std::string text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"init.mp4\"\n";
  for (const std::string& segment : segments) text += "#EXTINF:2,\n" + segment + "\n";
  return text;
}

const relay::TrackInfo kTrack{TrackId{1}, "v/i.m3u8", 0};

}  // namespace

TEST_CASE("the catalog of track 0 is read, and a newer one replaces it") {
  Bench b;
  StreamView view;
  CHECK(view.update_catalog(b.track(0)) == nullptr);
  b.put("v/i.m3u8", list_of({}));
  b.put("master.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv/i.m3u8\n");
  const auto* catalog = view.update_catalog(b.track(0));
  REQUIRE(catalog != nullptr);
  CHECK(catalog->tracks.size() == 1);
  CHECK(catalog->master == "master.m3u8");
  b.put("w/i.m3u8", list_of({}));
  CHECK(view.update_catalog(b.track(0))->tracks.size() == 2);
}

TEST_CASE("a listing is the newest complete playlist, byte for byte, with resolved paths") {
  Bench b;
  StreamView view;
  CHECK(view.update_listing(kTrack, b.track(1)) == nullptr);
  const std::string text = list_of({"s_1.m4s", "../s_2.m4s"});
  b.put("v/i.m3u8", text);
  const auto* listing = view.update_listing(kTrack, b.track(1));
  REQUIRE(listing != nullptr);
  CHECK(listing->text == text);
  CHECK(listing->target == 2s);
  CHECK(listing->segments == std::vector<std::string>{"v/s_1.m4s", "s_2.m4s"});
  CHECK(listing->inits == std::vector<std::string>{"v/init.mp4"});
  CHECK(view.track_listing("s_2.m4s") == TrackId{1});
  CHECK(view.track_listing("v/init.mp4") == TrackId{1});
  CHECK_FALSE(view.track_listing("v/s_9.m4s"));
  b.put("v/i.m3u8", list_of({"s_3.m4s"}));
  CHECK(view.update_listing(kTrack, b.track(1))->segments == std::vector<std::string>{"v/s_3.m4s"});
}

TEST_CASE("the edge is the last three segments, those begun count as present") {
  Bench b;
  StreamView view;
  for (const auto* path : {"v/s_1.m4s", "v/s_2.m4s", "v/s_3.m4s"}) b.put(path, "x");
  b.put("v/i.m3u8", list_of({"s_0.m4s", "s_1.m4s", "s_2.m4s", "s_3.m4s"}));
  const auto* listing = view.update_listing(kTrack, b.track(1));
  REQUIRE(listing != nullptr);
  CHECK(edge_state(*listing, b.track(1)).wanted == 3);
  CHECK(edge_state(*listing, b.track(1)).present == 3);
  b.put("v/i.m3u8", list_of({"s_3.m4s", "s_4.m4s"}));
  const auto* newer = view.update_listing(kTrack, b.track(1));
  CHECK(edge_state(*newer, b.track(1)).wanted == 2);
  CHECK(edge_state(*newer, b.track(1)).present == 1);
}

TEST_CASE("a segment is overtaken when a later one is whole here") {
  Bench b;
  StreamView view;
  b.put("v/s_2.m4s", "x");
  b.put("v/i.m3u8", list_of({"s_1.m4s", "s_2.m4s", "s_3.m4s"}));
  const auto* listing = view.update_listing(kTrack, b.track(1));
  REQUIRE(listing != nullptr);
  CHECK(is_overtaken(*listing, "v/s_1.m4s", b.track(1)));
  CHECK_FALSE(is_overtaken(*listing, "v/s_3.m4s", b.track(1)));
  CHECK_FALSE(is_overtaken(*listing, "elsewhere.m4s", b.track(1)));
}

TEST_CASE("an object is read whole over many chunks, unless it is too large") {
  Bench b;
  const std::string text(150'000, 'x');
  b.put("big.mpd", text);
  const auto object = b.track(0).find("big.mpd");
  REQUIRE(object);
  CHECK(read_whole(b.track(0), *object, 150'000) == text);
  CHECK_FALSE(read_whole(b.track(0), *object, 149'999));
}

TEST_CASE("a master playlist that we make names each media playlist") {
  ingest::Catalog catalog;
  catalog.tracks = {{TrackId{1}, "v 0/i.m3u8", 5000}, {TrackId{2}, "a.m3u8", 0}};
  const auto master = ingest::parse_playlist(make_master(catalog));
  REQUIRE(master);
  const auto& variants = std::get<ingest::MasterPlaylist>(master->body).variants;
  REQUIRE(variants.size() == 2);
  CHECK(variants[0].uri == "v%200/i.m3u8");
  CHECK(variants[0].bandwidth_bps == 5000);
  CHECK(variants[1].bandwidth_bps > 0);
}
