#pragma once

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "orchestrator/rpc/node_messages.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace tayga::orch {

/// One session of this process; a number is never used again.
enum class SessionId : std::uint64_t {};

struct SessionInfo {
  SessionId id{};
  NodeId node;
  std::string address;  ///< numeric, as seen here
};

/// Where a gateway delivers. Called on the gateway's threads, for one session one call at a time:
/// must be quick and must not block.
class NodeSink {
 public:
  virtual ~NodeSink() = default;
  enum class Admission : std::uint8_t { taken, overloaded /**< the session is closed */ };
  /// The first event of a session is its Hello, and the only one.
  virtual Admission on_event(const SessionInfo& session, NodeEvent event) = 0;
  /// After a session's last event. Sessions that never said hello are not heard of.
  virtual void on_closed(const SessionInfo& session) = 0;
};

enum class CloseReason : std::uint8_t { banned, refused, shutting_down };

/// Rising counts, and sessions now; any thread.
struct GatewayStats {
  std::uint64_t sessions = 0;
  std::uint64_t sessions_total = 0;
  std::uint64_t replaced_total = 0;
  std::uint64_t unauthenticated_total = 0;
  std::uint64_t messages_received_total = 0;
  std::uint64_t messages_refused_total = 0;
  std::uint64_t messages_sent_total = 0;
  std::uint64_t outbox_replaced_total = 0;  ///< a newer state took an unsent one's place
  std::uint64_t outbox_dropped_total = 0;
  std::uint64_t stalled_total = 0;  ///< closed: the peer did not read, speak or say hello in time
};

/// The sessions of all nodes, whatever wire they speak. All calls are thread-safe.
class NodeGateway {
 public:
  virtual ~NodeGateway() = default;

  /// Begins to accept. Returns what is wrong and how to mend it, in words; nullopt = it listens.
  [[nodiscard]] virtual std::optional<std::string> accept(NodeSink& sink) = 0;
  /// Queues for one session and returns; what a closed session should have got is dropped. Order is
  /// kept, except that a newer state takes the place of an unsent older one.
  virtual void push(SessionId session, OrchestratorEvent event) = 0;
  /// Sends what is queued, then closes.
  virtual void close(SessionId session, CloseReason reason, const std::string& message) = 0;
  /// Accepts no more, closes every session in order and waits for at most `grace`, then cancels
  /// them. Blocks. No call of the sink comes after it.
  virtual void drain(Duration grace) = 0;
  [[nodiscard]] virtual GatewayStats stats() const = 0;
  /// Of the listening port; 0 before accept().
  [[nodiscard]] virtual std::uint16_t port() const = 0;
};

}  // namespace tayga::orch
