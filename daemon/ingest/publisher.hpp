#pragma once

#include "common/base/ids.hpp"
#include "common/base/strong_id.hpp"
#include "common/base/time.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/crypto/hash.hpp"
#include "common/media/slicer.hpp"
#include "daemon/core/assignment.hpp"
#include "daemon/core/now.hpp"
#include "daemon/ingest/ingest_error.hpp"
#include "daemon/ingest/publish_target.hpp"
#include "daemon/ingest/track_map.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tayga::ingest {

/// One file on its way into a publisher.
using UploadId = StrongId<struct UploadIdTag, std::uint64_t>;

struct PublisherLimits {
  std::size_t object_size_max = media::kObjectSizeMax;
  std::size_t open_max = 64;                          ///< uploads at once
  std::size_t unlisted_bytes_max = 64 * 1024 * 1024;  ///< media that no playlist lists yet
  std::size_t unlisted_objects_max = 512;
  Duration unlisted_age_max = 30s;
  Duration playlist_hold_max = 250ms;  ///< for the first slice of what it lists
  Duration catalog_delay_max = 500ms;  ///< for a master playlist after the first media playlist
  Duration playlist_repeat_min = 2s;   ///< the same text is not published again within it
};

/// A whole object as it left the publisher; for audits.
struct PublishedObject {
  TrackId track;
  PublisherEpoch epoch;
  ObjectId object;
  std::string path;
  std::uint64_t size = 0;
  crypto::Sha256Digest sha256{};
  WallTime complete;  ///< its last byte arrived
};

/// Turns the files of one stream into signed slices on its tracks, as their bytes arrive.
///
/// Sans-IO: slices and track lists go to the target from within the calls; call on_timeout() at
/// next_timeout(). One owner, not thread-safe; key and target outlive it.
///
///   begin -> [playlist]      collected whole, checked, published behind what it lists
///         -> [media, known]  sliced as it arrives, on the track that TrackMap says
///         -> [media, unlisted] kept until a playlist lists it, then published before that playlist
///         -> [other]         sliced as it arrives, on track 0
///
/// Relays keep the newest version of all that is no segment, so nothing is published again for who
/// joins late.
class Publisher {
 public:
  struct Options {
    relay::StreamDescriptor stream;  ///< id = the signing key's; `tracks` is filled in here
    PublisherEpoch epoch;
    PublisherLimits limits = {};
    /// Called for each whole object; its hash costs nothing unless this is set.
    std::function<void(const PublishedObject&)> on_object = {};
  };
  struct Counters {
    std::uint64_t objects = 0;  ///< published whole
    std::uint64_t bytes = 0;    ///< of them
    std::uint64_t aborted = 0;  ///< uploads that broke off or were refused half-way
    std::uint64_t playlists_refused = 0;
    std::uint64_t unlisted_dropped = 0;  ///< no playlist came to list them
  };

  Publisher(const crypto::SigningKey& stream_key, PublishTarget& target, Options options);
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// A file begins. Errors: bad_path, too_many_objects, stopped.
  IngestResult<UploadId> begin(std::string path, relay::Now now);
  /// Some of its bytes. Any error ends the upload: too_large, unlisted_full, stopped.
  IngestResult<void> append(UploadId upload, ByteView bytes, relay::Now now);
  /// Its end. Ends the upload in any case. Errors: not_a_playlist, too_many_tracks, stopped.
  IngestResult<void> finish(UploadId upload, relay::Now now);
  /// The uploader went away: what was published of it stays incomplete. Unknown ids are ignored.
  void abort(UploadId upload, relay::Now now);
  /// The encoder deleted a file: one that still waits for its playlist is dropped. What was
  /// published leaves with the window, since nodes that joined late still play it.
  void remove(std::string_view path);

  /// Takes a playlist's knowledge of which file belongs where without publishing it: for a puller
  /// that reads the playlist before the segments. Errors as for finish().
  IngestResult<void> learn(const std::string& path, std::string_view text, relay::Now now);

