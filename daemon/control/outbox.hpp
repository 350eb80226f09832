#pragma once

#include "daemon/control/messages.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace tayga::control {

/// What a node still has to tell the orchestrator, in the order of its urgency.
///
/// Joins and announcements are target states: the newest per stream counts, and all are said again
/// in a new session. Telemetry and the receipt batch are one slot each, the newest wins, and die
/// with the session. Failures and evidence are queues that outlive it. Sans-IO, one owner.
class Outbox {
 public:
  static constexpr std::size_t kStreamsMax = 64;        ///< joined, and announced: more are refused
  static constexpr std::size_t kLinkFailuresMax = 256;  ///< the oldest leaves: it is stale by then
  static constexpr std::size_t kEvidenceMax = 16;  ///< the newest is refused: one proof is enough

  /// False: kStreamsMax streams are joined already.
  [[nodiscard]] bool join(const std::string& name, std::vector<TrackId> tracks);
  void leave(const std::string& name);
  /// False: kStreamsMax streams are announced already.
  [[nodiscard]] bool publish(PublishAnnouncement announcement);
  void unpublish(const std::string& name);
  void put_telemetry(TelemetrySnapshot snapshot);
  void put_receipts(relay::ReceiptBook::Batch batch);
  void add_link_failure(relay::Relay::ParentLost failure);
  void add_evidence(relay::Relay::Tampered evidence);

  /// A session begins: everything that is wanted is due again.
  void on_session_up();
  void on_session_down();

  /// The next message; `wall` stamps telemetry. What it returns counts as said.
  [[nodiscard]] std::optional<Outgoing> poll(WallTime wall);
  [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

 private:
  std::map<std::string, std::vector<TrackId>> joined_;
  std::map<std::string, PublishAnnouncement> announced_;
  // Due to be said; nullopt = leave.
  std::map<std::string, std::optional<std::vector<TrackId>>> due_joins_;
  std::map<std::string, PublishAnnouncement> due_announcements_;
  std::deque<relay::Relay::ParentLost> link_failures_;
  std::deque<relay::Relay::Tampered> evidence_;
  std::optional<relay::ReceiptBook::Batch> receipts_;
  std::optional<TelemetrySnapshot> telemetry_;
  std::uint64_t telemetry_seq_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace tayga::control
