#pragma once

#include "common/transport/tls/engine.hpp"
#include "common/transport/tls/poller.hpp"
#include "common/transport/tls/socket.hpp"
#include "common/transport/transport.hpp"

#include <functional>
#include <memory>
#include <optional>

namespace tayga::transport::tls {

/// A connection whose peer has proven its key.
struct Established {
  UniqueFd socket;
  std::unique_ptr<Engine> engine;
  Bytes input;   ///< encrypted bytes that came right behind the handshake
  Bytes output;  ///< the end of the handshake that the kernel did not take yet
  Side side;
  Endpoint remote;
};

/// Brings one TCP connection to a proven peer, or to an error; a stranger can do no more than this.
///
/// Errors: connect_failed, handshake_failed, wrong_peer, timed_out (within a tick of the deadline).
/// `done` is called once, from the poller; destroying the object before cancels it.
class Handshake final : public Pollable, public std::enable_shared_from_this<Handshake> {
 public:
  using Done = std::function<void(Result<Established>)>;
  struct Peer {
    UniqueFd socket;  ///< accepted, or as begin_connect gave it
    Endpoint remote;
    Side side;
    std::optional<NodeId> expected;
  };

  Handshake(std::shared_ptr<Poller> poller, SSL_CTX* context, Peer peer, TimePoint deadline);
  ~Handshake();
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

  /// False: out of resources, `done` will not be called.
  [[nodiscard]] bool start(Done done);
  [[nodiscard]] const Endpoint& remote() const noexcept { return peer_.remote; }

  void on_ready(std::uint32_t events) override;
  void on_tick(TimePoint now) override;

 private:
  void on_connected();
  void receive();
  /// False: this handshake has ended.
  bool step(ByteView in);
  bool send_output();
  void watch(std::uint32_t events);
  void finish_ok(ByteView rest);
  void finish(Result<Established> result);

  std::shared_ptr<Poller> poller_;
  std::unique_ptr<Engine> engine_;
  Peer peer_;
  const TimePoint deadline_;
  Done done_;
  bool connected_;
  bool watched_ = false;
  std::uint32_t events_ = 0;  // watched for
  Bytes output_;  // a few records: OpenSSL waits for the peer's answer before it adds more
};

}  // namespace tayga::transport::tls
