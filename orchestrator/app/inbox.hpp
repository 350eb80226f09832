#pragma once

#include "common/base/time.hpp"
#include "orchestrator/rpc/node_gateway.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace tayga::orch {

inline constexpr std::size_t kInboxMax = 65'536;
inline constexpr std::size_t kInboxPerSessionMax = 256;

/// What nodes said and the world thread has not looked at yet.
///
/// Telemetry has one slot per session, where the newest wins; everything else keeps its order and
/// is never dropped: what does not fit is refused, and its session closed by the caller. The limit
/// per session keeps one node from taking the others' room. A session's end always fits.
/// Thread-safe.
class Inbox {
 public:
  struct Item {
    SessionInfo session;
    std::optional<NodeEvent> event;  ///< nullopt: the session ended
    TimePoint arrived;
  };
  struct Contents {
    std::vector<Item> items;
    std::vector<std::pair<SessionInfo, Telemetry>> telemetry;
  };
  enum class Put : std::uint8_t {
    taken,
    taken_first,  ///< it was empty: wake the world thread
    full,
  };

  Put put(const SessionInfo& session, NodeEvent event, TimePoint now);
  Put put_end(const SessionInfo& session, TimePoint now);
  Contents take();

 private:
  bool is_empty() const { return contents_.items.empty() && telemetry_.empty(); }

  std::mutex mutex_;  // guards all below
  Contents contents_;
  std::map<SessionId, std::pair<SessionInfo, Telemetry>> telemetry_;
  std::unordered_map<SessionId, std::size_t> per_session_;
};

}  // namespace tayga::orch
