#include "daemon/ingest/playlist.hpp"

#include "tests/support/catch.hpp"

#include <fstream>
#include <sstream>
#include <string>

using namespace tayga;
using namespace tayga::ingest;

namespace {

std::string fixture(const std::string& name) {
  std::ifstream file{std::string{TAYGA_TEST_SOURCE_DIR} + "/unit/ingest/fixtures/" + name};
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

MediaPlaylist media(std::string_view text) {
  const auto playlist = parse_playlist(text);
  REQUIRE(playlist);
  REQUIRE(std::holds_alternative<MediaPlaylist>(playlist->body));
  return std::get<MediaPlaylist>(playlist->body);
}

MasterPlaylist master(std::string_view text) {
  const auto playlist = parse_playlist(text);
  REQUIRE(playlist);
  REQUIRE(std::holds_alternative<MasterPlaylist>(playlist->body));
  return std::get<MasterPlaylist>(playlist->body);
}

std::string error(std::string_view text) {
  const auto playlist = parse_playlist(text);
  return playlist ? "accepted" : to_string(playlist.error());
}

}  // namespace

TEST_CASE("a live TS playlist of ffmpeg is read") {
  const MediaPlaylist list = media(fixture("ffmpeg_ts_media.m3u8"));
  CHECK(list.target_duration == 1s);
  CHECK(list.media_sequence == 2);
  CHECK(list.independent_segments);
  CHECK_FALSE(list.ended);
  REQUIRE(list.segments.size() == 4);
  CHECK(list.segments[0].uri == "seg_00002.ts");
  CHECK(list.segments[3].uri == "seg_00005.ts");
  CHECK(list.segments[3].duration == 1s);
}

TEST_CASE("a live fMP4 playlist of ffmpeg names its init segment") {
  const auto playlist = parse_playlist(fixture("ffmpeg_fmp4_media.m3u8"));
  REQUIRE(playlist);
  REQUIRE(playlist->uris.size() == 5);
  CHECK(playlist->uris[0].kind == UriKind::map);
  CHECK(playlist->uris[0].text == "init_0.mp4");
  CHECK(playlist->uris[1].kind == UriKind::segment);
}

TEST_CASE("a playlist of ffmpeg's DASH muxer that ended is read") {
  const MediaPlaylist list = media(fixture("ffmpeg_dash_media_ended.m3u8"));
  CHECK(list.ended);
  CHECK(list.segments.size() == 4);
}

TEST_CASE("master playlists of ffmpeg give variants with their bandwidth, and audio renditions") {
  const MasterPlaylist plain = master(fixture("ffmpeg_ts_master.m3u8"));
  REQUIRE(plain.variants.size() == 3);
  CHECK(plain.variants[0].uri == "v0/index.m3u8");
  CHECK(plain.variants[0].bandwidth_bps == 416508);
  CHECK(plain.renditions.empty());
  const MasterPlaylist dash = master(fixture("ffmpeg_dash_master.m3u8"));
  CHECK(dash.variants.size() == 3);
  CHECK(dash.renditions == std::vector<std::string>{"media_3.m3u8"});
}

TEST_CASE("a byte order mark, CRLF, trailing spaces and unknown tags are tolerated") {
  const MediaPlaylist list = media(
      "\xEF\xBB\xBF#EXTM3U \r\n#EXT-X-TARGETDURATION:2\r\n#EXT-X-NEW-TAG:A=1\r\n# remark\r\n\r\n"
      "#EXTINF:2.0, a title, with a comma\r\na.ts \r\n#EXT-X-DISCONTINUITY\r\n#EXTINF:1.5\r\nb.ts");
  REQUIRE(list.segments.size() == 2);
  CHECK(list.segments[0].uri == "a.ts");
  CHECK_FALSE(list.segments[0].discontinuity);
  CHECK(list.segments[1].discontinuity);
  CHECK(list.segments[1].duration == 1500ms);
}

TEST_CASE("without a target duration the longest segment stands for it") {
  CHECK(media("#EXTM3U\n#EXTINF:2,\na.ts\n#EXTINF:3,\nb.ts\n").target_duration == 3s);
}

TEST_CASE("commas inside quotes do not split attributes") {
  const MasterPlaylist list = master(
      "#EXTM3U\n#EXT-X-STREAM-INF:CODECS=\"avc1.4d401f,mp4a.40.2\", BANDWIDTH=1000,NAME=\"a=b\"\n"
      "v.m3u8\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9,URI=\"i.m3u8\"\n"
      "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"muxed\"\n");
  REQUIRE(list.variants.size() == 1);
  CHECK(list.variants[0].bandwidth_bps == 1000);
  CHECK(list.renditions.empty());
}

TEST_CASE("byte ranges and keys are noticed") {
  const std::string text =
      "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-KEY:METHOD=AES-128,URI=\"https://k/1?a,b\",IV=0x1\n"
      "#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"100@0\"\n#EXTINF:2,\n#EXT-X-BYTERANGE:9@5\na.mp4\n"
      "#EXT-X-KEY:METHOD=NONE\n#EXTINF:2,\nb.mp4\n";
  const auto playlist = parse_playlist(text);
  REQUIRE(playlist);
  const auto& list = std::get<MediaPlaylist>(playlist->body);
  CHECK(list.byte_ranges);
  CHECK(list.segments[0].byte_range);
  CHECK_FALSE(list.segments[1].byte_range);
  CHECK(playlist->uris[0].kind == UriKind::key);
  for (const PlaylistUri& uri : playlist->uris) {
    CHECK(text.substr(uri.offset, uri.text.size()) == uri.text);  // positions allow replacing
  }
}

TEST_CASE("an error says in which line what is wrong") {
  CHECK(error("") == "is empty");
  CHECK(error("<html>") == "line 1: must be #EXTM3U, but is \"<html>\"");
  CHECK(error("#EXTM3U\n") == "has neither segments nor variants");
  CHECK(error("#EXTM3U\n#EXTINF:abc,\n") == "line 2: #EXTINF has no duration: \"abc,\"");
  CHECK(error("#EXTM3U\n#EXTINF:-1,\n") == "line 2: #EXTINF has no duration: \"-1,\"");
  CHECK(error("#EXTM3U\na.ts\n") ==
        "line 2: a URI without #EXTINF or #EXT-X-STREAM-INF before it: \"a.ts\"");
  CHECK(error("#EXTM3U\n#EXTINF:1,\n") == "ends after #EXTINF, without its URI");
  CHECK(error("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:-1\n") ==
        "line 2: #EXT-X-MEDIA-SEQUENCE is no number: \"-1\"");
  CHECK(error("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,A=\"x\nv.m3u8\n") ==
        "line 2: a broken attribute list: \"BANDWIDTH=1,A=\"x\"");
  CHECK(error("#EXTM3U\n#EXT-X-MAP:BYTERANGE=\"1@0\"\n") == "line 2: #EXT-X-MAP has no URI");
  CHECK(error("#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n") ==
        "mixes tags of master and media playlists");
  CHECK(error(std::string_view{"#EXTM3U\n#EXTINF:1,\na\0b.ts\n", 24}) ==
        "line 3: has a control character");
}

TEST_CASE("size, line and entry limits are refused just above and taken at them") {
  const std::string head = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n";
  CHECK(error(head + "#" + std::string(kPlaylistLineSizeMax - 1, 'x') + "\n") == "accepted");
  CHECK(error(head + "#" + std::string(kPlaylistLineSizeMax, 'x') + "\n") ==
        "line 3: longer than 4096 bytes");
  std::string entries = head;
  for (std::size_t i = 0; i < kPlaylistEntriesMax; ++i) entries += "#EXTINF:1,\na.ts\n";
  CHECK(error(entries) == "accepted");
  CHECK(error(entries + "#EXTINF:1,\na.ts\n") == "line 20004: more than 10000 entries");
  CHECK(error(head + std::string(kPlaylistSizeMax, '\n')) == "larger than 1048576 bytes");
}

TEST_CASE("playlists are known by their extension in any case") {
  CHECK(is_playlist_path("a/b.m3u8"));
  CHECK(is_playlist_path("B.M3U8"));
  CHECK(is_playlist_path("b.m3u"));
  CHECK_FALSE(is_playlist_path("b.m3u8.ts"));
  CHECK_FALSE(is_playlist_path("m3u8"));
}
