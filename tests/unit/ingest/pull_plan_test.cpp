#include "daemon/ingest/pull_plan.hpp"

#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::ingest;
using Strings = std::vector<std::string>;

namespace {

HttpUrl url_of(const std::string& text) {
  const auto url = parse_http_url(text);
  REQUIRE(url);
  return *url;
}

std::string list_of(int first, int count, const std::string& more = {}) {
  std::string text =
      "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:" + std::to_string(first) + "\n" +
      more;
  for (int i = first; i < first + count; ++i) text += "#EXTINF:2,\ns" + std::to_string(i) + ".ts\n";
  return text;
}

struct Bench {
  explicit Bench(const std::string& root, PullLimits limits = {})
      : root_url{url_of(root)}, plan{root_url, limits, now} {}

  /// Runs the actions, as short lines; fetch ids are kept by URL.
  Strings actions() {
    Strings out;
    while (const auto action = plan.poll_action()) {
      if (const auto* list = std::get_if<PullPlan::FetchPlaylist>(&*action)) {
        ids[list->url] = list->id;
        out.push_back("list " + list->url);
      } else if (const auto* object = std::get_if<PullPlan::FetchObject>(&*action)) {
        ids[object->url] = object->id;
        out.push_back("get " + object->path);
      } else if (const auto* learn = std::get_if<PullPlan::LearnPlaylist>(&*action)) {
        out.push_back("learn " + learn->path);
      } else if (const auto* publish = std::get_if<PullPlan::PublishPlaylist>(&*action)) {
        out.push_back("publish " + publish->path);
        published = publish->text;
      } else {
        complaint = std::get<PullPlan::Complaint>(*action).what;
        out.push_back("complain");
      }
    }
    return out;
  }
  Strings answer(const std::string& url, const std::string& text) {
    plan.on_playlist(ids.at(url), url_of(url), text, now);
    return actions();
  }
  Strings at(Duration later) {
    now += later;
    plan.on_timeout(now);
    return actions();
  }
  Strings begun(const std::string& url) {
    plan.on_object_begun(ids.at(url), now);
    return actions();
  }
  Strings done(const std::string& url) {
    plan.on_object_done(ids.at(url), now);
    return actions();
  }

  TimePoint now{1000s};
  HttpUrl root_url;
  PullPlan plan;
  std::map<std::string, FetchId> ids;
  std::string published;
  std::string complaint;
};

const std::string kRoot = "http://o/live/i.m3u8";

}  // namespace

TEST_CASE("a media playlist is entered three segments before its edge and published behind them") {
  Bench b{kRoot};
  CHECK(b.actions() == Strings{"list " + kRoot});
  const std::string text = list_of(10, 6);
  CHECK(b.answer(kRoot, text) == Strings{"learn i.m3u8", "get s13.ts", "get s14.ts", "get s15.ts"});
  CHECK(b.begun("http://o/live/s13.ts").empty());
  CHECK(b.begun("http://o/live/s14.ts").empty());
  CHECK(b.begun("http://o/live/s15.ts") == Strings{"publish i.m3u8"});
  CHECK(b.published == text);  // byte for byte
}

TEST_CASE("a playlist is polled after its target duration when it changed, else after half") {
  Bench b{kRoot};
  b.actions();
  b.answer(kRoot, list_of(0, 3));
  CHECK(b.at(1999ms).empty());
  CHECK(b.at(1ms) == Strings{"publish i.m3u8", "list " + kRoot});  // the segments never began
  CHECK(b.answer(kRoot, list_of(0, 3)).empty());
  CHECK(b.at(999ms).empty());
  CHECK(b.at(1ms) == Strings{"list " + kRoot});
  CHECK(b.answer(kRoot, list_of(1, 3)) == Strings{"learn i.m3u8", "get s3.ts"});
}

