#pragma once

#include "common/async/task.hpp"
#include "common/base/time.hpp"
#include "common/crypto/ed25519.hpp"
#include "common/media/receipts.hpp"
#include "daemon/control/join_url.hpp"
#include "daemon/control/messages.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace tayga::control {

/// What a session begins with, checked: every key chains to the root that the join URL pins.
struct Welcome {
  NetworkId network;
  std::uint64_t incarnation = 0;  ///< of the orchestrator; revisions rise within one
  Duration telemetry_interval{};
  Duration receipt_submit_interval{};
  std::vector<media::OnlineKey> online_keys;  ///< newest first, at least one
  std::optional<boost::asio::ip::address> observed_address;
  /// Orchestrator's clock minus ours. The way here is not subtracted: too small by half a round
  /// trip.
  Duration clock_offset{};
};

/// What the client tells its owner, always on its executor, never from inside a call to the client.
class ControlEvents {
 public:
  virtual ~ControlEvents() = default;
  /// A session is up. Again within a session when the orchestrator renews its keys.
  virtual void on_connected(const Welcome& welcome) = 0;
  /// The session ended; a receipt batch without an answer is lost (ReceiptBook::on_submit_lost).
  virtual void on_disconnected(const std::string& reason) = 0;
  virtual void on_assignment(const relay::Assignment& assignment,
                             const std::vector<PeerAddress>& peers) = 0;
  virtual void on_publish_offer(const PublishOffer& offer) = 0;
  virtual void on_publish_withdrawn(const std::string& stream_name) = 0;
  virtual void on_receipt_answer(std::uint64_t batch,
                                 const std::vector<relay::ReceiptBook::Answer>& answers) = 0;
  /// The join stays wanted, and is said again in the next session, until leave().
  virtual void on_join_refused(const std::string& stream_name, JoinRefusal reason,
                               const std::string& message) = 0;
  virtual void on_drain(Duration grace) = 0;
  virtual void on_ban(const std::string& reason) = 0;
};

struct ControlOptions {
  JoinUrl join;
  std::filesystem::path state_dir;  ///< holds network-ca.pem
  /// What is carried when a session begins; called on the executor. Empty = nothing.
  std::function<std::vector<HeldStream>()> held_streams;
  Duration reconnect_first = 500ms;  ///< doubles to reconnect_last, ±30 %
  Duration reconnect_last = 30s;
  Duration welcome_max = 10s;      ///< from the dial; then the session is given up
  Duration write_stall_max = 15s;  ///< one message that the orchestrator does not take
};

/// The node's session with its orchestrator: joins the network on first contact, keeps one gRPC
/// stream, and comes back by itself for as long as it runs.
///
/// Joins and announcements are target states and are said again in every new session. Nothing here
/// is on the path of media: without an orchestrator a node goes on with its last assignment. A dead
/// connection is found by HTTP/2 pings (20 s + 10 s), and an orchestrator that hangs but keeps its
/// connection by a write that it does not take; silence alone is no fault, it has nothing to say
/// for minutes. Lives on one single-threaded executor or strand; `identity` and `events` must
/// outlive it. Threads: gRPC's own, which only post to the executor.
class ControlClient {
 public:
  ControlClient(boost::asio::any_io_executor executor, const crypto::SigningKey& identity,
                ControlOptions options, NodeProfile profile, ControlEvents& events);
  /// Without stop() before it: cuts the session and waits a few milliseconds for gRPC to let go.
  ~ControlClient();
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  /// Begins to connect. Call once.
  void start();
  /// Says goodbye and ends the session within 1 s; returns when nothing runs any more. No event
  /// comes after it. Harmless without start().
  async::Task<void> stop();

  /// A changed profile takes effect at once: the session is renewed, streams go on.
  void set_profile(NodeProfile profile);
  /// Wants these tracks of a stream, the whole set each time. False: 64 streams are joined already.
  [[nodiscard]] bool join(const std::string& stream_name, std::vector<TrackId> tracks);
  void leave(const std::string& stream_name);
  /// Announces a stream, or its changed tracks. False: 64 streams are announced already.
  [[nodiscard]] bool publish(PublishAnnouncement announcement);
  /// Announces it no more, in this session or a later one.
  void unpublish(const std::string& stream_name);

  /// The newest one not yet sent wins; dropped while there is no session.
  void send_telemetry(TelemetrySnapshot snapshot);
  /// False while there is no session: the batch was not taken.
  [[nodiscard]] bool send_receipts(relay::ReceiptBook::Batch batch);
  /// Kept for the next session when there is none: at most 256, the oldest leaves.
  void report_link_failure(relay::Relay::ParentLost failure);
  /// Kept for the next session when there is none: at most 16, the newest is dropped.
  void report_evidence(relay::Relay::Tampered evidence);

  [[nodiscard]] bool connected() const;
  /// Why there is no session, in words; of the past when connected. Empty = nothing went wrong yet.
  [[nodiscard]] const std::string& last_error() const;
  /// nullopt before the first session.
  [[nodiscard]] std::optional<Duration> clock_offset() const;
  /// Sessions that were welcomed since start().
  [[nodiscard]] std::uint64_t session_count() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace tayga::control
