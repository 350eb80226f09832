#include "daemon/playback/player_handler.hpp"

#include "common/async/clock.hpp"
#include "common/base/check.hpp"
#include "daemon/ingest/json_text.hpp"
#include "daemon/ingest/uri.hpp"
#include "daemon/playback/http_fields.hpp"
#include "daemon/playback/playback_error.hpp"

#include <algorithm>
#include <utility>

namespace tayga::playback {
namespace {

using async::Clock;
using async::Task;

constexpr std::string_view kPrefix = "/live/";
constexpr std::string_view kMasterName = "master.m3u8";
constexpr std::size_t kTasksMax = 1;
/// Names of streams whose counters are kept after players left.
constexpr std::size_t kStreamsRemembered = 256;

}  // namespace

PlayerHandler::PlayerHandler(boost::asio::any_io_executor executor, StreamLibrary& library,
                             PlayerOptions options)
    : executor_{executor},
      library_{library},
      options_{options},
      sessions_{options.limits},
      sessions_changed_{executor, async::Event::Reset::automatic},
      tasks_{executor, "player sessions", kTasksMax} {
  TAYGA_CHECK(tasks_.spawn(run_sessions()));
}

PlayerHandler::~PlayerHandler() = default;

Task<void> PlayerHandler::stop() {
  tasks_.cancel();
  co_await tasks_.join();
}

Task<void> PlayerHandler::run_sessions() {
  for (;;) {
    const auto woken = co_await sessions_changed_.wait(sessions_.next_timeout());
    if (woken == async::WaitResult::cancelled) co_return;
    sessions_.on_timeout(Clock::now());
    apply_sessions();
  }
}

void PlayerHandler::apply_sessions() {
  while (const auto action = sessions_.poll_action()) {
    if (const auto* tracks = std::get_if<ViewerSessions::SetTracks>(&*action)) {
      library_.set_wanted_tracks(tracks->stream, tracks->tracks);
    } else {
      library_.close(std::get<ViewerSessions::Close>(*action).stream);
    }
  }
}

Task<void> PlayerHandler::handle(http::Request& request, http::RequestBody&,
                                 http::ResponseWriter& answer) {
  if (request.method == http::Method::options) {
    (void)co_await answer.send(204, preflight_fields(), std::string_view());
    co_return;
  }
  if (request.method != http::Method::get && request.method != http::Method::head) {
    http::Headers headers = common_fields();
    headers.add("Allow", "GET, HEAD, OPTIONS");
    (void)co_await answer.send(405, std::move(headers), std::string_view());
    co_return;
  }
  std::string_view rest = request.path;
  rest.remove_prefix(std::min(rest.size(), kPrefix.size()));
  if (rest.empty()) {
    co_await send_list(request, answer);
    co_return;
  }
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  std::string name{rest.substr(0, slash)};
  std::string path{rest.substr(std::min(slash + 1, rest.size()))};
  Exchange exchange{request,         answer, std::move(name),
                    std::move(path), {},     Clock::now() + options_.open_max};
  co_await serve(std::move(exchange));
}

Task<void> PlayerHandler::serve(Exchange exchange) {
  const auto opened = co_await library_.open(exchange.name, exchange.deadline);
  if (!opened) {
    const std::string text = exchange.name.substr(0, 64) + ": " + opened.error().message();
    co_await refuse(exchange, to_http_status(opened.error()), text);
    co_return;
  }
  if (!sessions_.on_stream_used(exchange.name, Clock::now())) {
    co_await refuse(exchange, 503, "this node plays too many streams at once; stop one first");
    co_return;
  }
  if (streams_.size() > kStreamsRemembered) {
    std::erase_if(streams_, [](const auto& entry) { return entry.second.use_count() == 1; });
  }
  StreamPtr& stream = streams_[exchange.name];
  if (!stream || stream->id != *opened) {
    stream = std::make_shared<Stream>();
    stream->id = *opened;
    stream->counters.name = exchange.name;
  }
  exchange.stream = stream;
  ++stream->counters.requests;
  apply_sessions();
  sessions_changed_.set();

  if (exchange.path.empty()) {
    http::Headers headers = common_fields();
    headers.add("Location", std::string{kPrefix} + ingest::percent_encode_path(exchange.name) +
                                "/" + std::string{kMasterName});
    (void)co_await exchange.answer.send(302, std::move(headers), std::string_view());
    co_return;
  }
  if (exchange.path == kMasterName) {
    co_await serve_master(exchange);
    co_return;
  }
  const auto* catalog = co_await wait_for_catalog(exchange.stream, exchange.deadline);
  if (catalog == nullptr) {
    const error_code error = make_error_code(PlaybackErrc::timed_out);
    co_await refuse(exchange, to_http_status(error), error.message());
    co_return;
  }
  const auto track =
      std::ranges::find(catalog->tracks, exchange.path, &relay::TrackInfo::playlist_path);
  if (track != catalog->tracks.end()) {
    co_await serve_media_playlist(exchange, *track);
    co_return;
  }
  if (catalog->master == exchange.path) {
    co_await serve_presentation(exchange, exchange.path);
    co_return;
  }
  co_await serve_object(exchange);
}

Task<async::WaitResult> PlayerHandler::wait(StreamPtr stream, TimePoint deadline) {
  async::Event& changed = library_.changed(stream->id);
  if (changed.is_set()) changed.reset();  // whoever sets it does so for each change
  co_return co_await changed.wait(deadline);
}

Task<const ingest::Catalog*> PlayerHandler::wait_for_catalog(StreamPtr stream, TimePoint deadline) {
  for (;;) {
    const relay::ObjectStore* const objects = library_.objects(stream->id, kPresentationTrack);
    const auto* catalog =
        objects == nullptr ? stream->view.catalog() : stream->view.update_catalog(*objects);
    if (catalog != nullptr) co_return catalog;
    const auto woken = co_await wait(stream, deadline);
    if (woken != async::WaitResult::signalled) co_return nullptr;
  }
}

Task<void> PlayerHandler::serve_master(Exchange& exchange) {
  const auto* catalog = co_await wait_for_catalog(exchange.stream, exchange.deadline);
  if (catalog == nullptr) {
    const error_code error = make_error_code(PlaybackErrc::timed_out);
    co_await refuse(exchange, to_http_status(error), error.message());
    co_return;
  }
  if (!catalog->master) {
    const auto own =
        std::ranges::find(catalog->tracks, kMasterName, &relay::TrackInfo::playlist_path);
    if (own != catalog->tracks.end()) {  // the one media playlist has that very name
      co_await serve_media_playlist(exchange, *own);
      co_return;
    }
    co_await send_playlist(exchange, make_master(*catalog));
    co_return;
  }
  const std::string master = *catalog->master;
  if (master.find('/') == std::string::npos) {
    co_await serve_presentation(exchange, master);
    co_return;
  }
  // Its references are relative to where it lies, so the player has to know that place.
  http::Headers headers = common_fields();
  headers.add("Cache-Control", "no-cache");
  headers.add("Location", std::string{kPrefix} + ingest::percent_encode_path(exchange.name) + "/" +
                              ingest::percent_encode_path(master));
  (void)co_await exchange.answer.send(302, std::move(headers), std::string_view());
}

/// A playlist of track 0, when it is here.
Task<void> PlayerHandler::serve_presentation(Exchange& exchange, std::string path) {
  for (;;) {
    const auto* objects = library_.objects(exchange.stream->id, kPresentationTrack);
    const auto object = objects == nullptr ? std::nullopt : objects->find(path);
    if (object && object->complete()) {
      auto text = read_whole(*objects, *object, ingest::kPlaylistSizeMax);
      if (text) {
        co_await send_playlist(exchange, std::move(*text));
        co_return;
      }
    }
    const auto woken = co_await wait(exchange.stream, exchange.deadline);
    if (woken == async::WaitResult::signalled) continue;
    co_await refuse(exchange, 504, "the playlist " + path + " did not arrive in time");
    co_return;
  }
}

/// Waits until a player that follows the list at once finds its segments begun: at first for the
/// last three, later only a moment, since a lost one must not hold up the list.
Task<void> PlayerHandler::serve_media_playlist(Exchange& exchange, relay::TrackInfo track) {
  use_track(exchange, track.id);
  const TimePoint since = sessions_.wanted_since(exchange.name, track.id).value_or(Clock::now());
  const TimePoint patience =
      std::max(since + options_.edge_patience, Clock::now() + options_.reload_patience);
  for (;;) {
    const auto* objects = library_.objects(exchange.stream->id, track.id);
    const auto* listing =
        objects == nullptr ? nullptr : exchange.stream->view.update_listing(track, *objects);
    const TimePoint now = Clock::now();
    if (listing != nullptr) {
      const EdgeState edge = edge_state(*listing, *objects);
      if (edge.present == edge.wanted || now >= patience) {
        use_track(exchange, track.id);  // the target duration is known by now
        co_await send_playlist(exchange, listing->text);
        co_return;
      }
    }
    const TimePoint until = listing == nullptr ? exchange.deadline : patience;
    const bool has_listing = listing != nullptr;
    const auto woken = co_await wait(exchange.stream, until);
    if (woken == async::WaitResult::signalled) continue;
    if (woken == async::WaitResult::deadline && has_listing) continue;
    co_await refuse(exchange, 504,
                    "the playlist " + track.playlist_path + " did not arrive in time");
    co_return;
  }
}

void PlayerHandler::use_track(const Exchange& exchange, TrackId track) {
  const auto* listing = exchange.stream->view.listing(track);
  const TimePoint now = Clock::now();
  if (!sessions_.on_stream_used(exchange.name, now)) return;
  sessions_.on_track_used(exchange.name, track, listing == nullptr ? 0s : listing->target, now);
  apply_sessions();
  sessions_changed_.set();
}

void PlayerHandler::count_served(Stream& stream, std::uint64_t bytes) {
  stream.counters.served_bytes += bytes;
  library_.count_served(stream.id, bytes);
}

Task<void> PlayerHandler::send_playlist(Exchange& exchange, std::string text) {
  http::Headers headers = common_fields();
  headers.add("Content-Type", "application/vnd.apple.mpegurl");
  headers.add("Cache-Control", "no-cache");
  const auto sent = co_await exchange.answer.send(200, std::move(headers), std::string_view(text));
  if (!sent) co_return;
  ++exchange.stream->counters.playlists;
  if (exchange.request.method == http::Method::get) count_served(*exchange.stream, text.size());
}

Task<void> PlayerHandler::refuse(Exchange& exchange, unsigned status, std::string text) {
  if (exchange.stream && status == 404) ++exchange.stream->counters.not_found;
  http::Headers headers = common_fields();
  headers.add("Content-Type", "text/plain; charset=utf-8");
  headers.add("Cache-Control", "no-store");
  if (status == 503) headers.add("Retry-After", "2");
  text += '\n';
  (void)co_await exchange.answer.send(status, std::move(headers), std::string_view(text));
}

std::vector<PlayerHandler::StreamCounters> PlayerHandler::counters() const {
  std::vector<StreamCounters> list;
  for (const auto& [name, stream] : streams_) {
    list.push_back(stream->counters);
    list.back().wanted = sessions_.wanted(name);
  }
  return list;
}

Task<void> PlayerHandler::send_list(const http::Request&, http::ResponseWriter& answer) {
  std::string text = "{\"streams\":[";
  for (const StreamCounters& stream : counters()) {
    if (text.back() != '[') text += ',';
    text += "{\"name\":" + ingest::json_quote(stream.name) + ",\"url\":" +
            ingest::json_quote(std::string{kPrefix} + ingest::percent_encode_path(stream.name) +
                               "/" + std::string{kMasterName}) +
            ",\"playing_tracks\":" + std::to_string(stream.wanted.size()) +
            ",\"served_bytes\":" + std::to_string(stream.served_bytes) + "}";
  }
  text += "]}\n";
  http::Headers headers = common_fields();
  headers.add("Content-Type", "application/json");
  headers.add("Cache-Control", "no-store");
  (void)co_await answer.send(200, std::move(headers), std::string_view(text));
}

}  // namespace tayga::playback
