#pragma once

#include "common/base/time.hpp"
#include "common/transport/session.hpp"
#include "tests/support/link_model.hpp"

#include <cstdint>
#include <memory>

namespace tayga::test {

enum class Direction : std::uint8_t { to_server, to_client };
enum class PathState : std::uint8_t {
  open,
  blackhole,  ///< UDP: every packet is lost. TCP: nothing moves, the connections stay (a stall).
};

/// A link between many clients and one server: clients dial endpoint() instead of the server.
struct EmulatedLink {
  transport::Endpoint server;
  LinkShape to_server;
  LinkShape to_client;
  std::uint64_t seed = 1;
};

/// Forwards datagrams, each client's through an upstream socket of its own, as a NAT does.
///
/// Runs on a thread of its own, so that tests and benches of any kind can wait beside it; every
/// member may be called from any thread. Both shapes are shared by all clients. Sees single
/// packets, whatever the peers join (GSO, GRO). Bounded: kFlowsMax clients, kHeldPacketsMax packets
/// on their way; what is beyond is dropped and counted. Throws std::system_error when it gets no
/// socket.
class UdpLinkEmulator {
 public:
  static constexpr std::size_t kFlowsMax = 4096;
  static constexpr std::size_t kHeldPacketsMax = 262'144;

  struct Counters {
    std::uint64_t forwarded = 0;  ///< duplicates included
    std::uint64_t dropped = 0;    ///< by the shape, a blackhole, a limit or the system
    std::uint64_t bytes_to_server = 0;
    std::uint64_t bytes_to_client = 0;
  };

  explicit UdpLinkEmulator(const EmulatedLink& link);
  ~UdpLinkEmulator();

  [[nodiscard]] transport::Endpoint endpoint() const;
  [[nodiscard]] Counters counters() const;
  void set_shape(Direction direction, const LinkShape& shape);
  void set_path(PathState state);  ///< both directions
  void set_path(Direction direction, PathState state);
  /// A blackhole that opens by itself.
  void blackhole_for(Duration time);
  /// Every client's packets reach the server from a new port, and what the server sends to the old
  /// one is lost: a NAT forgot its bindings.
  void rebind();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Forwards TCP connections. Delay, rate, queue (as bytes that it takes ahead) and blackholes work;
/// loss, reordering, duplication, corruption and MTU do not: to the peers the proxy is the other
/// end of the connection, so packets that get lost cannot be made here. Throws and runs as
/// UdpLinkEmulator does.
class TcpLinkEmulator {
 public:
  static constexpr std::size_t kConnectionsMax = 1024;

  explicit TcpLinkEmulator(const EmulatedLink& link);
  ~TcpLinkEmulator();

  [[nodiscard]] transport::Endpoint endpoint() const;
  void set_shape(Direction direction, const LinkShape& shape);
  void set_path(PathState state);  ///< both directions
  /// One way: the other still carries bytes, as a proxy acknowledges them itself.
  void set_path(Direction direction, PathState state);
  /// Cuts all connections (reset).
  void reset_all();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tayga::test
