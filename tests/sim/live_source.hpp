#pragma once

#include "common/media/slicer.hpp"
#include "tests/sim/draws.hpp"
#include "tests/sim/sim_net.hpp"
#include "tests/sim/sim_trust.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tayga::sim {

inline constexpr TrackId kSimTrack{1};
inline constexpr const char* kSimStream = "sim";

/// One object as its publisher finished it.
struct PublishedObject {
  TrackId track;
  PublisherEpoch epoch;
  ObjectId id;
  media::ObjectKind kind = media::ObjectKind::segment;
  std::string path;
  std::uint64_t size = 0;
  WallTime begun{};  ///< its first byte
  WallTime ended{};  ///< its last one: what playout counts from
};

/// A live encoder at the gateway: fragments at a constant rate, a key frame several times as large
/// as the rest at the start of each segment, a playlist version after each segment.
///
/// While the gateway's process is gone nothing is published; its next process begins a new
/// publisher epoch.
class LiveSource {
 public:
  using Published = std::function<void(const PublishedObject&)>;

  LiveSource(const SimOptions& options, SimNet& net, FrameBank& bank, const SimTrust& trust);
  void set_published(Published published) { published_ = std::move(published); }

  [[nodiscard]] relay::StreamDescriptor descriptor() const;
  /// The gateway's process may publish from now on. Pre: the gateway runs.
  void start(PublisherEpoch epoch);
  /// The process is gone.
  void stop();
  [[nodiscard]] bool is_running() const noexcept { return running_; }
  /// Nothing begins after this.
  void finish_by(TimePoint end) { end_ = end; }

  /// A file as an origin has it; nullptr when it is not (or no longer) there.
  [[nodiscard]] const Bytes* find_file(const std::string& path) const;

 private:
  static constexpr std::size_t kFilesMax = 64;

  void step(std::uint64_t run);
  void begin_segment();
  void publish_small(TrackId track, const std::string& path, media::ObjectKind kind,
                     std::size_t size);
  void finish_segment();
  void flush(TrackId track);
  void tell(TrackId track, ObjectId id, media::ObjectKind kind, const std::string& path,
            std::uint64_t size, WallTime begun);
  void keep_file(const std::string& path, Bytes content);
  Bytes make_content(std::size_t size);
  [[nodiscard]] std::size_t fragment_end(unsigned fragment) const;

  const SimOptions& options_;
  SimNet& net_;
  FrameBank& bank_;
  const SimTrust& trust_;
  Published published_;
  Draws sizes_;
  Draws contents_;
  std::map<TrackId, media::Slicer> slicers_;
  PublisherEpoch epoch_;
  std::uint64_t run_ = 0;  ///< counts starts
  bool running_ = false;
  TimePoint end_ = TimePoint::max();
  unsigned fragments_ = 0;  ///< of a segment
  // The segment under way.
  std::optional<ObjectId> open_;
  std::string path_;
  Bytes content_;
  WallTime begun_{};
  unsigned fragment_ = 0;
  unsigned number_ = 1;
  std::map<std::string, Bytes> files_;
  std::deque<std::string> file_order_;
};

}  // namespace tayga::sim
