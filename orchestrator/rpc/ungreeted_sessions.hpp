#pragma once

#include "orchestrator/rpc/node_gateway.hpp"

#include <cstddef>
#include <string>
#include <unordered_map>

namespace tayga::orch {

/// The sessions that have not said hello yet: a certificate costs a stranger nothing, so there is
/// room for a few of them per network, and for a bounded number in all.
///
/// Sans-IO, not thread-safe.
class UngreetedSessions {
 public:
  struct Limits {
    std::size_t total_max = 0;
    std::size_t per_network_max = 0;
  };

  explicit UngreetedSessions(const Limits& limits) : limits_{limits} {}

  /// Admits a session from this numeric address. False: no room, refuse it. Pre: `id` is new.
  [[nodiscard]] bool add(SessionId id, const std::string& address);
  /// It said hello or ended. Harmless for one that is not here.
  void remove(SessionId id);
  [[nodiscard]] std::size_t size() const noexcept { return network_of_.size(); }

 private:
  const Limits limits_;
  std::unordered_map<SessionId, std::string> network_of_;
  std::unordered_map<std::string, std::size_t> by_network_;
};

}  // namespace tayga::orch
