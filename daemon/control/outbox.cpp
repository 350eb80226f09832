#include "daemon/control/outbox.hpp"

#include <utility>

namespace tayga::control {

namespace {

template <class Item>
Outgoing take_front(std::deque<Item>& queue) {
  Outgoing message{std::move(queue.front())};
  queue.pop_front();
  return message;
}

}  // namespace

bool Outbox::join(const std::string& name, std::vector<TrackId> tracks) {
  if (joined_.size() >= kStreamsMax && !joined_.contains(name)) return false;
  due_joins_[name] = tracks;
  joined_[name] = std::move(tracks);
  return true;
}

void Outbox::leave(const std::string& name) {
  if (joined_.erase(name) == 0) return;
  // Only what was joined can be left; without a session these pile up, within the same bound.
  if (due_joins_.size() >= 2 * kStreamsMax && !due_joins_.contains(name)) {
    dropped_ += 1;
    return;
  }
  due_joins_[name] = std::nullopt;
}

bool Outbox::publish(PublishAnnouncement announcement) {
  const std::string name = announcement.stream_name;
  if (announced_.size() >= kStreamsMax && !announced_.contains(name)) return false;
  due_announcements_[name] = announcement;
  announced_[name] = std::move(announcement);
  return true;
}

void Outbox::unpublish(const std::string& name) {
  announced_.erase(name);
  due_announcements_.erase(name);
}

void Outbox::put_telemetry(TelemetrySnapshot snapshot) {
  telemetry_ = std::move(snapshot);
}

void Outbox::put_receipts(relay::ReceiptBook::Batch batch) {
  receipts_ = std::move(batch);
}

void Outbox::add_link_failure(relay::Relay::ParentLost failure) {
  if (link_failures_.size() >= kLinkFailuresMax) {
    link_failures_.pop_front();
    dropped_ += 1;
  }
  link_failures_.push_back(std::move(failure));
}

void Outbox::add_evidence(relay::Relay::Tampered evidence) {
  if (evidence_.size() >= kEvidenceMax) {
    dropped_ += 1;
    return;
  }
  evidence_.push_back(std::move(evidence));
}

void Outbox::on_session_up() {
  for (const auto& [name, tracks] : joined_) due_joins_[name] = tracks;
  due_announcements_ = announced_;
}

void Outbox::on_session_down() {
  telemetry_.reset();
  receipts_.reset();
}

std::optional<Outgoing> Outbox::poll(WallTime wall) {
  if (!link_failures_.empty()) return take_front(link_failures_);
  if (!due_announcements_.empty()) {
    auto node = due_announcements_.extract(due_announcements_.begin());
    return Outgoing{std::move(node.mapped())};
  }
  if (!due_joins_.empty()) {
    auto node = due_joins_.extract(due_joins_.begin());
    if (!node.mapped()) return Outgoing{LeaveStream{node.key()}};
    return Outgoing{JoinStream{node.key(), std::move(*node.mapped())}};
  }
  if (!evidence_.empty()) return take_front(evidence_);
  if (receipts_) {
    Outgoing message{std::move(*receipts_)};
    receipts_.reset();
    return message;
  }
  if (telemetry_) {
    Outgoing message{Telemetry{++telemetry_seq_, wall, std::move(*telemetry_)}};
    telemetry_.reset();
    return message;
  }
  return std::nullopt;
}

}  // namespace tayga::control
