#include "orchestrator/app/inbox.hpp"

namespace tayga::orch {

Inbox::Put Inbox::put(const SessionInfo& session, NodeEvent event, TimePoint now) {
  const std::scoped_lock lock{mutex_};
  const Put taken = is_empty() ? Put::taken_first : Put::taken;
  if (auto* telemetry = std::get_if<Telemetry>(&event)) {
    telemetry_.insert_or_assign(session.id, std::pair{session, std::move(*telemetry)});
    return taken;
  }
  if (contents_.items.size() >= kInboxMax) return Put::full;
  std::size_t& queued = per_session_[session.id];
  if (queued >= kInboxPerSessionMax) return Put::full;
  ++queued;
  contents_.items.push_back({session, std::move(event), now});
  return taken;
}

Inbox::Put Inbox::put_end(const SessionInfo& session, TimePoint now) {
  const std::scoped_lock lock{mutex_};
  const Put taken = is_empty() ? Put::taken_first : Put::taken;
  telemetry_.erase(session.id);
  contents_.items.push_back({session, std::nullopt, now});
  return taken;
}

Inbox::Contents Inbox::take() {
  const std::scoped_lock lock{mutex_};
  Contents out = std::move(contents_);
  contents_ = {};
  for (auto& [id, slot] : telemetry_) out.telemetry.push_back(std::move(slot));
  telemetry_.clear();
  per_session_.clear();
  return out;
}

}  // namespace tayga::orch
