#pragma once

#include "common/transport/dual/transport_choice.hpp"
#include "common/transport/transport.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <optional>

namespace tayga::transport {

/// The transport that leads has this long alone: a QUIC handshake takes one round trip, and few
/// paths have more than 200 ms; TCP then carries well within 3 s where UDP does not pass.
inline constexpr Duration kLeaderHeadStart = 250ms;

struct DualParts {
  std::unique_ptr<Transport> quic;  ///< null: TCP only
  std::unique_ptr<Transport> tcp;   ///< null: QUIC only
};

/// One transport over QUIC and TCP: listens on the same port number with both, and dials with both,
/// one shortly after the other. The winner stays, the loser is cancelled.
class DualTransport : public Transport {
 public:
  /// What the last dials to the peer taught; nullopt when there was none that succeeded.
  [[nodiscard]] virtual std::optional<TransportChoice::Memory> memory_of(
      const NodeId& peer) const = 0;
  [[nodiscard]] virtual bool has(Kind kind) const noexcept = 0;
};

/// kind() is the one that leads; a session says by itself what it is. listen() on port 0 finds a
/// port that is free for both. Errors of connect(): the more telling one of the two transports'.
/// Pre: one part at least.
std::unique_ptr<DualTransport> make_dual_transport(boost::asio::any_io_executor executor,
                                                   DualParts parts,
                                                   Duration head_start = kLeaderHeadStart);

}  // namespace tayga::transport