TEST_CASE("a master playlist leads to its variants and renditions, in order") {
  Bench b{"http://o/live/m.m3u8?t=1"};
  b.actions();
  const auto actions = b.answer("http://o/live/m.m3u8?t=1",
                                "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"a/i.m3u8\"\n"
                                "#EXT-X-STREAM-INF:BANDWIDTH=1\nv0/i.m3u8\n"
                                "#EXT-X-STREAM-INF:BANDWIDTH=2\nv0/i.m3u8\n");
  CHECK(actions ==
        Strings{"publish m.m3u8", "list http://o/live/a/i.m3u8", "list http://o/live/v0/i.m3u8"});
  CHECK(b.answer("http://o/live/v0/i.m3u8", list_of(0, 1)) ==
        Strings{"learn v0/i.m3u8", "get v0/s0.ts"});
}

TEST_CASE("init segments are fetched once, before the segments") {
  Bench b{kRoot};
  b.actions();
  const std::string map = "#EXT-X-MAP:URI=\"init.mp4\"\n";
  CHECK(b.answer(kRoot, list_of(0, 1, map)) ==
        Strings{"learn i.m3u8", "get init.mp4", "get s0.ts"});
  b.done("http://o/live/init.mp4");
  CHECK(b.done("http://o/live/s0.ts") == Strings{"publish i.m3u8"});
  b.at(2s);
  CHECK(b.answer(kRoot, list_of(0, 2, map)) == Strings{"learn i.m3u8", "get s1.ts"});
}

TEST_CASE("an origin that redirects to another edge each time keeps its names") {
  Bench b{kRoot};
  b.actions();
  const std::string map = "#EXT-X-MAP:URI=\"init.mp4\"\n";
  const auto redirected = [&](const std::string& edge, const std::string& text) {
    b.plan.on_playlist(b.ids.at(kRoot), url_of(edge + "/i.m3u8"), text, b.now);
    return b.actions();
  };
  CHECK(redirected("http://edge1/a", list_of(0, 1, map)) ==
        Strings{"learn i.m3u8", "get init.mp4", "get s0.ts"});
  CHECK(b.ids.contains("http://edge1/a/s0.ts"));
  b.at(2s);
  CHECK(redirected("http://edge2/b", list_of(0, 2, map)) == Strings{"learn i.m3u8", "get s1.ts"});
  CHECK(b.ids.contains("http://edge2/b/s1.ts"));
}

TEST_CASE("segments that left the list before they were seen are a gap") {
  Bench b{kRoot};
  b.actions();
  b.answer(kRoot, list_of(0, 3));
  b.at(2s);
  b.answer(kRoot, list_of(5, 2));
  CHECK(b.plan.counters().gaps == 2);
}

TEST_CASE("an origin that counts anew is entered again at its edge") {
  Bench b{kRoot};
  b.actions();
  b.answer(kRoot, list_of(500, 3));
  b.at(2s);
  CHECK(b.answer(kRoot, list_of(0, 2)) == Strings{"learn i.m3u8", "get s0.ts", "get s1.ts"});
}

TEST_CASE("a failed object is tried four times with growing pauses, then it is a gap") {
  Bench b{kRoot};
  b.actions();
  b.answer(kRoot, list_of(0, 1));
  const std::string url = "http://o/live/s0.ts";
  for (const Duration pause : {250ms, 500ms, 1000ms}) {
    b.plan.on_object_failed(b.ids[url], "503", b.now);
    CHECK(b.actions() == Strings{"complain"});
    CHECK(b.plan.next_timeout() <= b.now + pause);
    const Strings retried = b.at(pause);
    REQUIRE_FALSE(retried.empty());
    CHECK(std::find(retried.begin(), retried.end(), "get s0.ts") != retried.end());
  }
  b.plan.on_object_failed(b.ids[url], "503", b.now);
  CHECK(b.plan.counters().gaps == 1);
}

TEST_CASE("no more than six objects are fetched at once") {
  PullLimits limits;
  limits.edge_segments = 10;
  Bench b{kRoot, limits};
  b.actions();
  CHECK(b.answer(kRoot, list_of(0, 10)).size() == 7);  // and one learn
  CHECK(b.done("http://o/live/s0.ts") == Strings{"get s6.ts"});
}

