#pragma once

#include "common/async/event.hpp"
#include "daemon/control/control_client.hpp"
#include "daemon/ingest/object_journal.hpp"
#include "daemon/peers/relay_driver.hpp"
#include "daemon/playback/playback_error.hpp"
#include "daemon/playback/ready_audit.hpp"
#include "daemon/playback/stream_library.hpp"
#include "daemon/publishing.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tayga {

/// The streams that players of this node follow: joins them through the control session, turns
/// wanted renditions into joins and into the relay's local demand, and wakes who waits for bytes.
///
/// On the daemon's executor. Bounded: kStreamsMax followed at once, more are refused.
class StreamHub final : public playback::StreamLibrary {
 public:
  static constexpr std::size_t kStreamsMax = 64;

  struct Parts {
    peers::RelayDriver& driver;
    relay::Relay& relay;
    control::ControlClient& control;
    ingest::ObjectJournal* journal;  ///< nullptr: none
  };
  StreamHub(boost::asio::any_io_executor executor, Parts parts);

  /// A gateway plays what it publishes without asking anybody; it must outlive the hub's calls.
  void set_publishing(const Publishing* publishing) noexcept { publishing_ = publishing; }

  // From the control session and the relay.
  void on_assignment(const relay::Assignment& assignment);
  void on_join_refused(const std::string& name, control::JoinRefusal reason);
  void on_progress(const StreamId& stream, TrackId track);
  /// Leaves what was asked for and never came to be played, since no player will close it. About
  /// once a second.
  void drop_unplayed(TimePoint now);

  // playback::StreamLibrary
  async::Task<Result<StreamId>> open(std::string stream_name, TimePoint deadline) override;
  void set_wanted_tracks(const std::string& stream_name, std::vector<TrackId> tracks) override;
  void close(const std::string& stream_name) override;
  [[nodiscard]] const relay::ObjectStore* objects(const StreamId& stream,
                                                  TrackId track) const override;
  [[nodiscard]] async::Event& changed(const StreamId& stream) override;
  void count_served(const StreamId& stream, std::uint64_t bytes) override;

  /// Payload bytes given to players, per stream, since the start.
  [[nodiscard]] const std::map<StreamId, std::uint64_t>& served() const noexcept { return served_; }

 private:
  struct Followed {
    explicit Followed(const boost::asio::any_io_executor& executor)
        : resolved{executor}, changed{executor} {}
    std::string name;
    std::optional<StreamId> id;
    std::optional<playback::PlaybackErrc> refused;
    std::vector<TrackId> tracks{kPresentationTrack};
    TimePoint asked_at{};
    bool is_played = false;  ///< a player has its id: it ends with close()
    async::Event resolved;   ///< pulsed when id or refused changed
    async::Event changed;    ///< pulsed when objects changed
  };

  void resolve(Followed& followed, const StreamId& id);
  void demand(const Followed& followed);
  void end_demand(const StreamId& stream);
  [[nodiscard]] Followed* find(const StreamId& stream);

  boost::asio::any_io_executor executor_;
  Parts parts_;
  const Publishing* publishing_ = nullptr;
  std::map<std::string, std::shared_ptr<Followed>> followed_;
  std::map<StreamId, std::uint64_t> served_;
  std::optional<playback::ReadyAudit> audit_;
  async::Event unknown_;  ///< for a stream that is not followed (any more): never set
};

}  // namespace tayga
