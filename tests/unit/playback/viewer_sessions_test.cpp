#include "daemon/playback/viewer_sessions.hpp"

#include "tests/support/catch.hpp"

using namespace tayga;
using namespace tayga::playback;
using Actions = std::vector<ViewerSessions::Action>;
using SetTracks = ViewerSessions::SetTracks;
using Close = ViewerSessions::Close;

namespace {

constexpr TimePoint kStart{1000s};
constexpr TrackId kHigh{1};
constexpr TrackId kLow{2};

Actions drain(ViewerSessions& sessions) {
  Actions actions;
  while (auto action = sessions.poll_action()) actions.push_back(std::move(*action));
  return actions;
}
Actions actions_at(ViewerSessions& sessions, TimePoint now) {
  sessions.on_timeout(now);
  return drain(sessions);
}

}  // namespace

TEST_CASE("a rendition is joined when a player asks for it, and left when nobody does any more") {
  ViewerSessions sessions{{}};
  REQUIRE(sessions.on_stream_used("show", kStart));
  sessions.on_track_used("show", kHigh, 2s, kStart);
  CHECK(drain(sessions) == Actions{SetTracks{"show", {kHigh}}});
  sessions.on_track_used("show", kHigh, 2s, kStart + 10s);
  CHECK(drain(sessions).empty());
  CHECK(actions_at(sessions, kStart + 25s - 1us).empty());
  CHECK(actions_at(sessions, kStart + 25s) == Actions{SetTracks{"show", {}}});
  CHECK_FALSE(sessions.wanted_since("show", kHigh));
}

TEST_CASE("a rendition with long segments is kept for three of them") {
  ViewerSessions sessions{{}};
  REQUIRE(sessions.on_stream_used("show", kStart));
  sessions.on_track_used("show", kHigh, 10s, kStart);
  drain(sessions);
  CHECK(actions_at(sessions, kStart + 29s).empty());
  CHECK(sessions.next_timeout() == kStart + 30s);
  CHECK(actions_at(sessions, kStart + 30s) == Actions{SetTracks{"show", {}}});
}

TEST_CASE("a player that changes the rendition has both until the old one was idle long enough") {
  ViewerSessions sessions{{}};
  REQUIRE(sessions.on_stream_used("show", kStart));
  sessions.on_track_used("show", kHigh, 2s, kStart);
  sessions.on_track_used("show", kLow, 2s, kStart + 1s);
  CHECK(drain(sessions) == Actions{SetTracks{"show", {kHigh}}, SetTracks{"show", {kHigh, kLow}}});
  CHECK(actions_at(sessions, kStart + 15s) == Actions{SetTracks{"show", {kLow}}});
  CHECK(sessions.wanted_since("show", kLow) == kStart + 1s);
}

TEST_CASE("a stream is left a minute after the last request, whatever it was for") {
  ViewerSessions sessions{{}};
  REQUIRE(sessions.on_stream_used("show", kStart));
  REQUIRE(sessions.on_stream_used("show", kStart + 30s));
  CHECK(actions_at(sessions, kStart + 89s).empty());
  CHECK(actions_at(sessions, kStart + 90s) == Actions{Close{"show"}});
  CHECK_FALSE(sessions.next_timeout());
}

TEST_CASE("the presentation track needs no asking and streams do not mix") {
  ViewerSessions sessions{{}};
  REQUIRE(sessions.on_stream_used("a", kStart));
  REQUIRE(sessions.on_stream_used("b", kStart));
  sessions.on_track_used("a", kPresentationTrack, 2s, kStart);
  CHECK(drain(sessions).empty());
  sessions.on_track_used("b", kLow, 2s, kStart);
  CHECK(drain(sessions) == Actions{SetTracks{"b", {kLow}}});
  CHECK(sessions.wanted("a").empty());
}

TEST_CASE("no more streams are opened than the limit, those open stay usable") {
  ViewerLimits limits;
  limits.streams_max = 1;
  ViewerSessions sessions{limits};
  CHECK(sessions.on_stream_used("a", kStart));
  CHECK_FALSE(sessions.on_stream_used("b", kStart));
  CHECK(sessions.on_stream_used("a", kStart));
}
