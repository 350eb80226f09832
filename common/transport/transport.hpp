#pragma once

#include "common/async/task.hpp"
#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/transport/session.hpp"

#include <functional>
#include <memory>
#include <string>

namespace tayga::transport {

enum class TransportErrc {
  address_in_use = 1,
  listen_failed,
  connect_failed,
  handshake_failed,
  wrong_peer,  ///< the peer proved another key than the expected node id
  timed_out,
  too_many_sessions,
};
const boost::system::error_category& transport_category() noexcept;
inline error_code make_error_code(TransportErrc e) noexcept {
  return {static_cast<int>(e), transport_category()};
}

/// Makes sessions, outgoing and incoming, of one kind. Not thread-safe; lives on one executor.
class Transport {
 public:
  using AcceptHandler = std::function<void(std::unique_ptr<Session>)>;

  virtual ~Transport() = default;
  [[nodiscard]] virtual Kind kind() const noexcept = 0;

  /// Listens and calls `on_accept` with each session whose handshake succeeded. Half-open
  /// handshakes are bounded (256; 32 per /24 or /48). Errors: address_in_use, listen_failed.
  virtual Result<Endpoint> listen(const Endpoint& local, AcceptHandler on_accept) = 0;

  /// Dials and completes the mutual handshake. Errors: connect_failed, handshake_failed,
  /// wrong_peer, timed_out, too_many_sessions; operation_aborted when the task is cancelled. A
  /// session it returns is proven to be `expected`.
  virtual async::Task<Result<std::unique_ptr<Session>>> connect(Endpoint remote, NodeId expected,
                                                                Duration timeout) = 0;
  /// Stops listening and refuses new dials; sessions handed out live on.
  virtual void stop() = 0;
};

}  // namespace tayga::transport

template <>
struct boost::system::is_error_code_enum<tayga::transport::TransportErrc> : std::true_type {};