TEST_CASE("an origin that fails is asked again, ever more slowly, and recovers") {
  Bench b{kRoot};
  b.actions();
  for (const Duration pause : {1s, 2s, 4s, 8s, 10s, 10s}) {
    b.plan.on_playlist_failed(b.ids[kRoot], "HTTP 502", b.now);
    CHECK(b.actions() == Strings{"complain"});
    CHECK(b.at(pause - 1ms).empty());
    CHECK(b.at(1ms) == Strings{"list " + kRoot});
  }
  CHECK(b.answer(kRoot, list_of(0, 1)) == Strings{"learn i.m3u8", "get s0.ts"});
}

TEST_CASE("what is no playlist, and what cannot be pulled, is complained of clearly") {
  Bench b{kRoot};
  b.actions();
  CHECK(b.answer(kRoot, "<html>") == Strings{"complain"});
  CHECK(b.complaint == "not an HLS playlist: line 1: must be #EXTM3U, but is \"<html>\"");
  b.at(1s);
  CHECK(b.answer(kRoot, list_of(0, 1, "#EXT-X-MAP:URI=\"i.mp4\",BYTERANGE=\"9@0\"\n")) ==
        Strings{"complain"});
  CHECK(b.complaint.find("byte ranges") != std::string::npos);
}

TEST_CASE("a list that ended is looked at rarely") {
  Bench b{kRoot};
  b.actions();
  b.answer(kRoot, list_of(0, 1) + "#EXT-X-ENDLIST\n");
  b.done("http://o/live/s0.ts");
  CHECK(b.at(9999ms).empty());
  CHECK(b.at(1ms) == Strings{"list " + kRoot});
}

TEST_CASE("only references that would not resolve at a viewer are rewritten") {
  const HttpUrl root = url_of("http://o/live/m.m3u8");
  const PullPaths paths{root};
  const std::string text =
      "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=\"https://k/key\"\n"
      "#EXT-X-KEY:METHOD=AES-128,URI=\"key.bin\"\n"
      "#EXT-X-MAP:URI=\"http://o/live/v0/init.mp4\"\n#EXTINF:2,\ns0.ts\n"
      "#EXTINF:2,\nhttp://cdn/x/s1.ts?a=1\n#EXTINF:2,\n/other/s2.ts\n#EXTINF:2,\ns.php?n=1\n"
      "#EXTINF:2,\ns.php?n=2\n#EXTINF:2,\ns3.ts?token=1\n";
  const auto playlist = parse_playlist(text);
  REQUIRE(playlist);
  const auto out = paths.translate("v0/i.m3u8", url_of("http://o/live/v0/i.m3u8"), text, *playlist);
  REQUIRE(out.resources.size() == 7);
  CHECK(out.resources[0].path == "v0/init.mp4");
  CHECK(out.resources[1].path == "v0/s0.ts");
  CHECK(out.resources[2].path.find("_ext/") == 0);
  CHECK(out.resources[2].path.substr(out.resources[2].path.size() - 3) == ".ts");
  CHECK(out.resources[4].path != out.resources[5].path);
  CHECK(out.resources[6].path == "v0/s3.ts");
  const auto again = parse_playlist(out.text);
  REQUIRE(again);
  Strings resolved;
  for (const PlaylistUri& uri : again->uris) {
    if (uri.kind != UriKind::key) resolved.push_back(*resolve_path("v0/i.m3u8", uri.text));
  }
  Strings expected;
  for (const auto& resource : out.resources) expected.push_back(resource.path);
  CHECK(resolved == expected);
  CHECK(out.text.find("URI=\"https://k/key\"") != std::string::npos);
  CHECK(out.text.find("URI=\"http://o/live/v0/key.bin\"") != std::string::npos);
  CHECK(out.text.find("\ns0.ts\n") != std::string::npos);
  CHECK(out.text.find("\ns3.ts?token=1\n") != std::string::npos);
}