  void on_timeout(relay::Now now);
  [[nodiscard]] std::optional<TimePoint> next_timeout() const;
  /// Gives up all uploads and tells the target. Later calls answer `stopped`.
  void stop();

  /// Newest accepted content of a playlist (ffmpeg's append_list reads it back); nullptr: none.
  [[nodiscard]] const std::string* playlist(std::string_view path) const;
  /// When media last arrived: the shell stops a publisher that was left alone.
  [[nodiscard]] TimePoint last_activity() const noexcept { return last_activity_; }
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }
  [[nodiscard]] std::vector<relay::TrackInfo> tracks() const;
  /// The newest file that was dropped because no playlist listed it.
  [[nodiscard]] const std::string& last_unlisted() const noexcept { return last_unlisted_; }

 private:
  enum class Stage : std::uint8_t { playlist, unlisted, live };
  struct Upload {
    UploadId id;
    std::string path;
    Stage stage = Stage::live;
    TimePoint began;
    TrackId track;  // the rest is meaningful once it is live
    media::ObjectKind kind = media::ObjectKind::segment;
    ObjectId object;
    bool started = false;  // its first slice is out
    bool ended = false;    // unlisted and complete
    std::uint64_t size = 0;
    std::string kept;  // playlist and unlisted: the bytes
    std::optional<crypto::Sha256> hash;
  };
  struct TrackState {
    media::Slicer slicer;
    std::uint64_t announced_bps = 0;
    std::uint64_t measured_bps = 0;
    std::map<std::string, std::uint64_t, std::less<>> sizes;  // of recent whole segments
    std::deque<std::string> recent;                           // keys of sizes, oldest first
  };
  struct Held {
    std::string path;
    TrackId track;
    std::string text;
    std::set<UploadId> waits_for;
    TimePoint deadline;
  };
  struct Accepted {
    std::string text;
    TimePoint published;
  };
  using Uploads = std::list<Upload>;

  Uploads::iterator find(UploadId id);
  [[nodiscard]] std::size_t open_count() const;
  TrackState& track_state(TrackId track);
  void make_live(Upload& upload, TrackMap::Place place, relay::Now now);
  void slice(Upload& upload, ByteView bytes, relay::Now now);
  void complete(Upload& upload, relay::Now now);
  void give_up(Uploads::iterator upload);
  void release_listed(relay::Now now);
  void drop_expired(TimePoint now);

  IngestResult<void> take_playlist(const std::string& path, std::string_view text, bool publish,
                                   relay::Now now);
  void take_media(const std::string& path, std::string text, TrackId track,
                  const Playlist& playlist, bool publish, relay::Now now);
  void publish_playlist(const std::string& path, TrackId track, std::string_view text,
                        relay::Now now);
  void release_held(relay::Now now);
  void measure(TrackId track, const std::string& path, const MediaPlaylist& playlist);
  void announce(TimePoint now);

  void publish_whole(const std::string& path, TrackId track, media::ObjectKind kind,
                     std::string_view text, relay::Now now);
  void publish_catalog(relay::Now now);
  void drain(TrackId track);
  void ensure_started();

  const crypto::SigningKey& key_;
  PublishTarget& target_;
  Options options_;
  TrackMap map_;
  std::map<TrackId, TrackState> tracks_;
  Uploads uploads_;
  UploadId next_upload_{1};
  std::size_t unlisted_bytes_ = 0;
  std::list<Held> held_;
  std::map<std::string, Accepted, std::less<>> playlists_;  // one per track and the master
  std::string master_path_;                                 // of the one in playlists_
  std::string catalog_;                                     // as published last
  TimePoint began_{};                                       // the first upload
  std::optional<TimePoint> first_playlist_;                 // when the first media playlist came
  std::uint64_t presentation_bytes_ = 0;
  std::uint64_t presentation_bps_ = 0;
  TimePoint last_activity_{};
  bool started_ = false;
  bool stopped_ = false;
  Counters counters_;
  std::string last_unlisted_;
};

}  // namespace tayga::ingest
