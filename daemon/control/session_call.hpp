#pragma once

#include "common/base/result.hpp"
#include "daemon/control/messages.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>

namespace tayga::control {

/// One gRPC session with the orchestrator, from its dial to its end.
///
/// gRPC calls back on its own threads; those calls do nothing but post to the executor, and all
/// mapping and every call here happens on it. Reading is demand-driven: the next message is read
/// when the handler has returned from the last, so a fast orchestrator cannot fill our memory.
class SessionCall {
 public:
  /// Told on the executor, in this order: any number of on_incoming and on_written, then on_ended.
  class Handler {
   public:
    virtual ~Handler() = default;
    /// Errors as to_incoming().
    virtual void on_incoming(Result<Incoming> message) = 0;
    /// The message given to write() left, or never will: the next may be written.
    virtual void on_written() = 0;
    virtual void on_ended(std::string reason) = 0;
  };
  struct Options {
    std::string target;           ///< host:port
    std::string ca_pem;           ///< the only root that counts
    std::string certificate_pem;  ///< ours, self-signed
    std::string key_pem;
  };

  /// Dials and begins the session. The handler is told nothing more once it is destroyed.
  static std::shared_ptr<SessionCall> start(boost::asio::any_io_executor executor,
                                            const Options& options, std::weak_ptr<Handler> handler);

  virtual ~SessionCall() = default;
  /// Pre: no write is in flight.
  virtual void write(const Outgoing& message) = 0;
  /// Writes, and says that nothing follows; the orchestrator then ends the session.
  virtual void write_last(const Outgoing& message) = 0;
  /// Ends the session now; on_ended follows.
  virtual void cancel() = 0;
  /// Ends the session and waits until gRPC has forgotten it: afterwards nothing touches the
  /// executor. For destructors, when the executor may never run again. Takes milliseconds.
  virtual void abandon() = 0;
};

}  // namespace tayga::control
