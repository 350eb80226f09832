#pragma once

#include "common/base/strong_id.hpp"
#include "common/base/time.hpp"
#include "daemon/ingest/pull_paths.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tayga::ingest {

using FetchId = StrongId<struct FetchIdTag, std::uint64_t>;

struct PullLimits {
  std::size_t playlists_max = 16;
  std::size_t fetches_max = 6;    ///< objects at once
  std::size_t queued_max = 256;   ///< objects that wait for a fetch; beyond it the oldest go
  std::size_t edge_segments = 3;  ///< where a fresh stream is entered
  unsigned attempts_max = 4;      ///< per object
  Duration retry_min = 250ms;     ///< doubles with each attempt
  Duration poll_min = 200ms;
  Duration playlist_retry_min = 1s;  ///< doubles up to playlist_retry_max
  Duration playlist_retry_max = 10s;
  Duration ended_poll = 10s;  ///< a list that ended may begin again
};

/// Decides what to fetch from an origin's HLS playlist and when, and what to publish of it.
///
/// Sans-IO. After every input call poll_action() until it is empty, and on_timeout() at
/// next_timeout(). One owner.
/// A media playlist is polled after its target duration when it had changed, else after half of it
/// (RFC 8216 section 6.3.4). Of a new version the publisher first learns the names, then its new
/// objects are fetched, and it is published when all of these have begun to arrive or are given up.
class PullPlan {
 public:
  struct FetchPlaylist {
    FetchId id;
    std::string url;
  };
  struct FetchObject {
    FetchId id;
    std::string url;
    std::string path;
  };
  struct LearnPlaylist {
    std::string path;
    std::string text;
  };
  struct PublishPlaylist {
    std::string path;
    std::string text;
  };
  /// Something is wrong at the origin: for a log that limits itself.
  struct Complaint {
    std::string url;
    std::string what;
  };
  using Action =
      std::variant<FetchPlaylist, FetchObject, LearnPlaylist, PublishPlaylist, Complaint>;
  struct Counters {
    std::uint64_t objects = 0;
    std::uint64_t gaps = 0;  ///< segments that could not be fetched or had left the list
    std::uint64_t playlist_failures = 0;
  };

  PullPlan(const HttpUrl& root, PullLimits limits, TimePoint now);

  /// `url` is where the answer came from, after redirects.
  void on_playlist(FetchId id, const HttpUrl& url, std::string_view text, TimePoint now);
  void on_playlist_failed(FetchId id, std::string what, TimePoint now);
  void on_object_begun(FetchId id, TimePoint now);
  void on_object_done(FetchId id, TimePoint now);
  void on_object_failed(FetchId id, std::string what, TimePoint now);
  void on_timeout(TimePoint now);

  [[nodiscard]] std::optional<Action> poll_action();
  [[nodiscard]] std::optional<TimePoint> next_timeout() const;
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

 private:
  struct Source {
    HttpUrl url;
    std::string path;
    std::optional<FetchId> in_flight;
    TimePoint next_poll;
    unsigned failures = 0;
    std::string text;  // newest, as at the origin
    std::optional<std::uint64_t> next_sequence;
    std::set<std::string> inits;             // paths fetched or being fetched
    std::optional<PublishPlaylist> publish;  // waits for `awaited`
    std::set<FetchId> awaited;
    TimePoint publish_deadline;
  };
  struct Object {
    FetchId id;
    HttpUrl url;
    std::string path;
    unsigned attempts = 0;
    bool in_flight = false;
    TimePoint not_before;
  };

  Source* find_source(FetchId id);
  void add_source(const HttpUrl& url, std::string path, TimePoint now);
  void take_master(const Source& source, PullPaths::Translated translated);
  void take_media(Source& source, const MediaPlaylist& playlist,
                  const PullPaths::Translated& translated, TimePoint now);
  void queue_new(Source& source, const MediaPlaylist& playlist,
                 const PullPaths::Translated& translated, TimePoint now);
  void retry_later(Source& source, std::string what, TimePoint now);
  FetchId queue_object(const PullPaths::Resource& resource, TimePoint now);
  void settle(FetchId id);
  void start_fetches(TimePoint now);

  PullPaths paths_;
  PullLimits limits_;
  std::vector<Source> sources_;  // the root first
  std::deque<Object> objects_;   // waiting and in flight, in order
  FetchId next_id_{1};
  std::deque<Action> actions_;
  Counters counters_;
};

}  // namespace tayga::ingest
