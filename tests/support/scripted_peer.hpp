#pragma once

#include "common/async/task_group.hpp"
#include "common/transport/tls/tls_transport.hpp"
#include "daemon/core/peer_message.hpp"
#include "tests/support/test_network.hpp"

#include <boost/asio/io_context.hpp>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace tayga::test {

/// A peer whose behaviour the test writes: real TLS sessions, no relay behind them.
class ScriptedPeer final : public transport::SessionHandler {
 public:
  ScriptedPeer(boost::asio::io_context& io, const TestNetwork& network);
  ~ScriptedPeer() override;

  /// Waits for one child to dial; greets it.
  void listen();
  /// Begins to dial a node, and greets it when the handshake succeeded: see connected().
  void dial(const TestNode& node);
  void send(const relay::PeerMessage& message);
  /// Queues a media frame, to be written when the session has room.
  void send_media(SharedBytes frame);
  void close();

  [[nodiscard]] NodeId id() const noexcept { return identity_.node_id(); }
  [[nodiscard]] const transport::Endpoint& endpoint() const noexcept { return endpoint_; }
  [[nodiscard]] bool connected() const noexcept { return session_ != nullptr && !closed_; }
  [[nodiscard]] const std::optional<transport::CloseInfo>& closed() const noexcept {
    return closed_;
  }
  [[nodiscard]] std::size_t chunks_received() const noexcept { return chunks_received_; }
  std::function<void(const relay::PeerMessage&)> on_message;
  std::function<void(wire::FrameType, ByteView)> on_media;

 private:
  void on_frame(wire::FrameType type, ByteView payload) override;
  std::optional<transport::OutboundMedia> next_media() override;
  void on_closed(const transport::CloseInfo& info) override;
  void adopt(std::unique_ptr<transport::Session> session);
  async::Task<void> run_dial(transport::Endpoint remote, NodeId expected);

  const TestNetwork& network_;
  crypto::SigningKey identity_ = crypto::SigningKey::generate();
  std::unique_ptr<transport::Transport> transport_;
  std::unique_ptr<transport::Session> session_;
  transport::Endpoint endpoint_;
  std::deque<SharedBytes> media_;
  std::optional<transport::CloseInfo> closed_;
  std::size_t chunks_received_ = 0;
  async::TaskGroup dials_;
};

}  // namespace tayga::test
