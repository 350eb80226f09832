#include "daemon/ingest/track_map.hpp"

#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::ingest;
using Place = TrackMap::Place;
using media::ObjectKind;

namespace {

Playlist list_of(const std::vector<std::string>& segments, const std::string& map = {}) {
  std::string text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n";
  if (!map.empty()) text += "#EXT-X-MAP:URI=\"" + map + "\"\n";
  for (const std::string& segment : segments) text += "#EXTINF:2,\n" + segment + "\n";
  auto playlist = parse_playlist(text);
  REQUIRE(playlist);
  return *playlist;
}

MasterPlaylist master_of(const std::vector<std::string>& variants) {
  MasterPlaylist master;
  for (const std::string& uri : variants) master.variants.push_back({uri, 1000});
  return master;
}

}  // namespace

TEST_CASE("a file's name says whether it is a playlist, media or something else") {
  CHECK(classify_path("a/v0.m3u8") == PathClass::playlist);
  CHECK(classify_path("a/v0_1.M4S") == PathClass::media);
  CHECK(classify_path("a.ts") == PathClass::media);
  CHECK(classify_path("manifest.mpd") == PathClass::other);
  CHECK(classify_path("ts") == PathClass::other);
}

TEST_CASE("a stem blanks the last digits of the name, not those of directory or extension") {
  CHECK(to_stem("v0_00012.m4s") == "v0_#.m4s");
  CHECK(to_stem("v0/seg-7.ts") == "v0/seg-#.ts");
  CHECK(to_stem("chunk-stream0-00001.m4s") == "chunk-stream0-#.m4s");
  CHECK(to_stem("v1/7") == "v1/#");
  CHECK_FALSE(to_stem("v1/init.mp4"));
  CHECK_FALSE(to_stem("v1/seg"));
}

TEST_CASE("media playlists become tracks in the order in which they appear") {
  TrackMap map;
  CHECK(*map.on_media("v1.m3u8", list_of({})) == TrackId{1});
  CHECK(*map.on_media("v0.m3u8", list_of({})) == TrackId{2});
  CHECK(*map.on_media("v1.m3u8", list_of({})) == TrackId{1});
}

TEST_CASE("a master playlist that comes first gives its order and its bitrates") {
  TrackMap map;
  MasterPlaylist master = master_of({"v/hi.m3u8", "v/lo.m3u8", "v/hi.m3u8"});
  master.renditions = {"a.m3u8", "https://elsewhere/b.m3u8"};
  REQUIRE(map.on_master("master.m3u8", master));
  CHECK(*map.on_media("v/lo.m3u8", list_of({})) == TrackId{2});
  REQUIRE(map.tracks().size() == 3);
  CHECK(map.tracks()[0].playlist_path == "v/hi.m3u8");
  CHECK(map.tracks()[0].declared_bps == 1000);
  CHECK_FALSE(map.tracks()[0].seen);
  CHECK(map.tracks()[1].seen);
  CHECK(map.tracks()[2].playlist_path == "a.m3u8");
  CHECK(map.master() == "master.m3u8");
}

TEST_CASE("a master playlist that comes late does not renumber tracks") {
  TrackMap map;
  REQUIRE(map.on_media("v1.m3u8", list_of({})));
  REQUIRE(map.on_master("master.m3u8", master_of({"v0.m3u8", "v1.m3u8"})));
  CHECK(map.tracks()[0].playlist_path == "v1.m3u8");
  CHECK(map.tracks()[1].playlist_path == "v0.m3u8");
}

TEST_CASE(
    "a listed file belongs to its track, also in another directory; a map is an init segment") {
  TrackMap map;
  REQUIRE(map.on_media("a/v0.m3u8", list_of({"../s/0_1.m4s"}, "init_0.mp4")));
  CHECK(map.find("s/0_1.m4s") == Place{TrackId{1}, ObjectKind::segment});
  CHECK(map.find("a/init_0.mp4") == Place{TrackId{1}, ObjectKind::init});
  CHECK_FALSE(map.find("init_0.mp4"));
}

TEST_CASE("the next segment is known by its stem once two of the same stem were listed") {
  TrackMap map;
  REQUIRE(map.on_media("v0.m3u8", list_of({"v0_1.ts"})));
  CHECK_FALSE(map.find("v0_2.ts"));
  REQUIRE(map.on_media("v0.m3u8", list_of({"v0_1.ts", "v0_2.ts"})));
  CHECK(map.find("v0_3.ts") == Place{TrackId{1}, ObjectKind::segment});
  SECTION("and stays known when the window moved past the proof") {
    REQUIRE(map.on_media("v0.m3u8", list_of({"v0_9.ts"})));
    CHECK(map.find("v0_10.ts") == Place{TrackId{1}, ObjectKind::segment});
  }
  SECTION("and when the encoder began to count anew") {
    CHECK(map.find("v0_0.ts") == Place{TrackId{1}, ObjectKind::segment});
  }
}

TEST_CASE("a stem that two playlists list is nobody's") {
  TrackMap map;
  REQUIRE(map.on_media("v.m3u8", list_of({"s_1.ts", "s_3.ts"})));
  REQUIRE(map.on_media("a.m3u8", list_of({"s_2.ts"})));
  CHECK_FALSE(map.find("s_4.ts"));
  CHECK(map.find("s_3.ts")->track == TrackId{1});
  CHECK(map.find("s_2.ts")->track == TrackId{2});
}

TEST_CASE("a rendition number behind the counter does not claim the siblings' files") {
  TrackMap map;
  REQUIRE(map.on_media("v0.m3u8", list_of({"00001_v0.ts", "00002_v0.ts"})));
  CHECK_FALSE(map.find("00003_v0.ts"));
  CHECK_FALSE(map.find("00001_v1.ts"));
}

TEST_CASE("names of init segments prove nothing about other files") {
  TrackMap map;
  REQUIRE(map.on_media("v0.m3u8", list_of({}, "init_0.mp4")));
  REQUIRE(map.on_media("v0.m3u8", list_of({}, "init_1.mp4")));
  CHECK_FALSE(map.find("init_2.mp4"));
}

TEST_CASE("more renditions than a stream may have are refused with the limit") {
  TrackMap map;
  for (std::size_t i = 0; i < kTracksMax; ++i) {
    REQUIRE(map.on_media("v" + std::to_string(i) + ".m3u8", list_of({})));
  }
  CHECK(map.on_media("v0.m3u8", list_of({})));
  const auto refused = map.on_media("one_more.m3u8", list_of({}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == IngestErrc::too_many_tracks);
  CHECK_FALSE(map.on_master("m.m3u8", master_of({"v0.m3u8", "another.m3u8"})));
  CHECK_FALSE(map.master());
  CHECK(map.tracks().size() == kTracksMax);
}
