#pragma once

#include "common/async/event.hpp"
#include "common/async/task.hpp"
#include "common/async/task_group.hpp"
#include "common/http/request.hpp"
#include "common/http/request_body.hpp"
#include "common/http/response_writer.hpp"
#include "daemon/playback/stream_library.hpp"
#include "daemon/playback/stream_view.hpp"
#include "daemon/playback/viewer_sessions.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tayga::playback {

struct PlayerOptions {
  ViewerLimits limits = {};
  Duration open_max = 8s;            ///< to follow a stream and have its catalog and playlist
  Duration edge_patience = 2s;       ///< for the segments that a first player begins with
  Duration reload_patience = 300ms;  ///< the same for a rendition that is followed already
  Duration listed_max = 6s;          ///< for a segment that a playlist lists and that has not begun
  Duration overtaken_max = 500ms;    ///< the same when a later one is here already
  Duration stall_max = 5s;           ///< a segment without a new byte this long is given up
};

/// Serves the streams of this node to players over HTTP (HLS): GET, HEAD, OPTIONS below "/live/".
///
/// Playlists are the publisher's bytes, newest version, never cached. Segments go out while they
/// arrive; one that never completes ends without its last chunk, so that the player sees the error.
/// Query strings (CMCD) are ignored. Lives on the server's executor; the library outlives it.
/// co_await stop() before it is destroyed.
class PlayerHandler {
 public:
  struct StreamCounters {
    std::string name;
    std::uint64_t requests = 0;
    std::uint64_t served_bytes = 0;  ///< payload given to players
    std::uint64_t playlists = 0;     ///< answered
    std::uint64_t objects = 0;       ///< segments and other files, answered whole
    std::uint64_t not_found = 0;
    std::uint64_t truncated = 0;  ///< began, and could not be completed
    std::vector<TrackId> wanted;
  };

  PlayerHandler(boost::asio::any_io_executor executor, StreamLibrary& library,
                PlayerOptions options = {});
  ~PlayerHandler();

  /// Answers one request below "/live/"; fits http::Handler.
  async::Task<void> handle(http::Request& request, http::RequestBody& body,
                           http::ResponseWriter& answer);
  async::Task<void> stop();

  /// Streams that players asked for, by name; also those left since.
  [[nodiscard]] std::vector<StreamCounters> counters() const;

 private:
  struct Stream {
    StreamId id;
    StreamView view;
    StreamCounters counters;
  };
  using StreamPtr = std::shared_ptr<Stream>;
  /// One request on its way through the parts below.
  struct Exchange {
    const http::Request& request;
    http::ResponseWriter& answer;
    std::string name;
    std::string path;  // below the stream
    StreamPtr stream;
    TimePoint deadline;
  };
  struct Found {
    TrackId track;
    relay::ObjectInfo object;
  };

  async::Task<void> serve(Exchange exchange);
  async::Task<void> serve_master(Exchange& exchange);
  async::Task<void> serve_presentation(Exchange& exchange, std::string path);
  async::Task<void> serve_media_playlist(Exchange& exchange, relay::TrackInfo track);
  async::Task<void> serve_object(Exchange& exchange);
  async::Task<void> send_whole(Exchange& exchange, Found found);
  async::Task<void> send_growing(Exchange& exchange, Found found);
  async::Task<void> send_playlist(Exchange& exchange, std::string text);
  async::Task<void> send_list(const http::Request& request, http::ResponseWriter& answer);
  async::Task<void> refuse(Exchange& exchange, unsigned status, std::string text);

  /// Waits until the stream's objects change; cancelled = the stream was left.
  async::Task<async::WaitResult> wait(StreamPtr stream, TimePoint deadline);
  async::Task<const ingest::Catalog*> wait_for_catalog(StreamPtr stream, TimePoint deadline);
  [[nodiscard]] std::optional<Found> find_object(Stream& stream, const std::string& path);
  void use_track(const Exchange& exchange, TrackId track);
  void count_served(Stream& stream, std::uint64_t bytes);
  void apply_sessions();
  async::Task<void> run_sessions();

  boost::asio::any_io_executor executor_;
  StreamLibrary& library_;
  PlayerOptions options_;
  ViewerSessions sessions_;
  std::map<std::string, StreamPtr> streams_;
  async::Event sessions_changed_;
  async::TaskGroup tasks_;
};

}  // namespace tayga::playback
